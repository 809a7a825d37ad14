//! Feeds in the HTTP API: opening one, adding windows, and what is known of them.

use protocol::{FeedId, JobId, PeerId};
use serde::{Deserialize, Serialize};

use super::JobStatus;
use crate::{Draft, Template};

/// `POST /api/v1/feeds`: the blobs that the template names are in the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenFeed {
    pub template: Template,
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedFeed {
    pub feed: FeedId,
}

/// `POST /api/v1/feeds/{feed}/windows`: the next window, whose blobs are in the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWindow {
    pub draft: Draft,
    /// Lines that it adds to the feed.
    pub lines: u64,
    /// Whether the feed is closed with it.
    pub is_last: bool,
}

/// What it answers, once the window is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedWindow {
    pub number: u64,
    pub job: JobId,
    /// Lines of the feed up to its end.
    pub lines: u64,
}

/// A feed as the asked node sees it: `GET /api/v1/feeds/{feed}`, and every event of `…/events`, which after
/// the first one names only windows that have changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedStatus {
    pub feed: FeedId,
    /// Its name and submitter, once a window of it or its template is here.
    pub name: Option<String>,
    pub submitter: Option<PeerId>,
    /// Of a feed of this node's own, where it is asked for alone: what its windows are made from.
    pub template: Option<Template>,
    /// The number of the next window and the lines before it, as far as is known here.
    pub next: u64,
    pub lines: u64,
    pub is_closed: bool,
    /// Where its submitter has signed several windows with one number.
    pub forks: Vec<FeedFork>,
    /// By number.
    pub windows: Vec<WindowStatus>,
}

/// Two or more windows that their submitter gave one number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedFork {
    pub number: u64,
    pub jobs: Vec<JobId>,
}

/// One window of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowStatus {
    pub number: u64,
    pub previous: Option<JobId>,
    /// Lines of the feed up to its end, by the submitter's word.
    pub lines: u64,
    pub is_last: bool,
    pub job: JobStatus,
}
