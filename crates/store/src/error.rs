//! What can go wrong, with the place where it did and what to do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{BlobId, BlobRef};

/// Why a folder could not be opened as a store. Nothing in it was changed or lost.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another [`crate::Store`] of this one, has it open.
    #[error("{} is in use by another process\nhint: stop that one, or choose another folder", dir.display())]
    InUse { dir: PathBuf },
    /// A later release of this program wrote it.
    #[error("{} says format {found}, and this program knows formats up to {known}\nhint: use the newer program, or choose another folder", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// The file that should tell the format tells nothing.
    #[error("{} should hold a format number and holds something else\nhint: if no newer program has used this folder, write `1` into the file", path.display())]
    NoFormat { path: PathBuf },
    /// The operating system refused.
    #[error("{}: {source}\nhint: {}", path.display(), remedy(source))]
    Io { path: PathBuf, source: io::Error },
}

impl OpenError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// Why an open store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It never came, or was evicted, removed or set aside.
    #[error("{id} is not in the store")]
    Missing { id: BlobId },
    /// The bytes on disk were not the blob any more; it is set aside, and missing from now on.
    #[error("{id} was damaged on disk and is set aside\nhint: fetch it again, and check the disk")]
    Corrupt { id: BlobId },
    /// Bytes that were to be a certain blob are another.
    #[error("the bytes are {} ({} bytes), not {} ({} bytes)", found.id, found.size, expected.id, expected.size)]
    WrongContent { expected: BlobRef, found: BlobRef },
    /// More bytes than the caller, or any blob or batch, may have.
    #[error("{size} bytes where at most {max} are allowed")]
    TooLarge { size: u64, max: u64 },
    /// Even without all unpinned blobs there would be no room.
    #[error(
        "{need} more bytes do not fit: of a quota of {quota}, {pinned} are pinned\nhint: raise the quota, or cancel jobs and unpin blobs"
    )]
    QuotaExceeded { need: u64, quota: u64, pinned: u64 },
    /// The disk has less free space than must be left for records.
    #[error("only {free} bytes are free on the disk of {}, and {keep} must stay free\nhint: free some space there, or choose a data folder on another disk", dir.display())]
    DiskLow { dir: PathBuf, free: u64, keep: u64 },
    /// A pinned blob is not removed.
    #[error("{id} is pinned\nhint: unpin it first")]
    Pinned { id: BlobId },
    /// Somebody else is receiving this blob right now.
    #[error("{id} is being received already")]
    Receiving { id: BlobId },
    /// A blob has no piece of this number and length, or its chaining values are those of another.
    #[error("piece {index} with {len} bytes is not a piece of {id}")]
    NotAPiece { id: BlobId, index: u64, len: u64 },
    /// A blob's pieces cannot be checked before its chaining values are known.
    #[error("the chaining values of {id} are missing, or are not its own")]
    NoSubtrees { id: BlobId },
    /// A blob was finished before all of its pieces came.
    #[error("{missing} pieces of {id} are missing")]
    Incomplete { id: BlobId, missing: u64 },
    /// The bytes to store could not be read from where they come.
    #[error("reading the bytes to store: {source}")]
    Source { source: Arc<io::Error> },
    /// The operating system refused; nothing was stored, and the store goes on.
    #[error("{}: {source}\nhint: {}", path.display(), remedy(source))]
    Io { path: PathBuf, source: Arc<io::Error> },
    /// An earlier write failed. What was acknowledged is safe, and nothing more is written: after
    /// a failed fsync nobody knows what the disk holds until the store is opened again.
    #[error(
        "the store has stopped writing: {reason}\nhint: check the disk and its free space, then start again"
    )]
    Stopped { reason: Arc<str> },
}

impl StoreError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source: Arc::new(source) }
    }
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free some space, or choose a folder on another disk"
        }
        ErrorKind::PermissionDenied => "give this user the right to read and write it",
        ErrorKind::ReadOnlyFilesystem => "choose a folder on a disk that can be written",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            "something else is in the way: move it, or choose another folder"
        }
        _ => "check the folder and its disk",
    }
}
