//! Who says that a job is theirs. A job's id names its manifest and not its submitter, so that anybody can
//! announce it, with any numbers: what is announced is hearsay until the manifest is here.

use protocol::{Announcement, Manifest, PeerId, Signed};

use crate::limits::ANNOUNCERS_MAX;

/// The announcements of one job: several by different authors before the manifest is here, and then the
/// submitter's alone.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    heard: Vec<Signed<Announcement>>,
    /// So many, the last of them, have led nowhere; they make room for others.
    failed: usize,
}

impl Announced {
    /// Takes an announcement in; `true` if it is one that others should hear of.
    pub(crate) fn hear(
        &mut self,
        announcement: Signed<Announcement>,
        manifest: Option<&Manifest>,
    ) -> bool {
        let author = announcement.author();
        if let Some(known) = self.heard.iter_mut().find(|known| known.author() == author) {
            let is_news = announcement.value().raises(known.value());
            if is_news {
                *known = announcement;
            }
            return is_news;
        }
        let has_room = self.heard.len() < ANNOUNCERS_MAX || self.failed != 0;
        let fits = manifest.is_none_or(|manifest| is_of(&announcement, manifest));
        if !has_room || !fits {
            return false;
        }
        if self.heard.len() == ANNOUNCERS_MAX {
            self.heard.pop();
            self.failed -= 1;
        }
        self.heard.insert(self.heard.len() - self.failed, announcement);
        true
    }

    /// The manifest is here: only its submitter's words stay. `true` if others were among them.
    pub(crate) fn settle(&mut self, manifest: &Manifest) -> bool {
        let many = self.heard.len();
        self.heard.retain(|announcement| is_of(announcement, manifest));
        self.failed = 0;
        self.heard.len() != many
    }

    /// Drops what is out of date; `true` if there was something and nothing is left.
    pub(crate) fn expire(&mut self, unix_ms: u64) -> bool {
        let many = self.heard.len();
        self.heard.retain(|announcement| unix_ms <= announcement.value().expires_ms);
        self.failed = self.failed.min(self.heard.len());
        many != 0 && self.heard.is_empty()
    }

    /// The next one's turn, after what this one says has led nowhere.
    pub(crate) fn turn(&mut self) {
        if !self.heard.is_empty() {
            self.heard.rotate_left(1);
            self.failed = (self.failed + 1).min(self.heard.len());
        }
    }

    /// The one whose turn it is; with the manifest here, the submitter's.
    pub(crate) fn first(&self) -> Option<&Signed<Announcement>> {
        self.heard.first()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Signed<Announcement>> {
        self.heard.iter()
    }

    pub(crate) fn authors(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.heard.iter().map(Signed::author)
    }

    /// Whether they contradict each other, so that only the manifest can tell.
    pub(crate) fn are_in_conflict(&self) -> bool {
        1 < self.heard.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }
}

impl From<Signed<Announcement>> for Announced {
    fn from(announcement: Signed<Announcement>) -> Self {
        Self { heard: vec![announcement], failed: 0 }
    }
}

/// Whether an announcement is the submitter's, and says what the manifest says.
fn is_of(announcement: &Signed<Announcement>, manifest: &Manifest) -> bool {
    announcement.author() == manifest.submitter && announcement.value().is_of(manifest)
}
