//! What handles ask of the swarm's task, and how it says no.

use libp2p::Multiaddr;
use protocol::{JobId, PeerId};
use tokio::sync::oneshot;

use crate::{Judgement, Key, Misdeed, Token};

/// An order to the swarm's task.
#[derive(Debug)]
pub(crate) enum Command {
    Join(JobId),
    Leave(JobId),
    Announce(Vec<u8>),
    Publish(JobId, Vec<u8>),
    Judge(Token, Judgement),
    Blame(PeerId, Misdeed),
    Dial(Multiaddr, oneshot::Sender<Result<PeerId, ConnectError>>),
    Connect(PeerId, oneshot::Sender<Result<PeerId, ConnectError>>),
    Disconnect(PeerId),
    Provide(Key, oneshot::Sender<Result<(), DhtError>>),
    StopProviding(Key),
    Providers(Key, oneshot::Sender<Result<Vec<PeerId>, DhtError>>),
    KnownAddresses(oneshot::Sender<Vec<(PeerId, Vec<String>)>>),
    Stop,
}

/// The node has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the network has stopped")]
pub struct Stopped;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the peer is not connected")]
    NotConnected,
    /// The peer or the network takes messages more slowly than they are sent.
    #[error("too many messages are waiting")]
    Full,
    #[error("a message of {len} bytes, where {max} are allowed")]
    TooLong { len: usize, max: usize },
    #[error("the network has stopped")]
    Stopped,
}

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("`{0}` is not an address such as /ip4/192.0.2.1/tcp/4001")]
    BadAddress(String),
    #[error("no address of the peer is known")]
    NoAddress,
    #[error("this is our own address")]
    Ourselves,
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It answered, and does not speak our network's protocols.
    #[error("the peer belongs to another network")]
    OtherNetwork,
    #[error("the peer closed the connection")]
    Closed,
    #[error("no connection within the time given")]
    TimedOut,
    #[error("too many dials are under way")]
    Busy,
    #[error("the network has stopped")]
    Stopped,
}

/// Why the DHT gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DhtError {
    #[error("we provide too many keys already")]
    Full,
    #[error("too many look-ups are under way")]
    Busy,
    #[error("no answer within the time given")]
    TimedOut,
    #[error("the network has stopped")]
    Stopped,
}
