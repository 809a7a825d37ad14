//! Bytes as they stream by: cut into pieces of 1 MiB, hashed once, named at the end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use protocol::limits::{BLOB_BYTES_MAX, CHUNK_BYTES};
use protocol::{BlobId, BlobRef, Hash, Subtrees};

use crate::StoreError;
use crate::folder::{Folder, Scratch};

/// The name of a blob whose pieces come one after the other.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    size: u64,
    alone: Option<BlobId>,
    values: Vec<Hash>,
}

impl Digest {
    /// Takes the next piece; all but the last are exactly 1 MiB long, and none is empty.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.alone = if self.size == 0 { Some(BlobId::of(piece)) } else { None };
        self.values.push(Subtrees::value_of(self.values.len() as u64, piece));
        self.size += piece.len() as u64;
        if BLOB_BYTES_MAX < self.size {
            return Err(StoreError::TooLarge { size: self.size, max: BLOB_BYTES_MAX });
        }
        Ok(())
    }

    /// The blob, and its chaining values if it has several pieces.
    pub(crate) fn finish(self) -> (BlobRef, Vec<Hash>) {
        if self.size == 0 {
            return (BlobRef::of(&[]), Vec::new());
        }
        match self.alone {
            Some(id) => (BlobRef { id, size: self.size }, Vec::new()),
            None => (BlobRef { id: Subtrees::name(&self.values), size: self.size }, self.values),
        }
    }
}

/// Fills `piece` with up to 1 MiB; it stays empty at the end only.
pub(crate) fn read_piece(reader: &mut impl Read, piece: &mut Vec<u8>) -> io::Result<()> {
    piece.clear();
    reader.take(CHUNK_BYTES).read_to_end(piece).map(|_| ())
}

/// Hashes everything that `reader` gives.
pub(crate) fn digest(mut reader: impl Read) -> Result<(BlobRef, Vec<Hash>), StoreError> {
    let mut digest = Digest::default();
    let mut piece = Vec::new();
    loop {
        read_piece(&mut reader, &mut piece).map_err(source)?;
        if piece.is_empty() {
            return Ok(digest.finish());
        }
        digest.push(&piece)?;
    }
}

/// A new file that will be a blob: written, hashed and synced, but not yet in its place.
#[derive(Debug)]
pub(crate) struct Intake {
    digest: Digest,
    file: File,
    scratch: Scratch,
}

impl Intake {
    pub(crate) fn new(folder: &Folder) -> Result<Self, StoreError> {
        let (file, scratch) = folder.new_scratch()?;
        Ok(Self { digest: Digest::default(), file, scratch })
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.digest.push(piece)?;
        self.file.write_all(piece).map_err(|e| StoreError::io(self.scratch.path(), e))
    }

    pub(crate) const fn size(&self) -> u64 {
        self.digest.size
    }

    /// Makes the bytes durable. A failed fsync is safe here: the file is thrown away.
    pub(crate) fn finish(self) -> Result<(BlobRef, Vec<Hash>, Scratch), StoreError> {
        self.file.sync_data().map_err(|e| StoreError::io(self.scratch.path(), e))?;
        let (blob, values) = self.digest.finish();
        Ok((blob, values, self.scratch))
    }
}

pub(crate) fn source(error: io::Error) -> StoreError {
    StoreError::Source { source: Arc::new(error) }
}
