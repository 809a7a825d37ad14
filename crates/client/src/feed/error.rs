//! Why a job file cannot be the template of a feed, or lines no window of it.

use std::path::PathBuf;

use crate::{PrepareError, Unreachable};

/// Why there is no template, or no window; [`Self::hint`] has the remedy.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error("{}: {why}", path.display())]
    Template { path: PathBuf, why: &'static str, hint: &'static str },
    /// A window is too small for what the template's `target` asks.
    #[error(transparent)]
    Unreachable(#[from] Box<Unreachable>),
}

impl FeedError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Prepare(error) => error.hint(),
            Self::Template { hint, .. } => (*hint).to_owned(),
            Self::Unreachable(error) => error.hint(),
        }
    }
}
