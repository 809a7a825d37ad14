//! The worker process: it takes orders on stdin, runs guests, and reports on stdout.

mod lockdown;
mod outbox;
mod process;
mod serve;
mod watch;

pub use process::worker_main;
