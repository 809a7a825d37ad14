//! The file of a blob on its way in, written past the page cache where the file system lets us: the bytes come
//! once, are synced before they count, and would cost a copy into fresh pages that nobody reads.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

/// What direct writes have to be aligned to, in memory, place and length; no disk has larger sectors.
const ALIGNED: usize = 4096;

#[derive(Debug)]
pub(crate) struct PieceFile {
    buffered: File,
    /// The same file without the page cache.
    direct: Option<File>,
    /// Buffers of direct writes, each large enough for a piece at an aligned place.
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl PieceFile {
    pub(crate) fn open(path: &Path, size: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let buffered =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        buffered.set_len(size)?;
        // Not every file system has it: tmpfs has not.
        let flags = i32::try_from(OFlags::DIRECT.bits()).ok();
        let direct = flags
            .and_then(|flags| OpenOptions::new().write(true).custom_flags(flags).open(path).ok());
        Ok(Self { buffered, direct, buffers: Mutex::default() })
    }

    pub(crate) const fn buffered(&self) -> &File {
        &self.buffered
    }

    /// Writes a piece at its place, a multiple of a mebibyte.
    pub(crate) fn write(&self, piece: &[u8], at: u64) -> io::Result<()> {
        if let Some(direct) = self.direct.as_ref().filter(|_| piece.len().is_multiple_of(ALIGNED)) {
            match self.write_aligned(direct, piece, at) {
                // Opened, and yet refused.
                Err(e) if e.kind() == ErrorKind::InvalidInput => {}
                done => return done,
            }
        }
        self.buffered.write_all_at(piece, at)
    }

    fn write_aligned(&self, direct: &File, piece: &[u8], at: u64) -> io::Result<()> {
        let spare = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = spare.unwrap_or_default();
        buffer.resize(piece.len() + ALIGNED, 0);
        let start = buffer.as_ptr().align_offset(ALIGNED);
        let aligned = &mut buffer[start..start + piece.len()];
        aligned.copy_from_slice(piece);
        let done = direct.write_all_at(aligned, at);
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        done
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.buffered.sync_data()
    }
}
