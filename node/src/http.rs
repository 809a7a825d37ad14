//! The HTTP API of a running node, on loopback only, behind one guard.

mod access;
mod blobs;
mod body;
mod events;
mod feeds;
mod guard;
mod jobs;
mod node;
mod peers;
mod proof;
mod refusal;
mod routes;
mod serve;
mod views;

pub(crate) use access::Token;
pub(crate) use serve::Api;
