//! A file without a name that holds what can be read once only, until it is sent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::PrepareError;

/// What a stream has said; it is gone with the process, however that ends.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    folder: PathBuf,
}

impl Spool {
    pub(super) fn new(name: &Path) -> Result<Self, PrepareError> {
        let folder = roomy();
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(Self { file, folder }),
            Err(source) => Err(PrepareError::Spool { path: name.to_owned(), folder, source }),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), PrepareError> {
        self.file.write_all(bytes).map_err(|source| PrepareError::Spool {
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
