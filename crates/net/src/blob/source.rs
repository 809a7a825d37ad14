//! Where blobs come from and where they go: what the application's store does for the network.

use std::io;

use protocol::{BlobId, Hash, Subtrees};

/// What others may fetch from us. Called on threads that may block.
pub trait Blobs: Send + Sync + 'static {
    /// The size of a blob that we hold whole; `None` if we do not.
    fn size(&self, blob: BlobId) -> Option<u64>;

    /// The chaining values of its 1 MiB subtrees; none for a blob of one piece.
    ///
    /// # Errors
    /// The blob is gone or unreadable; the peer is told that we do not have it.
    fn subtrees(&self, blob: BlobId) -> io::Result<Vec<Hash>>;

    /// Piece `index`, of [`protocol::chunk_len`] bytes; also of a blob that is being received, if its
    /// sink has taken the piece.
    ///
    /// # Errors
    /// The piece is gone or unreadable; the peer is told so.
    fn read_chunk(&self, blob: BlobId, index: u64) -> io::Result<Vec<u8>>;
}

/// Where a fetched blob goes. Called on a thread that may block, one call at a time.
pub trait Sink: Send + 'static {
    /// The pieces that are still wanted, ascending. A transfer that is resumed names fewer.
    fn missing(&mut self) -> Vec<u64>;

    /// The blob's tree is known and checked; pieces follow, in any order.
    ///
    /// # Errors
    /// End the transfer.
    fn begin(&mut self, trees: &Subtrees) -> io::Result<()>;

    /// Takes a piece, which was checked, once.
    ///
    /// # Errors
    /// End the transfer.
    fn write(&mut self, index: u64, bytes: &[u8]) -> io::Result<()>;

    /// Everything is there: make it durable. After this the transfer is reported as done.
    ///
    /// # Errors
    /// End the transfer.
    fn end(&mut self) -> io::Result<()>;
}
