//! Reading blobs, those among them that lie inside packs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::limits::{CHUNK_BYTES, PACK_BYTES_MAX};
use protocol::{BlobId, Pack, chunk_count};
use store::{Store, StoreError};

/// Larger blobs are read piece by piece.
const WHOLE_BYTES_MAX: u64 = 64 << 20;
/// Outputs inside packs whose pack is remembered, twice: about 20 bytes each.
const INSIDE_MAX: usize = 1 << 20;
/// Packs that are kept decoded: whoever reads one output reads the next one soon.
const PACKS_OPEN_MAX: usize = 4;

/// Why a blob could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BlobError {
    #[error("{id} is not here\nhint: ask for the results of its job first, or add it")]
    Missing { id: BlobId },
    #[error("{id} has {size} bytes, too many to be read at once\nhint: read it piece by piece")]
    TooLarge { id: BlobId, size: u64 },
    #[error(transparent)]
    Store(StoreError),
    #[error("the node has stopped")]
    Stopped,
}

/// Where outputs are that are no blobs of their own.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    new: Index,
    /// What was learnt before that.
    old: Index,
    open: VecDeque<(BlobId, Arc<Pack>)>,
}

/// Which outputs are in which packs.
#[derive(Debug, Default)]
struct Index {
    packs: Vec<BlobId>,
    /// The beginnings of outputs' names, and the place of a pack. Of two that begin alike, one is not found.
    outputs: HashMap<u64, u32>,
}

impl Inside {
    /// Remembers what is inside a pack. When there is too much, some of it is forgotten.
    pub(crate) fn learn(&self, id: BlobId, pack: &Arc<Pack>) {
        let mut state = self.lock();
        if INSIDE_MAX <= state.new.outputs.len().max(state.new.packs.len()) {
            state.old = std::mem::take(&mut state.new);
        }
        let outputs = pack.outcomes().iter().flat_map(super::results::outputs);
        state.new.add(id, outputs.map(|blob| blob.id).filter(|id| pack.inline(*id).is_some()));
        state.remember(id, Arc::clone(pack));
    }

    fn find(&self, store: &Store, id: BlobId) -> Option<Vec<u8>> {
        let at = self.lock().pack_of(id)?;
        let open = self.lock().open.iter().find(|(known, _)| *known == at).map(|(_, p)| p.clone());
        let pack = match open {
            Some(pack) => pack,
            None => {
                let bytes = store.get(at, PACK_BYTES_MAX as u64).ok()?;
                let pack = Arc::new(Pack::from_bytes(&bytes).ok()?);
                self.lock().remember(at, Arc::clone(&pack));
                pack
            }
        };
        pack.inline(id).map(<[u8]>::to_vec)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn add(&mut self, pack: BlobId, outputs: impl Iterator<Item = BlobId>) {
        // Whoever reads page by page comes to a pack again at once.
        if self.packs.last() != Some(&pack) {
            self.packs.push(pack);
        }
        let at = self.packs.len() as u32 - 1;
        self.outputs.extend(outputs.map(|id| (beginning(id), at)));
    }

    fn pack_of(&self, output: BlobId) -> Option<BlobId> {
        self.outputs.get(&beginning(output)).map(|at| self.packs[*at as usize])
    }
}

fn beginning(id: BlobId) -> u64 {
    u64::from_le_bytes(id.as_bytes()[..8].try_into().expect("a name has 32 bytes"))
}

impl State {
    fn pack_of(&self, output: BlobId) -> Option<BlobId> {
        self.new.pack_of(output).or_else(|| self.old.pack_of(output))
    }

    fn remember(&mut self, id: BlobId, pack: Arc<Pack>) {
        self.open.retain(|(known, _)| *known != id);
        self.open.push_front((id, pack));
        self.open.truncate(PACKS_OPEN_MAX);
    }
}

/// A whole blob of at most 64 MiB.
pub(crate) fn whole(store: &Store, inside: &Inside, id: BlobId) -> Result<Vec<u8>, BlobError> {
    match store.get(id, WHOLE_BYTES_MAX) {
        Ok(bytes) => Ok(bytes),
        Err(StoreError::TooLarge { size, .. }) => Err(BlobError::TooLarge { id, size }),
        Err(StoreError::Missing { .. }) => small(store, inside, id),
        Err(error) => Err(BlobError::Store(error)),
    }
}

/// The size of a blob.
pub(crate) fn size(store: &Store, inside: &Inside, id: BlobId) -> Result<u64, BlobError> {
    match store.size(id) {
        Some(size) => Ok(size),
        None => small(store, inside, id).map(|bytes| bytes.len() as u64),
    }
}

/// Piece `index` of a blob: a mebibyte, or what is left of it.
pub(crate) fn chunk(
    store: &Store,
    inside: &Inside,
    id: BlobId,
    index: u64,
) -> Result<Vec<u8>, BlobError> {
    match store.read_chunk(id, index) {
        Ok(bytes) => Ok(bytes),
        Err(StoreError::Missing { .. }) => {
            let bytes = small(store, inside, id)?;
            if index < chunk_count(bytes.len() as u64) {
                let start = (index * CHUNK_BYTES) as usize;
                let end = bytes.len().min(start + CHUNK_BYTES as usize);
                Ok(bytes[start..end].to_vec())
            } else {
                Err(BlobError::Store(StoreError::NotAPiece { id, index, len: 0 }))
            }
        }
        Err(error) => Err(BlobError::Store(error)),
    }
}

fn small(store: &Store, inside: &Inside, id: BlobId) -> Result<Vec<u8>, BlobError> {
    if id == BlobId::of(b"") {
        return Ok(Vec::new());
    }
    inside.find(store, id).ok_or(BlobError::Missing { id })
}
