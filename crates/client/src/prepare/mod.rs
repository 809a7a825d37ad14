//! From a job file to a draft and the blobs that it names.

mod batch;
mod check;
mod cut;
mod data;
mod error;
mod folder;
mod job;
mod mounts;
mod pattern;
mod records;
mod source;
mod spool;
mod stable;
mod tree;
mod unroll;
mod wrong;

#[cfg(test)]
mod tests;

pub use batch::default_batch;
pub use check::{Warning, check};
pub(crate) use data::{cut_plain, numbered};
pub use error::PrepareError;
pub(crate) use job::prepare_with;
pub use job::{Prepared, prepare};
pub use source::BlobSource;
pub(crate) use tree::tree;
pub use tree::{Packed, pack};
