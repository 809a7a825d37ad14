//! A courier brings blobs of one job into the store, from whoever has them.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::FetchLoss;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use net::{FetchError, Key};
use protocol::limits::{TREE_BYTES_MAX, TREE_ENTRIES_MAX};
use protocol::{BlobId, BlobRef, JobId, PeerId, Subtrees, Tree};
use store::{Batch, Partial, Pin, StoreError};
use tokio::time::timeout;
use tracing::debug;

use crate::shell::Shared;

/// Blobs of one want on their way at the same time; the network bounds the bytes.
const AT_ONCE: usize = 8;
/// Tries for one blob; between two of them other peers may have come.
const ROUNDS: u32 = 4;
/// How long to wait for other peers after the second round; doubles with each.
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// Providers that one try asks.
const PROVIDERS_MAX: usize = 32;
/// Peers of the DHT's answer that are dialled.
const DIALS_MAX: usize = 4;
/// How long such a dial may take.
const DIAL_WITHIN: Duration = Duration::from_secs(5);
/// Trees within trees: a dataset of a million parts has two levels.
const TREE_DEPTH_MAX: usize = 8;
/// Files of one dataset, over all levels of its trees.
const FILES_MAX: usize = 16 * TREE_ENTRIES_MAX;
/// The share of the store that may be filled with what others ask this node to keep: a half.
const KEPT_SHARE: u64 = 2;
/// How often to look whether another transfer of the same blob has ended.
const SAME_BLOB_EVERY: Duration = Duration::from_millis(100);

/// Brings blobs for one job; `from` are likely providers, best first.
#[derive(Clone, Debug)]
pub(crate) struct Courier {
    pub(crate) shared: Arc<Shared>,
    pub(crate) job: JobId,
    pub(crate) from: Vec<PeerId>,
    /// What may still be brought, where that is bounded.
    room: Option<Arc<Room>>,
}

/// Room for what others ask this node to keep: what is on its way takes some of it, whichever fetch it is of.
#[derive(Debug)]
struct Room {
    /// What all of them together have on its way, in bytes.
    all: Arc<AtomicU64>,
    /// What that may be at most.
    most: u64,
    /// What this one has.
    taken: AtomicU64,
}

impl Room {
    fn take(&self, bytes: u64) -> Result<(), FetchLoss> {
        let more = |all: u64| all.checked_add(bytes).filter(|all| *all <= self.most);
        let taken = self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map_err(|_| FetchLoss::NoRoom)?;
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

impl Courier {
    pub(crate) fn new(shared: &Arc<Shared>, job: JobId, from: Vec<PeerId>) -> Self {
        Self { shared: Arc::clone(shared), job, from, room: None }
    }

    /// Bounds what is brought: whatever others ask this node to keep takes at most half of its store.
    pub(crate) async fn keep_within(&mut self, kept: BTreeSet<JobId>) {
        let most = self.shared.with_store(move |store| {
            let of_kept = |owner: &Pin| matches!(owner, Pin::Job(job) if kept.contains(job));
            let taken = store.pinned_by(of_kept);
            (store.usage().quota / KEPT_SHARE).saturating_sub(taken)
        });
        let (all, most) = (Arc::clone(&self.shared.keeping), most.await);
        self.room = Some(Arc::new(Room { all, most, taken: AtomicU64::new(0) }));
    }

    /// A courier that asks these first.
    pub(crate) fn asking_first(&self, holders: &[PeerId]) -> Self {
        let from = holders.iter().chain(&self.from).copied().collect();
        Self { from, ..self.clone() }
    }

    /// Brings all of these, each once, pinned for the job.
    pub(crate) async fn blobs(&self, mut blobs: Vec<BlobRef>) -> Result<(), FetchLoss> {
        blobs.sort();
        blobs.dedup();
        self.pin(&blobs)?;
        let coming = blobs.into_iter().map(|blob| self.bring(blob));
        stream::iter(coming).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Brings one blob of at most `max` bytes, pinned for the job, and reads it.
    pub(crate) async fn read(&self, blob: BlobRef, max: u64) -> Result<Vec<u8>, FetchLoss> {
        if max < blob.size {
            return Err(FetchLoss::Malformed(blob.id));
        }
        self.blobs(vec![blob]).await?;
        let read = self.shared.with_store(move |store| store.get(blob.id, max)).await;
        read.map_err(|_| FetchLoss::Missing(blob.id))
    }

    /// Brings and reads a tree.
    pub(crate) async fn tree(&self, tree: BlobRef) -> Result<Tree, FetchLoss> {
        let bytes = self.read(tree, TREE_BYTES_MAX as u64).await?;
        Tree::from_bytes(&bytes).map_err(|_| FetchLoss::Malformed(tree.id))
    }

    /// Brings trees with everything that is in them, however deep.
    pub(crate) async fn deep_trees(&self, roots: Vec<BlobRef>) -> Result<(), FetchLoss> {
        let mut trees = Vec::new();
        for root in roots {
            trees.push((root.id, self.tree(root).await?));
        }
        self.entries(trees).await
    }

    /// Brings everything that these trees list, however deep.
    pub(crate) async fn entries(&self, trees: Vec<(BlobId, Tree)>) -> Result<(), FetchLoss> {
        let mut seen: BTreeSet<BlobId> = trees.iter().map(|(id, _)| *id).collect();
        let mut level = trees;
        let mut files = 0;
        for _ in 0..TREE_DEPTH_MAX {
            let mut blobs = Vec::new();
            let mut below = Vec::new();
            for (id, tree) in std::mem::take(&mut level) {
                files += tree.entries().len();
                if FILES_MAX < files {
                    return Err(FetchLoss::Malformed(id));
                }
                for entry in tree.entries() {
                    if !entry.is_tree {
                        blobs.push(entry.blob);
                    } else if seen.insert(entry.blob.id) {
                        below.push(entry.blob);
                    }
                }
            }
            self.blobs(blobs).await?;
            if below.is_empty() {
                return Ok(());
            }
            for tree in below {
                level.push((tree.id, self.tree(tree).await?));
            }
        }
        Err(FetchLoss::Malformed(level[0].0))
    }

    /// Pins come first: what arrives under one is never evicted.
    fn pin(&self, blobs: &[BlobRef]) -> Result<(), FetchLoss> {
        let mut batch = Batch::default();
        for blob in blobs {
            batch.pin(blob.id, Pin::Job(self.job));
        }
        self.shared.store.write_soon(batch).map_err(|_| FetchLoss::NoRoom)
    }

    async fn bring(&self, blob: BlobRef) -> Result<(), FetchLoss> {
        if let Some(room) = &self.room
            && self.shared.store.size(blob.id).is_none()
        {
            room.take(blob.size)?;
        }
        let mut peers = self.shared.peers_changed.subscribe();
        let mut round = 0;
        while round < ROUNDS {
            match self.shared.store.size(blob.id) {
                Some(size) if size == blob.size => return Ok(()),
                Some(_) => return Err(FetchLoss::Malformed(blob.id)),
                None => {}
            }
            let partial = match self.shared.with_store(move |store| store.partial(blob)).await {
                Ok(partial) => partial,
                Err(StoreError::Receiving { .. }) => {
                    // Another fetch brings it; it ends in any case.
                    tokio::time::sleep(SAME_BLOB_EVERY).await;
                    continue;
                }
                Err(error) => return Err(self.refused(blob, &error)),
            };
            peers.mark_unchanged();
            let providers = self.providers(blob, round).await;
            let sink = Box::new(Incoming { partial: Some(partial) });
            match self.shared.net.fetch(blob, providers, sink).await {
                Ok(_) => {
                    self.shared.counters.bytes_fetched.add(blob.size);
                    return Ok(());
                }
                Err(FetchError::Unavailable { missing, .. }) => {
                    debug!(blob = %blob.id, missing, round, "no provider could deliver");
                }
                Err(FetchError::Sink(error)) => return Err(self.sink_refused(blob, &error)),
                Err(FetchError::TooLarge { .. } | FetchError::NoSuchPiece { .. }) => {
                    return Err(FetchLoss::Malformed(blob.id));
                }
            }
            if 0 < round && round + 1 < ROUNDS {
                // Somebody new may have it; if nobody comes, those who were asked may be back.
                let _ = timeout(WAIT_FIRST * (1 << (round - 1)), peers.changed()).await;
            }
            round += 1;
        }
        Err(FetchLoss::Missing(blob.id))
    }

    /// First whom the job's log names; then whoever is connected, and whom the DHT knows.
    async fn providers(&self, blob: BlobRef, round: u32) -> Vec<PeerId> {
        let mut providers = self.from.clone();
        if round != 0 || providers.is_empty() {
            providers.extend(self.shared.net.peers().into_iter().map(|info| info.peer));
        }
        if round != 0 {
            let keys = [Key::job(self.job), Key::blob(blob.id)];
            providers
                .extend(join_all(keys.map(|key| self.hinted(key))).await.into_iter().flatten());
        }
        let mut seen = BTreeSet::new();
        providers.retain(|peer| *peer != self.shared.me && seen.insert(*peer));
        providers.truncate(PROVIDERS_MAX);
        providers
    }

    /// Whom the DHT knows, connected if they can be. It is a hint: without an answer there are others.
    async fn hinted(&self, key: Key) -> Vec<PeerId> {
        let mut known = self.shared.net.providers(key).await.unwrap_or_default();
        known.retain(|peer| *peer != self.shared.me);
        known.truncate(DIALS_MAX);
        let dials = known.iter().map(|peer| timeout(DIAL_WITHIN, self.shared.net.connect(*peer)));
        join_all(dials).await;
        known
    }

    fn sink_refused(&self, blob: BlobRef, error: &io::Error) -> FetchLoss {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>()) {
            Some(error) => self.refused(blob, error),
            None => FetchLoss::NoRoom,
        }
    }

    fn refused(&self, blob: BlobRef, error: &StoreError) -> FetchLoss {
        debug!(blob = %blob.id, job = %self.job, %error, "the store refused a blob");
        match error {
            // One mebibyte or less is checked as a whole by the store: a wrong size in its name.
            StoreError::WrongContent { .. } | StoreError::TooLarge { .. } => {
                FetchLoss::Malformed(blob.id)
            }
            StoreError::Missing { .. }
            | StoreError::Corrupt { .. }
            | StoreError::QuotaExceeded { .. }
            | StoreError::DiskLow { .. }
            | StoreError::Pinned { .. }
            | StoreError::Receiving { .. }
            | StoreError::NotAPiece { .. }
            | StoreError::NoSubtrees { .. }
            | StoreError::Incomplete { .. }
            | StoreError::Source { .. }
            | StoreError::Io { .. }
            | StoreError::Stopped { .. } => FetchLoss::NoRoom,
        }
    }
}

/// A blob on its way into the store.
#[derive(Debug)]
struct Incoming {
    /// Until the end.
    partial: Option<Partial>,
}

impl Incoming {
    fn partial(&self) -> io::Result<&Partial> {
        self.partial.as_ref().ok_or_else(|| io::Error::other("the transfer has ended"))
    }
}

impl net::Sink for Incoming {
    fn missing(&mut self) -> Vec<u64> {
        self.partial.as_ref().map_or_else(Vec::new, Partial::missing)
    }

    fn begin(&mut self, trees: &Subtrees) -> io::Result<()> {
        self.partial()?.begin(trees).map_err(io::Error::other)
    }

    fn write(&mut self, index: u64, bytes: &[u8]) -> io::Result<()> {
        self.partial()?.write(index, bytes).map_err(io::Error::other)
    }

    fn end(&mut self) -> io::Result<()> {
        match self.partial.take() {
            Some(partial) => partial.finish().map(drop).map_err(io::Error::other),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_for_others_share_one_room_and_give_theirs_back() {
        let all = Arc::new(AtomicU64::new(0));
        let room = |most| Room { all: Arc::clone(&all), most, taken: AtomicU64::new(0) };
        let (one, other) = (room(100), room(100));
        assert_eq!(one.take(60), Ok(()));
        assert_eq!(other.take(60), Err(FetchLoss::NoRoom));
        assert_eq!(other.take(40), Ok(()));
        assert_eq!(other.take(u64::MAX), Err(FetchLoss::NoRoom));
        drop(one);
        assert_eq!(other.take(60), Ok(()));
        drop(other);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
