//! One process at a time adds to a feed: the lock is gone with the process, however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use protocol::FeedId;

use crate::cli::failure::{End, Failure, Outcome};

/// Held by whoever adds to a feed.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(data_dir: &Path, feed: FeedId) -> Outcome<Self> {
        let folder = data_dir.join("feeds");
        std::fs::create_dir_all(&folder)?;
        let file = File::create(folder.join(format!("{feed}.lock")))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Failure::new(
                End::BadInput,
                format!("another process adds to the feed {feed}"),
                "wait until it ends, or stop it; lines come from one place at a time",
            )),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}
