//! Two or three nodes in one process, over loopback.

mod blobs;
mod dht;
mod gossip;
mod harness;
mod meeting;
mod raw;
mod talk;
