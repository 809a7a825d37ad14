//! A blob that is still a range of a file, or bytes made here: hashed once, read again to send it.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use protocol::{BlobId, BlobRef};

use super::PrepareError;

/// How much of a file is in memory at a time.
pub(super) const READ_BYTES: usize = 256 << 10;

/// A blob and where its bytes are.
#[derive(Clone, Debug)]
pub struct BlobSource {
    blob: BlobRef,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    /// `blob.size` bytes from `at`.
    File {
        file: Arc<Stamped>,
        at: u64,
    },
    Made(Arc<[u8]>),
}

/// A file as it was when it was read.
#[derive(Debug)]
pub(super) struct Stamped {
    path: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
}

impl BlobSource {
    /// Bytes that exist in memory only.
    pub fn made(bytes: Vec<u8>) -> Self {
        Self { blob: BlobRef::of(&bytes), origin: Origin::Made(bytes.into()) }
    }

    /// A whole file, read once and in pieces.
    ///
    /// # Errors
    /// [`PrepareError`] if it cannot be read, is no file, or changes meanwhile.
    pub fn file(path: &Path) -> Result<Self, PrepareError> {
        let (mut reader, stamp) = Stamped::open(path)?;
        let mut hasher = blake3::Hasher::new();
        let size = stamp.read(&mut reader, |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        let id = BlobId::new(*hasher.finalize().as_bytes());
        Ok(Self::part(&Arc::new(stamp), 0, BlobRef { id, size }))
    }

    pub(super) fn part(file: &Arc<Stamped>, at: u64, blob: BlobRef) -> Self {
        Self { blob, origin: Origin::File { file: Arc::clone(file), at } }
    }

    /// Name and size of the bytes.
    pub fn blob(&self) -> BlobRef {
        self.blob
    }

    /// The file that the bytes come from, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File { file, .. } => Some(&file.path),
            Origin::Made(_) => None,
        }
    }

    /// Whether the bytes are all of [`Self::path`].
    pub fn is_whole_file(&self) -> bool {
        match &self.origin {
            Origin::File { file, at } => *at == 0 && file.size == self.blob.size,
            Origin::Made(_) => false,
        }
    }

    /// The bytes once more. Who reads them must compare their hash with [`Self::blob`].
    ///
    /// # Errors
    /// [`PrepareError::Changed`] if the file is not what it was by size and date.
    pub fn reader(&self) -> Result<Box<dyn Read + Send + 'static>, PrepareError> {
        match &self.origin {
            Origin::Made(bytes) => Ok(Box::new(std::io::Cursor::new(Arc::clone(bytes)))),
            Origin::File { file, at } => {
                let (mut reader, now) = Stamped::open(&file.path)?;
                if now.size != file.size || now.modified != file.modified {
                    return Err(PrepareError::Changed { path: file.path.clone() });
                }
                reader.seek(SeekFrom::Start(*at)).map_err(PrepareError::unreadable(&file.path))?;
                Ok(Box::new(reader.take(self.blob.size)))
            }
        }
    }
}

impl Stamped {
    pub(super) fn open(path: &Path) -> Result<(File, Self), PrepareError> {
        let file = File::open(path).map_err(PrepareError::unreadable(path))?;
        let metadata = file.metadata().map_err(PrepareError::unreadable(path))?;
        if !metadata.is_file() {
            return Err(PrepareError::WrongKind { path: path.to_owned(), wanted: "file" });
        }
        Ok((file, Self::of(path, &metadata)))
    }

    /// Hands the whole file over in pieces; refuses one that did not stay as it was.
    pub(super) fn read(
        &self,
        file: &mut File,
        mut piece: impl FnMut(&[u8]) -> Result<(), PrepareError>,
    ) -> Result<u64, PrepareError> {
        let mut buffer = vec![0; READ_BYTES];
        let mut total = 0;
        loop {
            let len = file.read(&mut buffer).map_err(PrepareError::unreadable(&self.path))?;
            if len == 0 {
                break;
            }
            total += len as u64;
            piece(&buffer[..len])?;
        }
        let now = file.metadata().map_err(PrepareError::unreadable(&self.path))?;
        let now = Self::of(&self.path, &now);
        if total != self.size || now.size != self.size || now.modified != self.modified {
            return Err(PrepareError::Changed { path: self.path.clone() });
        }
        Ok(total)
    }

    fn of(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.to_owned(), size: metadata.len(), modified: metadata.modified().ok() }
    }
}
