//! Two or three nodes in one process, over loopback.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod blobs;
mod dht;
mod gossip;
mod harness;
mod meeting;
mod raw;
mod spreading;
mod talk;
