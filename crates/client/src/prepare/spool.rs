//! A file without a name that holds what can be read once only, until it is sent: one for a whole dataset, however many
//! streams that has.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::PrepareError;

/// What streams have said, one after the other; it is gone with the process, however that ends.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    folder: PathBuf,
    /// Bytes that were written.
    len: AtomicU64,
}

impl Spool {
    pub(super) fn new(name: &Path) -> Result<Self, PrepareError> {
        let folder = roomy();
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(Self { file, folder, len: AtomicU64::new(0) }),
            Err(source) => Err(PrepareError::Spool { path: name.to_owned(), folder, source }),
        }
    }

    /// Where the next bytes go.
    pub(super) fn end(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), PrepareError> {
        let at = self.len.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, at).map_err(|source| PrepareError::Spool {
            path: self.folder.clone(),
            folder: self.folder.clone(),
            source,
        })
    }

    /// The bytes from `at` on.
    pub(super) fn reader(self: &Arc<Self>, at: u64) -> impl Read + Send + use<> {
        From { spool: Arc::clone(self), at }
    }
}

/// Where large temporary files belong: `/tmp` is often memory.
fn roomy() -> PathBuf {
    let roomy = Path::new("/var/tmp");
    match std::env::var_os("TMPDIR") {
        None if roomy.is_dir() => roomy.to_owned(),
        Some(_) | None => std::env::temp_dir(),
    }
}

/// Reads without moving the place where others read.
struct From {
    spool: Arc<Spool>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.spool.file.read_at(buffer, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}
