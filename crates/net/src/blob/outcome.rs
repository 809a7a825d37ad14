//! How a transfer ended, and what each provider had to do with it.

use std::time::Duration;

use protocol::PeerId;

use crate::Misdeed;

/// A transfer that is done: everything was checked and taken by the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// What each provider contributed, in the order in which they ended.
    pub sources: Vec<Source>,
}

/// One provider's part in a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub peer: PeerId,
    /// Pieces of it that were used, and their bytes.
    pub chunks: u64,
    pub bytes: u64,
    /// From the first request to the last answer.
    pub busy: Duration,
    pub end: SourceEnd,
}

/// Why a provider was asked no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEnd {
    /// Nothing was left to ask for.
    Finished,
    /// It does not have the blob, or no longer.
    Absent,
    /// No connection, or it broke; nobody's fault.
    Lost(String),
    /// It did something that an honest and healthy provider does not; it was counted.
    Fault(Misdeed),
}

/// Why a transfer is not done. What the sink took stays with it, for the next try.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("a blob of {size} bytes, where {max} are allowed")]
    TooLarge { size: u64, max: u64 },
    /// No provider is left; `missing` pieces are.
    #[error("no provider is left for {missing} pieces")]
    Unavailable { missing: u64, sources: Vec<Source> },
    /// The sink asked for a piece that the blob has not.
    #[error("the sink misses piece {index} of {count}")]
    NoSuchPiece { index: u64, count: u64 },
    #[error("the sink took no more: {0}")]
    Sink(std::io::Error),
}

/// Why a peer did not show a piece.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error("the blob has no such piece")]
    NoSuchPiece,
    #[error("the peer does not have it")]
    Absent,
    #[error("no connection: {0}")]
    Lost(String),
    #[error("the peer is at fault: {0:?}")]
    Fault(Misdeed),
}
