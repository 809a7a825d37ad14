//! Blobs: bytes named by their hash, moved over a kept-open pipelined stream per provider.

mod bits;
mod candidates;
mod fetch;
mod link;
mod outcome;
mod plan;
mod probe;
mod provider;
mod report;
mod serve;
mod source;
mod transfers;
mod turns;
mod wire;

pub(crate) use fetch::fetch;
pub(crate) use link::Links;
pub use outcome::{FetchError, Fetched, ProbeError, Source, SourceEnd};
pub(crate) use probe::probe;
pub(crate) use serve::serve;
pub use source::{Blobs, Sink};
pub(crate) use transfers::Transfers;
pub(crate) use turns::Turns;
