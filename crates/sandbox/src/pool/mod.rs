//! The parent's side: worker processes that are started, fed, watched, killed and replaced.

mod exchange;
mod folders;
mod link;
mod workers;
mod process;
mod request;
mod run;

pub use folders::OutputFile;
pub use workers::{Busy, Pool, PoolConfig, run_local};
pub use process::StartError;
pub use request::{FileSource, GuestUnit, RunRequest};
pub use run::{Output, OutputBytes, Ran, Run};
