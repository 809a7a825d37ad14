//! Job files: what a researcher writes, read strictly.

mod data;
mod error;
mod model;
mod parts;
mod read;
mod section;
mod source;
mod verify;

#[cfg(test)]
mod tests;

pub use data::{Amount, Cut, DataSpec, Fill, Form, PartsSpec, UrlSpec};
pub use error::JobFileError;
pub use model::{JobFile, RepeatSpec, SourceSpec, StageSpec, StdinSpec};
