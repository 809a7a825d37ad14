//! Receiving: a blob that comes in pieces, in any order, and survives an interruption.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, MutexGuard};

use protocol::limits::{BLOB_BYTES_MAX, CHUNK_BYTES};
use protocol::{BlobId, BlobRef, Hash, Subtrees, chunk_count, chunk_len};
use rustix::fs::{SeekFrom, seek};
use tracing::debug;

use crate::arriving::{Arriving, State};
use crate::batch::{Batch, Op, Source};
use crate::direct::PieceFile;
use crate::folder::{Folder, blob_of, remove_quietly};
use crate::ledger::Ledger;
use crate::store::Shared;
use crate::{Store, StoreError};

/// A blob on its way in. Several threads may bring pieces of it.
///
/// Dropped unfinished, what has come stays on disk and is found again by the next
/// [`Store::partial`], in this process or another; it is the first to be evicted.
#[derive(Debug)]
pub struct Partial {
    shared: Arc<Shared>,
    blob: BlobRef,
    state: Arriving,
}

impl Store {
    /// Starts to receive a blob, or goes on where that was interrupted: pieces that came before are
    /// checked again, and its room is set aside.
    ///
    /// # Errors
    /// [`StoreError::Receiving`] if somebody else does, [`StoreError::QuotaExceeded`],
    /// [`StoreError::DiskLow`], [`StoreError::TooLarge`], [`StoreError::Io`],
    /// [`StoreError::Stopped`].
    pub fn partial(&self, blob: BlobRef) -> Result<Partial, StoreError> {
        let shared = Arc::clone(&self.shared);
        if BLOB_BYTES_MAX < blob.size {
            return Err(StoreError::TooLarge { size: blob.size, max: BLOB_BYTES_MAX });
        }
        shared.check_writing()?;
        let come = fs::metadata(shared.folder.partial(blob.id)).map_or(0, |m| m.blocks() * 512);
        shared.check_disk(blob.size.saturating_sub(come))?;
        if blob.size <= CHUNK_BYTES {
            let state = Arriving::new(blob.size, State::Single { bytes: None });
            return Ok(Partial { shared, blob, state });
        }
        if !shared.ledger().start_receiving(blob.id) {
            return Err(StoreError::Receiving { id: blob.id });
        }
        // From here on its drop gives the blob free.
        let partial = Partial { shared, blob, state: Arriving::new(blob.size, State::Unknown) };
        partial.shared.arriving().insert(blob.id, partial.state.clone());
        partial.shared.submit(Batch::of(Op::Reserve { blob }))?;
        if let Some(subtrees) = partial.stored_subtrees()? {
            partial.open_pieces(&subtrees)?;
        }
        Ok(partial)
    }

    /// Gives up what has come of a blob.
    ///
    /// # Errors
    /// [`StoreError::Receiving`] if somebody is receiving it.
    pub fn discard_partial(&self, id: BlobId) -> Result<(), StoreError> {
        let shared = &*self.shared;
        if !shared.ledger().start_receiving(id) {
            return Err(StoreError::Receiving { id });
        }
        remove_files(&shared.folder, id);
        let mut ledger = shared.ledger();
        ledger.drop_partial(id);
        ledger.stop_receiving(id);
        Ok(())
    }
}

impl Partial {
    /// What is being received.
    pub const fn blob(&self) -> BlobRef {
        self.blob
    }

    /// Whether [`Partial::begin`] must come before the first piece.
    pub fn needs_subtrees(&self) -> bool {
        match &*self.state() {
            State::Unknown => true,
            State::Single { .. } | State::Pieces { .. } => false,
        }
    }

    /// The numbers of the pieces that have not come, ascending.
    pub fn missing(&self) -> Vec<u64> {
        match &*self.state() {
            State::Single { bytes: Some(_) } => Vec::new(),
            State::Single { bytes: None } => vec![0],
            State::Unknown => (0..chunk_count(self.blob.size)).collect(),
            State::Pieces { have, .. } => {
                (0..).zip(have).filter(|(_, have)| !**have).map(|(index, _)| index).collect()
            }
        }
    }

    /// Stores the chaining values by which the pieces can be checked again after an interruption.
    ///
    /// # Errors
    /// [`StoreError::NoSubtrees`] if they are another blob's; [`StoreError::Io`].
    pub fn begin(&self, subtrees: &Subtrees) -> Result<(), StoreError> {
        let values = subtrees.values().to_vec();
        if Subtrees::check(self.blob.id, self.blob.size, values).as_ref() != Some(subtrees) {
            return Err(StoreError::NoSubtrees { id: self.blob.id });
        }
        if !self.needs_subtrees() {
            return Ok(());
        }
        let path = self.shared.folder.partial_tree(self.blob.id);
        let mut bytes = self.blob.size.to_le_bytes().to_vec();
        bytes.extend(subtrees.values().iter().flat_map(|value| value.as_bytes()));
        // Not synced: whoever reads it compares it with the blob's name.
        fs::write(&path, bytes).map_err(|e| StoreError::io(&path, e))?;
        self.open_pieces(subtrees)
    }

    /// Takes a piece that the caller has checked with [`Subtrees::holds`].
    ///
    /// # Errors
    /// [`StoreError::NotAPiece`] if its number or length is wrong, [`StoreError::NoSubtrees`]
    /// before [`Partial::begin`], [`StoreError::DiskLow`], [`StoreError::Io`].
    pub fn write(&self, index: u64, piece: &[u8]) -> Result<(), StoreError> {
        let (id, len) = (self.blob.id, piece.len() as u64);
        if chunk_count(self.blob.size) <= index || len != chunk_len(self.blob.size, index) {
            return Err(StoreError::NotAPiece { id, index, len });
        }
        let file = match &mut *self.state() {
            State::Single { bytes } => {
                *bytes = Some(piece.to_vec());
                return Ok(());
            }
            State::Unknown => return Err(StoreError::NoSubtrees { id }),
            State::Pieces { have, .. } if have[index as usize] => return Ok(()),
            State::Pieces { file, .. } => Arc::clone(file),
        };
        self.shared.check_disk(len)?;
        file.write(piece, index * CHUNK_BYTES)
            .map_err(|e| StoreError::io(&self.shared.folder.partial(id), e))?;
        match &mut *self.state() {
            State::Pieces { have, .. } => have[index as usize] = true,
            State::Single { .. } | State::Unknown => {}
        }
        Ok(())
    }

    /// Makes the complete blob durable and part of the store.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] if pieces are missing, [`StoreError::WrongContent`] if a blob of
    /// one piece is another; otherwise as [`Store::put`]. What has come stays for another try.
    pub fn finish(self) -> Result<BlobRef, StoreError> {
        let missing = self.missing().len() as u64;
        if missing != 0 {
            return Err(StoreError::Incomplete { id: self.blob.id, missing });
        }
        let (file, values) = match &mut *self.state() {
            State::Single { bytes } => {
                self.finish_single(bytes.take().unwrap_or_default())?;
                return Ok(self.blob);
            }
            State::Pieces { file, values, .. } => (Arc::clone(file), values.clone()),
            State::Unknown => return Err(StoreError::NoSubtrees { id: self.blob.id }),
        };
        // Its pieces can be read meanwhile.
        self.finish_pieces(&file, values)?;
        Ok(self.blob)
    }

    fn finish_single(&self, bytes: Vec<u8>) -> Result<(), StoreError> {
        let found = BlobRef::of(&bytes);
        if found != self.blob {
            return Err(StoreError::WrongContent { expected: self.blob, found });
        }
        self.shared.put_reader(bytes.as_slice()).map(drop)
    }

    fn finish_pieces(&self, file: &PieceFile, values: Vec<Hash>) -> Result<(), StoreError> {
        let folder = &self.shared.folder;
        let path = folder.partial(self.blob.id);
        file.sync().map_err(|e| StoreError::io(&path, e))?;
        let from = Source::At(path);
        self.shared.submit(Batch::of(Op::File { blob: self.blob, values, from }))?;
        remove_files(folder, self.blob.id);
        Ok(())
    }

    /// The chaining values that an earlier receiver stored, if they are this blob's.
    fn stored_subtrees(&self) -> Result<Option<Subtrees>, StoreError> {
        let path = self.shared.folder.partial_tree(self.blob.id);
        match read_tree(&path, self.blob.id) {
            Ok(Some((size, subtrees))) if size == self.blob.size => Ok(Some(subtrees)),
            Ok(_) => {
                remove_files(&self.shared.folder, self.blob.id);
                Ok(None)
            }
            Err(e) => Err(StoreError::io(&path, e)),
        }
    }

    /// Opens the file of pieces and checks which of them are in it: after a power cut the disk may
    /// hold less than was written.
    fn open_pieces(&self, subtrees: &Subtrees) -> Result<(), StoreError> {
        let path = self.shared.folder.partial(self.blob.id);
        let have = PieceFile::open(&path, self.blob.size)
            .and_then(|file| Ok((present(file.buffered(), self.blob.size, subtrees)?, file)));
        let (have, file) = have.map_err(|e| StoreError::io(&path, e))?;
        let count = have.iter().filter(|have| **have).count();
        debug!(id = %self.blob.id, have = count, of = have.len(), "receiving");
        let values = subtrees.values().to_vec();
        *self.state() = State::Pieces { file: Arc::new(file), values, have };
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.blob.size <= CHUNK_BYTES {
            return;
        }
        let began = !self.needs_subtrees();
        self.shared.arriving().remove(&self.blob.id);
        let mut ledger = self.shared.ledger();
        if !began {
            ledger.drop_partial(self.blob.id);
        }
        ledger.stop_receiving(self.blob.id);
    }
}

/// Counts what an earlier process left half received, and removes what cannot be gone on with.
pub(crate) fn restore(folder: &Folder, ledger: &mut Ledger) -> io::Result<()> {
    for entry in fs::read_dir(folder.partials())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(id) = blob_of(name.strip_suffix(".tree").unwrap_or(name)) else {
            remove_quietly(&path);
            continue;
        };
        let tree = read_tree(&folder.partial_tree(id), id)?;
        match tree {
            Some((size, _)) if !ledger.knows(id) && folder.partial(id).exists() => {
                ledger.reserve(BlobRef { id, size });
            }
            Some(_) | None => remove_files(folder, id),
        }
    }
    Ok(())
}

fn remove_files(folder: &Folder, id: BlobId) {
    remove_quietly(&folder.partial(id));
    remove_quietly(&folder.partial_tree(id));
}

/// Size and chaining values, if the file holds those of `id` and nothing else.
fn read_tree(path: &Path, id: BlobId) -> io::Result<Option<(u64, Subtrees)>> {
    let max = 8 + 32 * chunk_count(BLOB_BYTES_MAX);
    match fs::metadata(path) {
        Ok(meta) if meta.len() <= max => {}
        Ok(_) => return Ok(None),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    }
    let bytes = fs::read(path)?;
    let Some((size, values)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let (values, rest) = values.as_chunks::<32>();
    let size = u64::from_le_bytes(*size);
    if !rest.is_empty() || BLOB_BYTES_MAX < size {
        return Ok(None);
    }
    let values = values.iter().map(|value| Hash::new(*value)).collect();
    Ok(Subtrees::check(id, size, values).map(|subtrees| (size, subtrees)))
}

/// Which pieces of the file are what they should be. Holes are skipped, not read.
fn present(file: &File, size: u64, subtrees: &Subtrees) -> io::Result<Vec<bool>> {
    let mut have = vec![false; chunk_count(size) as usize];
    let mut piece = Vec::new();
    let mut index = 0;
    while let Some(data) = next_data(file, index * CHUNK_BYTES)?
        && data < size
    {
        index = data / CHUNK_BYTES;
        piece.resize(chunk_len(size, index) as usize, 0);
        file.read_exact_at(&mut piece, index * CHUNK_BYTES)?;
        have[index as usize] = subtrees.holds(index, &piece);
        index += 1;
    }
    Ok(have)
}

/// Where the next bytes are that were ever written.
fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    match seek(file, SeekFrom::Data(from)) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        // The file system does not know holes.
        Err(rustix::io::Errno::INVAL) => Ok(Some(from)),
        Err(e) => Err(e.into()),
    }
}
