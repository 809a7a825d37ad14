//! Blobs: bytes under the name that they hash to.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use protocol::limits::{BLOB_BYTES_MAX, CHUNK_BYTES};
use protocol::{BlobId, BlobRef, Hash, Subtrees, chunk_count, chunk_len};
use tracing::warn;

use crate::batch::{Batch, Op, Pin, Source};
use crate::folder::remove_quietly;
use crate::ledger::{Entry, Place};
use crate::pieces::{Intake, digest, read_piece, source};
use crate::store::Shared;
use crate::{Store, StoreError, tables};

/// Blobs up to this size live in the index, where they cost no file and no fsync of their own.
pub(crate) const SMALL_BYTES_MAX: u64 = 64 << 10;

/// A blob that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub blob: BlobRef,
    /// Who needs it to stay; nobody, if it may be evicted.
    pub pins: Vec<Pin>,
}

/// Storing and removing.
impl Store {
    /// Stores bytes, durably.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`], [`StoreError::DiskLow`], [`StoreError::Io`] if the disk
    /// refused, [`StoreError::Stopped`].
    pub fn put(&self, bytes: &[u8]) -> Result<BlobRef, StoreError> {
        self.put_reader(bytes)
    }

    /// Stores everything that `reader` gives, durably, with a mebibyte or two of memory.
    ///
    /// # Errors
    /// As [`Store::put`]; [`StoreError::Source`] if the reader fails, [`StoreError::TooLarge`]
    /// beyond the largest blob.
    pub fn put_reader(&self, reader: impl Read) -> Result<BlobRef, StoreError> {
        self.shared.put_reader(reader)
    }

    /// Takes over a file that holds the blob `expected`, durably: it is hashed, then moved, or
    /// copied if it lies on another disk. It is gone afterwards; on an error it stays.
    ///
    /// Nobody may write to it any more.
    ///
    /// # Errors
    /// [`StoreError::WrongContent`] if it holds something else; otherwise as [`Store::put_reader`].
    pub fn adopt(&self, path: &Path, expected: BlobRef) -> Result<(), StoreError> {
        let shared = &*self.shared;
        let at = |e| StoreError::io(path, e);
        let meta = fs::symlink_metadata(path).map_err(at)?;
        if !meta.is_file() {
            return Err(at(io::Error::other("not a regular file")));
        }
        let file = File::open(path).map_err(at)?;
        let (found, values) = digest(&file)?;
        if found != expected {
            return Err(StoreError::WrongContent { expected, found });
        }
        let home = fs::metadata(shared.folder.blobs()).map_err(at)?;
        if found.size <= SMALL_BYTES_MAX || home.dev() != meta.dev() {
            let copied = self.put_reader(File::open(path).map_err(at)?)?;
            if copied != expected {
                return Err(StoreError::WrongContent { expected, found: copied });
            }
        } else if !shared.holds(found.id) {
            file.sync_data().map_err(at)?;
            let from = Source::At(path.to_owned());
            shared.submit(Batch::of(Op::File { blob: found, values, from }))?;
        }
        remove_quietly(path);
        Ok(())
    }

    /// Removes a blob; one that is not here is fine.
    ///
    /// # Errors
    /// [`StoreError::Pinned`] if somebody needs it; [`StoreError::Stopped`].
    pub fn remove(&self, id: BlobId) -> Result<(), StoreError> {
        self.shared.submit(Batch::of(Op::Remove { id }))
    }

    /// Keeps a blob from eviction, durably, be it here already or not.
    ///
    /// # Errors
    /// [`StoreError::Stopped`].
    pub fn pin(&self, id: BlobId, owner: Pin) -> Result<(), StoreError> {
        self.shared.submit(Batch::of(Op::Pin { id, owner }))
    }

    /// Takes back one pin, durably.
    ///
    /// # Errors
    /// [`StoreError::Stopped`].
    pub fn unpin(&self, id: BlobId, owner: Pin) -> Result<(), StoreError> {
        self.shared.submit(Batch::of(Op::Unpin { id, owner }))
    }

    /// Takes back all pins of an owner, durably.
    ///
    /// # Errors
    /// [`StoreError::Stopped`].
    pub fn unpin_all(&self, owner: Pin) -> Result<(), StoreError> {
        self.shared.submit(Batch::of(Op::UnpinAll { owner }))
    }
}

/// Reading. Whatever is returned was checked against its name.
impl Store {
    /// Whether a blob is here.
    pub fn contains(&self, id: BlobId) -> bool {
        self.size(id).is_some()
    }

    /// The size of a blob that is here, in bytes.
    pub fn size(&self, id: BlobId) -> Option<u64> {
        self.shared.ledger().peek(id).map(|entry| entry.size)
    }

    /// All blobs, by name.
    pub fn list(&self) -> Vec<Held> {
        let ledger = self.shared.ledger();
        let held = |(id, entry): (BlobId, &Entry)| Held {
            blob: BlobRef { id, size: entry.size },
            pins: ledger.owners(id),
        };
        ledger.each().map(held).collect()
    }

    /// What is pinned by such owners and by no others, in bytes.
    pub fn pinned_by(&self, owners: impl Fn(&Pin) -> bool) -> u64 {
        let ledger = self.shared.ledger();
        let is_theirs = |id: BlobId| {
            let of = ledger.owners(id);
            !of.is_empty() && of.iter().all(&owners)
        };
        ledger.each().filter(|(id, _)| is_theirs(*id)).map(|(_, entry)| entry.size).sum()
    }

    /// A whole blob of at most `max` bytes.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::TooLarge`]; [`StoreError::Corrupt`] once, and
    /// `Missing` from then on; [`StoreError::Io`].
    pub fn get(&self, id: BlobId, max: u64) -> Result<Vec<u8>, StoreError> {
        let entry = self.shared.find(id)?;
        if max < entry.size {
            return Err(StoreError::TooLarge { size: entry.size, max });
        }
        let bytes = self.shared.read_span(id, entry, 0, entry.size)?;
        if BlobId::of(&bytes) == id { Ok(bytes) } else { Err(self.shared.damaged(id, entry)) }
    }

    /// Piece `index` of a blob: a mebibyte, or what is left of it.
    ///
    /// # Errors
    /// As [`Store::get`]; [`StoreError::NotAPiece`] if it has no such piece.
    pub fn read_chunk(&self, id: BlobId, index: u64) -> Result<Vec<u8>, StoreError> {
        let shared = &*self.shared;
        let entry = shared.find(id)?;
        if chunk_count(entry.size) <= index {
            return Err(StoreError::NotAPiece { id, index, len: 0 });
        }
        let len = chunk_len(entry.size, index);
        let bytes = shared.read_span(id, entry, index * CHUNK_BYTES, len)?;
        let holds = if entry.size <= CHUNK_BYTES {
            BlobId::of(&bytes) == id
        } else {
            let value = shared.read(|txn| tables::value(txn, id, index))?;
            value == Some(Subtrees::value_of(index, &bytes))
        };
        if holds { Ok(bytes) } else { Err(shared.damaged(id, entry)) }
    }

    /// A blob's size and the chaining values of its pieces, for [`Subtrees::check`]; none for a blob
    /// of a single piece.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn subtrees(&self, id: BlobId) -> Result<(u64, Vec<Hash>), StoreError> {
        let entry = self.shared.find(id)?;
        let values = self.shared.read(|txn| tables::values(txn, id, entry.size))?;
        Ok((entry.size, values))
    }

    /// Where the bytes of a blob of more than 64 KiB are, to be read only. Nothing is checked; pin
    /// the blob for as long as the path is used.
    pub fn path(&self, id: BlobId) -> Option<PathBuf> {
        let entry = self.shared.ledger().find(id)?;
        match entry.place {
            Place::Small => None,
            Place::File => Some(self.shared.folder.blob(id)),
        }
    }

    /// Reads a whole blob and checks it, with little memory.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn verify(&self, id: BlobId) -> Result<(), StoreError> {
        let size = self.shared.find(id)?.size;
        (0..chunk_count(size)).try_for_each(|index| self.read_chunk(id, index).map(drop))
    }
}

impl Shared {
    pub(crate) fn put_reader(&self, mut reader: impl Read) -> Result<BlobRef, StoreError> {
        let mut piece = Vec::new();
        read_piece(&mut reader, &mut piece).map_err(source)?;
        if piece.len() as u64 <= SMALL_BYTES_MAX {
            return self.put_small(piece);
        }
        self.check_writing()?;
        let mut intake = Intake::new(&self.folder)?;
        while !piece.is_empty() {
            self.check_disk(piece.len() as u64)?;
            intake.push(&piece)?;
            if self.quota() < intake.size() {
                let pinned = self.ledger().usage().pinned;
                let (need, quota) = (intake.size(), self.quota());
                return Err(StoreError::QuotaExceeded { need, quota, pinned });
            }
            read_piece(&mut reader, &mut piece).map_err(source)?;
        }
        let (blob, values, scratch) = intake.finish()?;
        if !self.holds(blob.id) {
            let from = Source::Scratch(scratch);
            self.submit(Batch::of(Op::File { blob, values, from }))?;
        }
        Ok(blob)
    }

    pub(crate) fn put_small(&self, bytes: Vec<u8>) -> Result<BlobRef, StoreError> {
        let mut batch = Batch::default();
        let blob = batch.blob(bytes);
        if !self.holds(blob.id) {
            self.submit(batch)?;
        }
        Ok(blob)
    }

    /// Whether a blob is here and durable; it counts as a use.
    pub(crate) fn holds(&self, id: BlobId) -> bool {
        self.ledger().find(id).is_some()
    }

    fn find(&self, id: BlobId) -> Result<Entry, StoreError> {
        self.ledger().find(id).ok_or(StoreError::Missing { id })
    }

    fn read_span(
        &self,
        id: BlobId,
        entry: Entry,
        start: u64,
        len: u64,
    ) -> Result<Vec<u8>, StoreError> {
        debug_assert!(entry.size <= BLOB_BYTES_MAX, "no larger blob is taken in");
        match entry.place {
            Place::Small => {
                let bytes = self.read(|txn| tables::small(txn, id))?;
                bytes
                    .filter(|bytes| bytes.len() as u64 == len)
                    .ok_or_else(|| self.damaged(id, entry))
            }
            Place::File => self.read_file(id, entry, start, len),
        }
    }

    fn read_file(
        &self,
        id: BlobId,
        entry: Entry,
        start: u64,
        len: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let path = self.folder.blob(id);
        // Not zeroed first: that would cost as much as checking what is read.
        let mut bytes = Vec::with_capacity(len as usize);
        let read = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.take(len).read_to_end(&mut bytes)
        });
        match read {
            Ok(read) if read as u64 == len => Ok(bytes),
            Ok(_) => Err(self.damaged(id, entry)),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(self.damaged(id, entry)),
            Err(e) => Err(StoreError::io(&path, e)),
        }
    }

    /// Takes a damaged blob out of use and says so, unless it has only been evicted meanwhile.
    fn damaged(&self, id: BlobId, entry: Entry) -> StoreError {
        let mut ledger = self.ledger();
        if ledger.peek(id).is_none_or(|now| now.born != entry.born) {
            return StoreError::Missing { id };
        }
        ledger.hide(id, entry.born);
        drop(ledger);
        warn!(%id, size = entry.size, "a blob is damaged on disk");
        // If the store is closing, it is found again by whoever reads it next.
        drop(self.submit_soon(Batch::of(Op::SetAside { id, born: entry.born })));
        StoreError::Corrupt { id }
    }
}
