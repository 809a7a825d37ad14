//! Why a request to a node did not succeed.

use std::path::PathBuf;

use crate::PrepareError;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node has said that it runs on this folder, or the one that did is gone.
    #[error("no node runs on {}", data_dir.display())]
    NoNode { data_dir: PathBuf },
    /// The node answered, and the answer is no.
    #[error("{error}")]
    Refused { status: u16, error: String, hint: Option<String> },
    /// The connection broke.
    #[error("the node at {address} does not answer: {why}")]
    Lost { address: String, why: String },
    /// The answer is none that this version knows.
    #[error("the node's answer makes no sense: {why}")]
    Malformed { why: String },
    /// What was to be sent cannot be read any more.
    #[error(transparent)]
    Source(#[from] PrepareError),
}

impl ClientError {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoNode { .. } => {
                Some("start one with `dugnad node run`, or name its folder with --data-dir".into())
            }
            Self::Refused { hint, .. } => hint.clone(),
            Self::Lost { .. } => {
                Some("see whether the node still runs: `dugnad node status`".into())
            }
            Self::Malformed { .. } => {
                Some("use the same version of dugnad for the node and its clients".into())
            }
            Self::Source(error) => Some(error.hint()),
        }
    }

    /// Whether the node says that there is no such thing.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}
