//! The program `resto` with what the official conformance suite expects of a server under test.

use std::process::ExitCode;

fn main() -> ExitCode {
    resto_host::cli::main()
}
