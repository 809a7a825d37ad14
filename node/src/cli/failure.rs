//! How a command ends: its exit code, and for people what is wrong and what to do about it.

use std::fmt::Display;
use std::process::ExitCode;

use client::{ClientError, FeedError, JobFileError, PrepareError};

use crate::cli::terminal::clean;
use crate::config::ConfigError;

/// What an exit code says; the numbers are documented in docs/JOBS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done = 0,
    Failed = 1,
    BadInput = 2,
    Undecided = 3,
    Unverified = 4,
    NoNode = 5,
    Over = 6,
    Interrupted = 130,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(end as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) end: End,
    pub(crate) error: String,
    pub(crate) hint: Option<String>,
}

pub(crate) type Outcome<T = End> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(end: End, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { end, error: error.into(), hint: Some(hint.into()) }
    }

    /// From an error whose text may end with a line `hint: …`.
    pub(crate) fn of(end: End, error: &impl Display) -> Self {
        let text = error.to_string();
        match text.split_once("\nhint: ") {
            Some((error, hint)) => {
                Self { end, error: error.to_owned(), hint: Some(hint.to_owned()) }
            }
            None => Self { end, error: text, hint: None },
        }
    }

    /// One line for what is wrong and one for what to do, without control characters.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}\n", clean(&self.error));
        if let Some(hint) = &self.hint {
            text += &format!("hint: {}\n", clean(hint));
        }
        text
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let end = match &error {
            ClientError::NoNode { .. }
            | ClientError::Lost { .. }
            | ClientError::Malformed { .. } => End::NoNode,
            ClientError::Refused { .. } | ClientError::Source(_) => End::BadInput,
        };
        Self { end, hint: error.hint(), error: error.to_string() }
    }
}

impl From<JobFileError> for Failure {
    fn from(error: JobFileError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { end: End::BadInput, error: error.to_string(), hint }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        Self::new(End::BadInput, error.to_string(), error.hint())
    }
}

impl From<FeedError> for Failure {
    fn from(error: FeedError) -> Self {
        Self::new(End::BadInput, error.to_string(), error.hint())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::of(End::BadInput, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_and_a_hint_another() {
        let failure = Failure::of(End::NoNode, &"the port is taken\nhint: choose another");
        assert_eq!(failure.text(), "error: the port is taken\nhint: choose another\n");
        let failure = Failure::of(End::NoNode, &"a\u{1b}[2Jb\nc");
        assert_eq!(failure.text(), "error: a\u{fffd}[2Jb\u{fffd}c\n");
    }
}
