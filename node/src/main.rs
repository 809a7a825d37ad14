//! The program `dugnad`.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::cli::main()
}
