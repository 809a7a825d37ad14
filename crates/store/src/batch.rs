//! A batch: changes that become durable together, or not at all.

use std::path::PathBuf;

use protocol::{BlobId, BlobRef, Hash, JobId};

use crate::folder::Scratch;

/// A batch waits in memory, so its keys, values and blobs together are bounded.
pub const BATCH_BYTES_MAX: usize = 32 << 20;

/// Who needs a blob to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pin {
    /// The person at this node, until they say otherwise.
    User,
    /// A job, until it ends.
    Job(JobId),
}

/// Records, blobs and pins that are written in one transaction, in the order they were added.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) ops: Vec<Op>,
    bytes: usize,
}

/// One change; those below `UnpinAll` are the store's own.
#[derive(Debug)]
pub(crate) enum Op {
    Write {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Erase {
        key: Vec<u8>,
    },
    ErasePrefix {
        prefix: Vec<u8>,
    },
    Blob {
        blob: BlobRef,
        bytes: Vec<u8>,
    },
    Pin {
        id: BlobId,
        owner: Pin,
    },
    Unpin {
        id: BlobId,
        owner: Pin,
    },
    UnpinAll {
        owner: Pin,
    },
    /// A file that is complete and synced becomes a blob.
    File {
        blob: BlobRef,
        values: Vec<Hash>,
        from: Source,
    },
    /// Room for a blob that is to come in pieces.
    Reserve {
        blob: BlobRef,
    },
    Remove {
        id: BlobId,
    },
    /// A damaged blob leaves, if it is still the one that was `born` then.
    SetAside {
        id: BlobId,
        born: u64,
    },
}

/// Where the file of a new blob is now.
#[derive(Debug)]
pub(crate) enum Source {
    /// Ours: gone if it does not become a blob.
    Scratch(Scratch),
    /// Somebody else's until it is moved.
    At(PathBuf),
    /// Already where it belongs, but unknown to the index.
    InPlace,
}

impl Batch {
    /// Sets a record of the journal.
    pub fn write(&mut self, key: Vec<u8>, value: Vec<u8>) -> &mut Self {
        self.bytes += key.len() + value.len();
        self.push(Op::Write { key, value })
    }

    /// Erases a record of the journal, if it is there.
    pub fn erase(&mut self, key: Vec<u8>) -> &mut Self {
        self.bytes += key.len();
        self.push(Op::Erase { key })
    }

    /// Erases every record whose key starts with `prefix`.
    pub fn erase_prefix(&mut self, prefix: Vec<u8>) -> &mut Self {
        self.bytes += prefix.len();
        self.push(Op::ErasePrefix { prefix })
    }

    /// Stores a blob. Up to 64 KiB it costs no fsync of its own.
    pub fn blob(&mut self, bytes: Vec<u8>) -> BlobRef {
        let blob = BlobRef::of(&bytes);
        self.bytes += bytes.len();
        self.push(Op::Blob { blob, bytes });
        blob
    }

    /// Keeps a blob from eviction, be it here already or not.
    pub fn pin(&mut self, id: BlobId, owner: Pin) -> &mut Self {
        self.push(Op::Pin { id, owner })
    }

    /// Takes back one pin.
    pub fn unpin(&mut self, id: BlobId, owner: Pin) -> &mut Self {
        self.push(Op::Unpin { id, owner })
    }

    /// Takes back all pins of an owner.
    pub fn unpin_all(&mut self, owner: Pin) -> &mut Self {
        self.push(Op::UnpinAll { owner })
    }

    pub(crate) fn of(op: Op) -> Self {
        Self { ops: vec![op], bytes: 0 }
    }

    /// What it weighs in memory, about.
    pub(crate) fn weight(&self) -> usize {
        self.bytes + self.ops.len() * size_of::<Op>()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, op: Op) -> &mut Self {
        self.ops.push(op);
        self
    }
}

/// Records only; `None` erases.
impl From<Vec<(Vec<u8>, Option<Vec<u8>>)>> for Batch {
    fn from(writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Self {
        let mut batch = Self::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.write(key, value),
                None => batch.erase(key),
            };
        }
        batch
    }
}
