//! What is on its way in: pieces that have come can be read before the blob is whole.

use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::limits::CHUNK_BYTES;
use protocol::{BlobId, Hash, Subtrees, chunk_len};

use crate::direct::PieceFile;
use crate::{Store, StoreError};

/// How far a blob has come; its receiver writes it, and others read pieces through it.
#[derive(Clone, Debug)]
pub(crate) struct Arriving {
    size: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
pub(crate) enum State {
    /// At most 1 MiB, which is held in memory.
    Single {
        bytes: Option<Vec<u8>>,
    },
    /// Larger, and its chaining values are not known yet.
    Unknown,
    Pieces {
        file: Arc<PieceFile>,
        values: Vec<Hash>,
        have: Vec<bool>,
    },
}

impl Arriving {
    pub(crate) fn new(size: u64, state: State) -> Self {
        Self { size, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn piece(&self, index: u64) -> Option<Piece> {
        match &*self.lock() {
            State::Pieces { file, values, have } if have.get(index as usize) == Some(&true) => {
                let len = chunk_len(self.size, index) as usize;
                Some(Piece { file: Arc::clone(file), len, value: values[index as usize] })
            }
            State::Single { .. } | State::Unknown | State::Pieces { .. } => None,
        }
    }
}

/// A piece that has come: where it is, and what it must hash to.
struct Piece {
    file: Arc<PieceFile>,
    len: usize,
    value: Hash,
}

impl Store {
    /// Piece `index` of a blob that is being received, if the piece has come. Like everything that is
    /// read, it was checked.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if nobody receives the blob or the piece has not come;
    /// [`StoreError::Corrupt`], [`StoreError::Io`].
    pub fn read_arrived(&self, id: BlobId, index: u64) -> Result<Vec<u8>, StoreError> {
        let arriving = self.shared.arriving().get(&id).cloned();
        let piece = arriving.and_then(|arriving| arriving.piece(index));
        let Piece { file, len, value } = piece.ok_or(StoreError::Missing { id })?;
        let mut bytes = vec![0; len];
        file.buffered()
            .read_exact_at(&mut bytes, index * CHUNK_BYTES)
            .map_err(|e| StoreError::io(&self.shared.folder.partial(id), e))?;
        let holds = Subtrees::value_of(index, &bytes) == value;
        if holds { Ok(bytes) } else { Err(StoreError::Corrupt { id }) }
    }
}
