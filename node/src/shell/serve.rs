//! What others may fetch from this node: every blob of the store, by name, and what has come of those
//! that it receives.

use std::io;
use std::sync::{Arc, Weak};

use protocol::{BlobId, Hash};
use store::Store;

/// Holds the store weakly, so that the network's last threads do not keep a stopped node's open.
#[derive(Debug)]
pub(crate) struct Serve(Weak<Store>);

impl Serve {
    pub(crate) fn new(store: &Arc<Store>) -> Self {
        Self(Arc::downgrade(store))
    }

    fn store(&self) -> io::Result<Arc<Store>> {
        self.0.upgrade().ok_or_else(|| io::Error::other("the store is closed"))
    }
}

impl net::Blobs for Serve {
    fn size(&self, blob: BlobId) -> Option<u64> {
        self.store().ok()?.size(blob)
    }

    fn subtrees(&self, blob: BlobId) -> io::Result<Vec<Hash>> {
        let (_, values) = self.store()?.subtrees(blob).map_err(io::Error::other)?;
        Ok(values)
    }

    fn read_chunk(&self, blob: BlobId, index: u64) -> io::Result<Vec<u8>> {
        let store = self.store()?;
        // Between the first look and the second it may have become whole.
        let read = store.read_chunk(blob, index);
        let read = read.or_else(|_| store.read_arrived(blob, index));
        read.or_else(|_| store.read_chunk(blob, index)).map_err(io::Error::other)
    }
}
