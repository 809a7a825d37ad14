//! Feeds of this node: what they are made from is kept, and each window is signed once, on disk before anybody
//! hears of it.

use std::collections::BTreeSet;

use client::{Draft, Template};
use engine::WindowView;
use protocol::{Chain, FeedId, Hash, JobId, Manifest, PeerId, Window};
use serde::{Deserialize, Serialize};
use store::{Batch, Pin, Store, StoreError};
use tracing::info;

use crate::Node;
use crate::node::submit::{SubmitError, pin};
use crate::shell::{Ask, seek_feed, unix_ms};

/// Under these keys lie what feeds of ours are made from, and the manifest of each one's last window.
const OPEN: &[u8] = b"feed/open/";
const LAST: &[u8] = b"feed/last/";

/// Why a feed was not opened, or got no window.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(
        "this node has opened no feed {feed}\nhint: `dugnad feed list` shows those that it has"
    )]
    Unknown { feed: FeedId },
    #[error(
        "the feed {feed} is closed since window {number}\nhint: open another: `dugnad feed open`"
    )]
    Closed { feed: FeedId, number: u64 },
    #[error(
        "the feed {feed} forks at window {number}, as after a backup was brought back: nobody could say which of both would go on\nhint: open another: `dugnad feed open`"
    )]
    Forked { feed: FeedId, number: u64 },
    #[error("a window of the feed `{name}` has that name, and not `{draft}`")]
    Name { name: String, draft: String },
    #[error("the template: {0}")]
    Template(#[from] client::FeedError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "what is kept of the feed {feed} cannot be read\nhint: open another: `dugnad feed open`"
    )]
    Corrupt { feed: FeedId },
    #[error("the node has stopped")]
    Stopped,
}

/// What is known here of a feed.
#[derive(Clone, Debug)]
pub struct FeedView {
    pub feed: FeedId,
    /// Name, submitter and template of a feed of our own.
    pub own: Option<Template>,
    /// Our own last window, which may be one that nobody has heard of yet.
    pub last: Option<Manifest>,
    /// Windows that others may know, too, without those that were not asked for.
    pub windows: Vec<WindowView>,
}

/// What a feed of ours is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Opened {
    salt: Hash,
    template: Template,
}

impl Node {
    /// Opens a feed whose template's blobs are in the store; returns once that is on disk.
    ///
    /// # Errors
    /// [`FeedError`] names what is wrong and what to do.
    pub async fn open_feed(&self, template: Template) -> Result<FeedId, FeedError> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|e| SubmitError::Random(e.to_string()))?;
        let salt = Hash::new(salt);
        let feed = FeedId::of(self.me(), &template.draft.name, salt);
        // The closing window is one that can be made already.
        let (draft, blobs) = template.last()?;
        let manifest = draft.into_manifest(self.me(), unix_ms(), Hash::ZERO);
        manifest.check().map_err(SubmitError::from)?;
        let opened = Opened { salt, template };
        let value = serde_json::to_vec(&opened).map_err(|_| FeedError::Corrupt { feed })?;
        let write = move |store: &Store| -> Result<(), FeedError> {
            let mut batch = Batch::default();
            for mut reader in blobs.iter().filter_map(|source| source.reader().ok()) {
                let mut bytes = Vec::new();
                if std::io::Read::read_to_end(&mut reader, &mut bytes).is_ok() {
                    batch.blob(bytes);
                }
            }
            store.commit(batch)?;
            pin(store, &manifest, of_feed(feed)).inspect_err(|_| {
                // Nothing of a refused feed stays pinned.
                let _ = store.unpin_all(Pin::Job(of_feed(feed)));
            })?;
            let mut batch = Batch::default();
            batch.write(key(OPEN, feed), value);
            Ok(store.commit(batch)?)
        };
        self.shared().with_store(write).await?;
        info!(%feed, "feed opened");
        Ok(feed)
    }

    /// Signs and publishes the next window of a feed of this node's own; returns it once it is on disk.
    ///
    /// # Errors
    /// [`FeedError`] names what is wrong and what to do.
    pub async fn add_window(
        &self,
        feed: FeedId,
        draft: Draft,
        lines: u64,
        is_last: bool,
    ) -> Result<(JobId, Window), FeedError> {
        // Whoever asks may go away; what has begun is done.
        let node = self.clone();
        let adds = async move { node.add(feed, draft, lines, is_last).await };
        tokio::spawn(adds).await.map_err(|_| FeedError::Stopped)?
    }

    async fn add(
        &self,
        feed: FeedId,
        draft: Draft,
        lines: u64,
        is_last: bool,
    ) -> Result<(JobId, Window), FeedError> {
        let _turn = self.adding().lock().await;
        let Opened { salt, template } = self.opened(feed).await?;
        let (name, draft_name) = (&template.draft.name, &draft.name);
        if name != draft_name {
            return Err(FeedError::Name { name: name.clone(), draft: draft_name.clone() });
        }
        let last = self.last_of(feed).await?;
        if let Some((_, Window { number, is_last: true, .. })) = last {
            return Err(FeedError::Closed { feed, number });
        }
        let lines = lines.saturating_add(last.map_or(0, |(_, last)| last.lines));
        let (previous, number) = (last.map(|(job, _)| job), last.map_or(0, |(_, l)| l.number + 1));
        let window = Window { salt, number, previous, lines, is_last };
        let ready = self.ready(draft, Some(window)).await?;
        let value = ready.manifest.to_bytes();
        let write = move |store: &Store| {
            let mut batch = Batch::default();
            batch.write(key(LAST, feed), value);
            if is_last {
                batch.unpin_all(Pin::Job(of_feed(feed)));
            }
            store.commit(batch)
        };
        // From here on the number is taken, whatever happens.
        self.shared().with_store(write).await?;
        let job = self.publish(ready).await?;
        info!(%feed, number, %job, "window added");
        Ok((job, window))
    }

    /// The last window of a feed of ours: as it is kept, or as the network has it, if that is newer. One that was
    /// signed and never published is published now.
    async fn last_of(&self, feed: FeedId) -> Result<Option<(JobId, Window)>, FeedError> {
        let view = self.feed(feed, BTreeSet::new()).await?;
        let mut chain = Chain::default();
        for WindowView { job, window } in &view.windows {
            window.iter().for_each(|window| chain.add(job.job, *window));
        }
        let kept = view.last.and_then(|last| Some((last.job(), last.window?, last)));
        if let Some((job, window, manifest)) = kept {
            let is_known = view.windows.iter().any(|window| window.job.job == job);
            chain.add(job, window);
            if !is_known && unix_ms() < manifest.expires_ms {
                let ready = self.pinned(manifest, true).await?;
                self.publish(ready).await?;
            }
        }
        if let Some((number, _)) = chain.forks().first() {
            return Err(FeedError::Forked { feed, number: *number });
        }
        Ok(chain.last())
    }

    /// What is known of a feed here; windows in `seen` are left out.
    ///
    /// # Errors
    /// [`FeedError`] if the store cannot be read.
    pub async fn feed(&self, feed: FeedId, seen: BTreeSet<JobId>) -> Result<FeedView, FeedError> {
        let windows = self.ask(|answer| Ask::Windows(feed, seen, answer)).await;
        let windows = windows.map_err(|_| FeedError::Stopped)?;
        let own = match self.opened(feed).await {
            Ok(opened) => Some(opened.template),
            Err(FeedError::Unknown { .. }) => None,
            Err(error) => return Err(error),
        };
        let last = self.shared().with_store(move |store| store.record(&key(LAST, feed))).await?;
        let last = last.map(|bytes| Manifest::from_bytes(&bytes)).transpose();
        let last = last.map_err(|_| FeedError::Corrupt { feed })?;
        Ok(FeedView { feed, own, last, windows })
    }

    /// Every feed that is known here: our own, and those of which windows are announced.
    pub async fn feeds(&self) -> BTreeSet<FeedId> {
        let mut feeds = self.ask(Ask::Feeds).await.unwrap_or_default();
        let records = self.shared().with_store(|store| store.scan(OPEN)).await;
        let id = |key: &[u8]| Some(FeedId::new(key.strip_prefix(OPEN)?.try_into().ok()?));
        feeds.extend(records.unwrap_or_default().iter().filter_map(|(key, _)| id(key)));
        feeds
    }

    /// Looks for peers that have windows of a feed.
    pub fn seek_feed(&self, feed: FeedId) {
        seek_feed(self.shared(), feed);
    }

    async fn opened(&self, feed: FeedId) -> Result<Opened, FeedError> {
        let record = self.shared().with_store(move |store| store.record(&key(OPEN, feed))).await?;
        let record = record.ok_or(FeedError::Unknown { feed })?;
        serde_json::from_slice(&record).map_err(|_| FeedError::Corrupt { feed })
    }
}

impl FeedView {
    /// Who adds to it, as far as that is known.
    pub fn submitter(&self, me: PeerId) -> Option<PeerId> {
        let signed = self.windows.iter().find(|window| window.window.is_some());
        self.own.as_ref().map(|_| me).or(signed.map(|window| window.job.submitter))
    }
}

/// What a feed's template names is pinned as if the feed were a job.
fn of_feed(feed: FeedId) -> JobId {
    JobId::new(*feed.as_bytes())
}

fn key(prefix: &[u8], feed: FeedId) -> Vec<u8> {
    [prefix, feed.as_bytes()].concat()
}
