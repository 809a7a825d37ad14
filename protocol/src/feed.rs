//! Feeds: ordinary jobs of one submitter that follow each other, each naming the one before it.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::FEED_WINDOWS_MAX;
use crate::{FeedId, Hash, JobId, Manifest, ManifestError, PeerId, hash};

/// The place of a job in a feed. The feed's name is the name of each of its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Window {
    /// Random, so that one submitter can have several feeds of one name.
    pub salt: Hash,
    /// From zero on. A submitter that signs two windows with one number has forked its feed.
    pub number: u64,
    /// The window before it; none before the first.
    pub previous: Option<JobId>,
    /// Lines of the feed up to this window's end, by the submitter's word.
    pub lines: u64,
    /// Whether the feed is closed with it: it adds no lines, and its outcomes are nobody's.
    pub is_last: bool,
}

impl FeedId {
    /// The feed of this name and salt. Nobody but its submitter can add to it.
    pub fn of(submitter: PeerId, name: &str, salt: Hash) -> Self {
        let parts: [&[u8]; 3] = [submitter.as_bytes(), name.as_bytes(), salt.as_bytes()];
        Self::new(*hash("feed", &parts).as_bytes())
    }
}

impl Window {
    /// Checks every rule that needs nothing but the window.
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        let wrong = |why: &'static str| Err(ManifestError::Window { why });
        match (self.number, self.previous) {
            (FEED_WINDOWS_MAX.., _) => wrong("its number is too high"),
            (0, Some(_)) => wrong("it is the first one and names another before it"),
            (1.., None) => wrong("it is not the first one and names none before it"),
            (0, None) | (1.., Some(_)) => Ok(()),
        }
    }
}

impl Manifest {
    /// The feed that the job is a window of.
    pub fn feed(&self) -> Option<FeedId> {
        self.window.map(|window| FeedId::of(self.submitter, &self.name, window.salt))
    }
}
