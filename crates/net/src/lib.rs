//! The voice: the only crate that knows libp2p.
//!
//! It owns one swarm behind a small handle, [`Net`]. Messages are opaque bytes to it, blobs are
//! read and written through [`Blobs`] and [`Sink`], and peers are named as `protocol` names them.

pub mod limits;

mod address;
mod blob;
mod book;
mod bucket;
mod command;
mod config;
#[cfg(test)]
mod dice;
mod event;
mod faults;
mod handle;
mod identity;
mod inbox;
mod names;
mod notices;
mod roster;
mod seen;
mod shared;
mod start;
mod stats;
mod streams;
mod swarm;
mod talk;
mod transport;

pub use blob::{Blobs, FetchError, Fetched, ProbeError, Sink, Source, SourceEnd};
pub use command::{ConnectError, DhtError, SendError, Stopped};
pub use config::{Config, Patience, Rates, Reachability};
pub use event::{Event, Events, Judgement, Token, Topic};
pub use faults::Misdeed;
pub use handle::{Net, PeerInfo};
pub use names::Key;
pub use start::{StartError, start};
pub use stats::Stats;
