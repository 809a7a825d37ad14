//! A worker process and nothing else: what this crate's tests start.

use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::worker_main()
}
