//! The parent's side: worker processes that are started, fed, watched, killed and replaced.

mod exchange;
mod folders;
mod link;
mod process;
mod request;
mod run;
mod workers;

pub use folders::OutputFile;
pub use process::StartError;
pub use request::{FileSource, GuestUnit, RunRequest};
pub use run::{Output, OutputBytes, Ran, Run};
pub use workers::{Busy, Pool, PoolConfig, run_local};
