//! The memory: blobs by BLAKE3 and the durable journal; quotas, pins, garbage collection.
//!
//! A [`Store`] is a folder. Blobs up to 64 KiB and all records live in its index (redb), larger
//! blobs are files beside it. One thread writes; whoever waits for it at the same time shares its
//! fsync. What was acknowledged survives `kill -9`, a power cut and a full disk.

mod error;

mod arriving;
mod batch;
mod blobs;
mod direct;
mod folder;
mod journal;
mod ledger;
mod open;
mod partial;
mod pieces;
mod queue;
mod store;
mod strays;
mod tables;
mod writer;

pub use batch::{BATCH_BYTES_MAX, Batch, Pin};
pub use blobs::Held;
pub use error::{OpenError, StoreError};
pub use journal::Record;
pub use open::{Opened, Options};
pub use partial::Partial;
pub use store::{Store, Usage};
