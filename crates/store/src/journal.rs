//! The journal: the engine's records by key, and how changes become durable.

use std::sync::mpsc;

use crate::batch::{BATCH_BYTES_MAX, Batch};
use crate::queue::Request;
use crate::store::Shared;
use crate::{Store, StoreError, tables};

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

impl Store {
    /// Writes a batch and returns once it is durable, together with all who wait at the same time.
    ///
    /// # Errors
    /// A batch is refused as a whole: [`StoreError::QuotaExceeded`] and [`StoreError::DiskLow`] on
    /// account of its blobs, [`StoreError::TooLarge`] beyond [`BATCH_BYTES_MAX`]. After
    /// [`StoreError::Stopped`] nothing can be written until the store is opened again.
    ///
    /// # Panics
    /// In a callback of [`Store::commit_with`], which would wait for itself.
    pub fn commit(&self, batch: impl Into<Batch>) -> Result<(), StoreError> {
        self.shared.submit(batch.into())
    }

    /// Writes a batch and calls `on_durable` once, after it is durable or was refused as in
    /// [`Store::commit`].
    ///
    /// The callback runs on the writer's thread, so it should pass the word on and return.
    pub fn commit_with(
        &self,
        batch: impl Into<Batch>,
        on_durable: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        self.shared.submit_with(batch.into(), on_durable);
    }

    /// Writes a batch that nobody waits for: it is durable with the next commit, after 1 s, or after
    /// [`Store::flush`]. If it cannot be written, that is only logged.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] and [`StoreError::Stopped`].
    pub fn write_soon(&self, batch: impl Into<Batch>) -> Result<(), StoreError> {
        let batch = batch.into();
        check(&batch)?;
        self.shared.check_writing()?;
        self.shared.submit_soon(batch)
    }

    /// Returns once everything that was given before is durable.
    ///
    /// # Errors
    /// [`StoreError::Stopped`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.shared.submit(Batch::default())
    }

    /// Erases every record whose key starts with `prefix`, durably.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn remove_prefix(&self, prefix: &[u8]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.erase_prefix(prefix.to_vec());
        self.shared.submit(batch)
    }

    /// The durable value of a key.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the index cannot be read.
    pub fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared.read(|txn| tables::record(txn, key))
    }

    /// All durable records under `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the index cannot be read.
    pub fn scan(&self, prefix: &[u8]) -> Result<Vec<Record>, StoreError> {
        let mut found = Vec::new();
        self.scan_each(prefix, |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            true
        })?;
        Ok(found)
    }

    /// Shows `see` the durable records under `prefix`, in the order of their keys, until it says
    /// `false`: for more than should be in memory at once.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the index cannot be read.
    pub fn scan_each(
        &self,
        prefix: &[u8],
        see: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.shared.read(|txn| tables::records(txn, prefix, see))
    }
}

impl Shared {
    pub(crate) fn submit(&self, batch: Batch) -> Result<(), StoreError> {
        assert!(!self.queue.is_writer(), "a callback of a commit must not wait for a commit");
        let (tell, told) = mpsc::sync_channel(1);
        self.submit_with(batch, move |end| {
            // The receiver waits below until it is told.
            let _ = tell.send(end);
        });
        told.recv().unwrap_or_else(|_| Err(closed()))
    }

    pub(crate) fn submit_with(
        &self,
        batch: Batch,
        on_durable: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        if let Err(refused) = check(&batch).and_then(|()| self.check_writing()) {
            return on_durable(Err(refused));
        }
        let request = Request { batch, done: Some(Box::new(on_durable)) };
        if let Err(Request { done: Some(done), .. }) = self.queue.push(request) {
            done(Err(closed()));
        }
    }

    pub(crate) fn submit_soon(&self, batch: Batch) -> Result<(), StoreError> {
        self.queue.push(Request { batch, done: None }).map_err(|_| closed())
    }
}

fn check(batch: &Batch) -> Result<(), StoreError> {
    if BATCH_BYTES_MAX < batch.bytes() {
        return Err(StoreError::TooLarge {
            size: batch.bytes() as u64,
            max: BATCH_BYTES_MAX as u64,
        });
    }
    Ok(())
}

/// What a part of the store that outlived it is told.
fn closed() -> StoreError {
    StoreError::Stopped { reason: "it was closed".into() }
}
