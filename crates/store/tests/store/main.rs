//! The store on a temporary folder, and in processes that are killed.

#![expect(clippy::unwrap_used, reason = "a test may end at any surprise")]

mod blobs;
mod corrupt;
mod crash;
mod full_disk;
mod ground;
mod journal;
mod opening;
mod partials;
mod quota;
