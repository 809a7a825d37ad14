//! Talk: one kept-open stream of frames in each direction between connected peers.
//!
//! Each side sends only on the stream that it opened, so that two sides that open at the same time
//! need no agreement.

mod frame;
mod inbound;
mod outbound;
mod pings;
mod queue;

pub(crate) use frame::Frame;
pub(crate) use inbound::listen;
pub(crate) use outbound::speak;
pub(crate) use pings::Pings;
pub(crate) use queue::{Outgoing, Queue};
