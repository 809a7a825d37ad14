//! The body: joins net, store and sandbox to one engine.
//!
//! [`Node::start`] opens the data folder and begins to take part; every clone of a [`Node`] is a
//! handle to the same one. The program `dugnad` is a thin door before it.

pub mod cli;
pub mod config;
pub mod identity;

mod http;
mod node;
mod shell;
mod tamper;

pub use config::Config;
pub use node::{
    BlobError, CancelError, FeedError, FeedView, JobBlobs, Node, PeerView, ProofError, ResultUnit,
    Results, ResultsError, StartError, SubmitError,
};
pub use tamper::Tamper;
