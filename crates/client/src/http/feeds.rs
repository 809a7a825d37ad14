//! The methods about feeds.

use protocol::FeedId;

use super::client::{ANSWER_WITHIN, SUBMITTED_WITHIN, segment};
use super::{Client, ClientError, Events};
use crate::Template;
use crate::api::{AddedWindow, FeedStatus, NewWindow, OpenFeed, OpenedFeed};

impl Client {
    /// Opens a feed whose template's blobs the node has.
    ///
    /// # Errors
    /// Every method says why the node did not answer, or what it has refused and what to do.
    pub fn open_feed(&self, template: Template) -> Result<FeedId, ClientError> {
        let asked = OpenFeed { template };
        let answer: OpenedFeed = self.post_json("/api/v1/feeds", &asked, ANSWER_WITHIN)?;
        Ok(answer.feed)
    }

    /// Adds a window to a feed of the node's own; returns once it is on disk.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn add_window(&self, feed: FeedId, window: &NewWindow) -> Result<AddedWindow, ClientError> {
        self.post_json(&format!("/api/v1/feeds/{feed}/windows"), window, SUBMITTED_WITHIN)
    }

    /// Every feed that the node knows, without their windows.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn feeds(&self) -> Result<Vec<FeedStatus>, ClientError> {
        self.get("/api/v1/feeds")
    }

    /// One feed, by its id or an unambiguous beginning of it.
    ///
    /// # Errors
    /// [`ClientError::is_not_found`] if the node does not know such a feed.
    pub fn feed(&self, id: &str) -> Result<FeedStatus, ClientError> {
        self.get(&format!("/api/v1/feeds/{}", segment(id)))
    }

    /// The feed's states from now on; while somebody reads them, the node looks for windows.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn feed_events(&self, feed: FeedId) -> Result<Events<FeedStatus>, ClientError> {
        self.follow(&format!("/api/v1/feeds/{feed}/events"))
    }
}
