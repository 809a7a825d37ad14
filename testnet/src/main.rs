//! The program `testnet`.

use std::process::ExitCode;

fn main() -> ExitCode {
    testnet::main()
}
