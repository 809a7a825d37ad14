//! What a unit may still write, and where its large files go.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::errno::{End, Errno, Stop};
use crate::limits::{CROWDED_BYTES, SPILL_BYTES, SPILL_BYTES_CROWDED};

/// A unit's allowance of bytes and files.
#[derive(Debug)]
pub(crate) struct Space {
    scratch: PathBuf,
    bytes_left: u64,
    files_left: u32,
    /// Bytes of the unit's files that are in memory.
    resident: u64,
}

impl Space {
    pub(crate) fn new(scratch: &Path, bytes: u64, files: u32) -> Self {
        Self { scratch: scratch.to_owned(), bytes_left: bytes, files_left: files, resident: 0 }
    }

    /// Takes bytes from the allowance. There is no errno for it: programs that ignore a failed
    /// write would end with an output that looks whole.
    pub(crate) fn take_bytes(&mut self, bytes: u64) -> Result<(), End> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(End::OutputTooLarge)?;
        Ok(())
    }

    pub(crate) fn give_bytes(&mut self, bytes: u64) {
        self.bytes_left += bytes;
    }

    pub(crate) fn take_file(&mut self) -> Result<(), Stop> {
        self.files_left = self.files_left.checked_sub(1).ok_or(Errno::Nospc)?;
        Ok(())
    }

    pub(crate) fn give_file(&mut self) {
        self.files_left += 1;
    }

    /// Whether a file of `len` bytes belongs on disk.
    pub(super) fn spills(&self, len: u64) -> bool {
        let most = if CROWDED_BYTES < self.resident { SPILL_BYTES_CROWDED } else { SPILL_BYTES };
        most < len
    }

    pub(super) fn resident_changed(&mut self, before: u64, after: u64) {
        self.resident = self.resident.saturating_sub(before).saturating_add(after);
    }

    pub(crate) fn scratch_file(&self) -> io::Result<ScratchFile> {
        ScratchFile::new(&self.scratch)
    }
}

/// A file of ours that nobody else knows; it is removed with the value, unless it is given away.
#[derive(Debug)]
pub(crate) struct ScratchFile {
    pub(crate) file: File,
    path: Option<PathBuf>,
}

impl ScratchFile {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = folder.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path: Some(path) })
    }

    /// The file's place; from now on it is the caller's to remove.
    pub(crate) fn give_away(mut self) -> PathBuf {
        self.path.take().expect("a path is taken only here and on the end")
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // The whole folder is removed with its worker, so a leftover does not stay.
            let _ = std::fs::remove_file(path);
        }
    }
}
