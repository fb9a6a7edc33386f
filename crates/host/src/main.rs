//! The program `resto`.

use std::process::ExitCode;

use resto_host::{WIPING, Wiping};

#[global_allocator]
static MEMORY: Wiping = WIPING;

fn main() -> ExitCode {
    resto_host::cli::main()
}
