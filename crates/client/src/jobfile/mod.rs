//! Job files: what a researcher writes, read strictly.

mod error;
mod model;
mod read;
mod section;
mod source;
mod verify;

#[cfg(test)]
mod tests;

pub use error::JobFileError;
pub use model::{Cut, JobFile, RepeatSpec, SourceSpec, StageSpec, StdinSpec};
