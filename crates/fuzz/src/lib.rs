//! The hammer: arbitrary bytes become stories, and what is promised must hold in every one of them.
//!
//! Each target takes bytes and panics if a promise is broken. `cargo +nightly fuzz run TARGET` in this
//! folder looks for such bytes; `tests/corpus.rs` replays those that were kept, on stable.

mod acts;
mod choices;
mod decoding;
mod driving;
mod job_files;
mod merging;
mod places;
mod promises;
mod safety;
mod setup;
mod shell;
mod talking;
mod targets;
mod twisted;
mod world;

pub use choices::Chance;
pub use decoding::decode;
pub use driving::engine;
pub use job_files::job_file;
pub use merging::merge;
pub use safety::verdict;
pub use targets::{TARGETS, Target};
