//! Why a job file is refused: where, what, and what to do about it.

use std::path::{Path, PathBuf};

use super::section::Fault;

/// Why a job file is refused; the text names file and line, [`Self::hint`] the remedy.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// There is no such file, or it may not be read.
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// It is not a job file.
    #[error("{}:{line}: {why}", path.display())]
    Refused { path: PathBuf, line: usize, why: String, hint: Option<String> },
}

impl JobFileError {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unreadable { .. } => Some("`dugnad job init` writes a job file to start from"),
            Self::Refused { hint, .. } => hint.as_deref(),
        }
    }

    pub(super) fn refused(path: &Path, text: &str, fault: Fault) -> Self {
        let line = text.bytes().take(fault.at).filter(|byte| *byte == b'\n').count() + 1;
        Self::Refused { path: path.to_owned(), line, why: fault.why, hint: fault.hint }
    }
}
