//! The store itself: what its methods and its writer share.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use protocol::BlobId;
use redb::{Database, ReadableDatabase};
use tracing::error;

use crate::arriving::Arriving;
use crate::folder::{Folder, Lock};
use crate::ledger::Ledger;
use crate::queue::Queue;
use crate::{Options, StoreError};

/// A folder of blobs and records, open in this process and in no other.
///
/// Every method blocks for as long as the disk takes, except [`Store::commit_with`] and
/// [`Store::write_soon`], which block only while 64 MiB wait for the disk. Dropping it writes what
/// waits.
#[derive(Debug)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the blobs take, in bytes; each is charged 512 bytes beside its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub quota: u64,
    /// All blobs, and those that are being received.
    pub used: u64,
    /// Blobs that are pinned.
    pub pinned: u64,
    pub blobs: u64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: Folder,
    pub(crate) db: Database,
    pub(crate) queue: Queue,
    pub(crate) commits: AtomicU64,
    options: Options,
    ledger: Mutex<Ledger>,
    /// What is being received; as many as there are receivers.
    arriving: Mutex<BTreeMap<BlobId, Arriving>>,
    stopped: OnceLock<StoreError>,
    /// Given free last, when the index is closed.
    _lock: Lock,
}

impl Store {
    pub(crate) fn new(shared: Shared) -> io::Result<Self> {
        let shared = Arc::new(shared);
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || crate::writer::run(&for_writer))?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// What the blobs take of the quota.
    pub fn usage(&self) -> Usage {
        self.shared.ledger().usage()
    }

    /// Whether a blob of so many bytes may find room, as things are now.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`], [`StoreError::DiskLow`], [`StoreError::Io`].
    pub fn check_room(&self, bytes: u64) -> Result<(), StoreError> {
        let Usage { quota, pinned, .. } = self.usage();
        if quota.saturating_sub(pinned) < bytes {
            return Err(StoreError::QuotaExceeded { need: bytes, quota, pinned });
        }
        self.shared.check_disk(bytes)
    }

    /// How many transactions were made durable since the store was opened; each is one fsync.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.queue.close();
        // A callback may hold the last handle, and the writer cannot wait for itself.
        if let Some(writer) = self.writer.take()
            && !self.shared.queue.is_writer()
            && writer.join().is_err()
        {
            error!("the writer panicked");
        }
    }
}

impl Shared {
    pub(crate) fn new(
        folder: Folder,
        db: Database,
        ledger: Ledger,
        options: Options,
        lock: Lock,
    ) -> Self {
        Self {
            folder,
            db,
            queue: Queue::default(),
            commits: AtomicU64::new(0),
            options,
            ledger: Mutex::new(ledger),
            arriving: Mutex::default(),
            stopped: OnceLock::new(),
            _lock: lock,
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arriving(&self) -> MutexGuard<'_, BTreeMap<BlobId, Arriving>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses if `bytes` more would leave too little free space for records.
    pub(crate) fn check_disk(&self, bytes: u64) -> Result<(), StoreError> {
        let free = self.folder.free_bytes()?;
        let keep = self.options.free_bytes_min;
        if free < keep.saturating_add(bytes) {
            return Err(StoreError::DiskLow { dir: self.folder.dir().to_owned(), free, keep });
        }
        Ok(())
    }

    /// The quota, which no blob can outgrow.
    pub(crate) const fn quota(&self) -> u64 {
        self.options.quota_bytes
    }

    /// Nothing is written from now on.
    pub(crate) fn stop(&self, reason: String) -> StoreError {
        error!(reason, dir = %self.folder.dir().display(), "the store has stopped writing");
        self.stopped.get_or_init(|| StoreError::Stopped { reason: reason.into() }).clone()
    }

    pub(crate) fn check_writing(&self) -> Result<(), StoreError> {
        self.stopped.get().map_or(Ok(()), |stopped| Err(stopped.clone()))
    }

    /// A snapshot of the index, read by `read`.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let txn = self.db.begin_read().map_err(redb::Error::from);
        txn.and_then(|txn| read(&txn)).map_err(|error| {
            StoreError::io(&self.folder.index(), io::Error::other(error.to_string()))
        })
    }
}
