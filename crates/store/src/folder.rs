//! The folder of a store: where everything lies, and how files move in it durably.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::{BlobId, Hash};

use crate::StoreError;

/// Damaged blobs kept for inspection; the oldest go first.
const DAMAGED_MAX: usize = 8;

/// Paths of one store, and nothing open.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    next_scratch: AtomicU64,
}

impl Folder {
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir, next_scratch: AtomicU64::new(0) }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn format(&self) -> PathBuf {
        self.dir.join("format")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.dir.join("index.redb")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.dir.join("partial")
    }

    pub(crate) fn damaged(&self) -> PathBuf {
        self.dir.join("damaged")
    }

    pub(crate) fn blob(&self, id: BlobId) -> PathBuf {
        let name = file_name(id);
        self.blobs().join(&name[..2]).join(name)
    }

    /// The bytes of a blob that is being received.
    pub(crate) fn partial(&self, id: BlobId) -> PathBuf {
        self.partials().join(file_name(id))
    }

    /// Its chaining values.
    pub(crate) fn partial_tree(&self, id: BlobId) -> PathBuf {
        self.partials().join(file_name(id) + ".tree")
    }

    /// A new file under `tmp/`, gone when dropped.
    pub(crate) fn new_scratch(&self) -> Result<(File, Scratch), StoreError> {
        let number = self.next_scratch.fetch_add(1, Ordering::Relaxed);
        let path = self.scratch().join(number.to_string());
        let file = File::create_new(&path).map_err(|e| StoreError::io(&path, e))?;
        Ok((file, Scratch(path)))
    }

    /// Bytes that this user may still write to the disk.
    pub(crate) fn free_bytes(&self) -> Result<u64, StoreError> {
        let stat =
            rustix::fs::statvfs(&self.dir).map_err(|e| StoreError::io(&self.dir, e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Moves a complete, synced file to its place as a blob; durable once `folders` are synced.
    pub(crate) fn place(
        &self,
        from: &Path,
        id: BlobId,
        folders: &mut BTreeSet<PathBuf>,
    ) -> Result<(), StoreError> {
        let to = self.blob(id);
        let shard = to.parent().expect("a blob's path has a folder").to_owned();
        if !shard.exists() {
            make_dir(&shard).map_err(|e| StoreError::io(&shard, e))?;
            folders.insert(self.blobs());
        }
        fs::rename(from, &to).map_err(|e| StoreError::io(from, e))?;
        folders.insert(shard);
        Ok(())
    }

    /// Moves a damaged blob out of the way, keeping a few for inspection.
    pub(crate) fn set_aside(&self, id: BlobId) -> io::Result<()> {
        let kept = self.damaged();
        make_dir(&kept)?;
        let mut old: Vec<_> = fs::read_dir(&kept)?
            .filter_map(Result::ok)
            .map(|entry| (entry.metadata().and_then(|m| m.modified()).ok(), entry.path()))
            .collect();
        old.sort();
        for (_, path) in old.iter().take((old.len() + 1).saturating_sub(DAMAGED_MAX)) {
            fs::remove_file(path)?;
        }
        fs::rename(self.blob(id), kept.join(file_name(id)))
    }
}

/// A file that goes away with its owner, unless it was moved before.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_quietly(&self.0);
    }
}

/// Keeps every other store out of the folder.
///
/// It is not the index's own lock, because a corrupt index is renamed away with that.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    pub(crate) fn take(path: &Path) -> Result<Self, TryLockError> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is just being started has a copy until its exec.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "store not unlocked");
        }
    }
}

/// The blob that a file of this name holds.
pub(crate) fn blob_of(file_name: &str) -> Option<BlobId> {
    file_name.parse::<Hash>().ok().map(|hash| BlobId::new(*hash.as_bytes()))
}

/// Makes a folder, and those above it, that only this user can look into.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file whose absence is all that matters; a leftover is swept at the next start.
pub(crate) fn remove_quietly(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "file not removed"),
    }
}

fn file_name(id: BlobId) -> String {
    Hash::new(*id.as_bytes()).to_string()
}
