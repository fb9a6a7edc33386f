//! The program `resto`.

use std::process::ExitCode;

fn main() -> ExitCode {
    resto_host::cli::main()
}
