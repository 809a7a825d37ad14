//! A blob that is still a range of a file, or bytes made here: hashed once, read again to send it.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use protocol::{BlobId, BlobRef};

use super::PrepareError;
use super::cut::Piece;
use super::spool::Spool;

/// How much of a file is in memory at a time.
pub(super) const READ_BYTES: usize = 256 << 10;

/// A blob and where its bytes are.
#[derive(Clone, Debug)]
pub struct BlobSource {
    blob: BlobRef,
    /// Comes before what the origin has.
    header: Arc<[u8]>,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    /// The bytes from `at` on.
    File {
        file: Arc<Stamped>,
        at: u64,
    },
    Spool {
        spool: Arc<Spool>,
        at: u64,
    },
    /// The header is all there is.
    Made,
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
        Self { blob: BlobRef::of(&bytes), header: bytes.into(), origin: Origin::Made }
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
        let whole = Piece { at: 0, blob: BlobRef { id, size } };
        Ok(Self::part(&Arc::new(stamp), &Arc::default(), whole))
    }

    pub(super) fn part(file: &Arc<Stamped>, header: &Arc<[u8]>, Piece { at, blob }: Piece) -> Self {
        let origin = Origin::File { file: Arc::clone(file), at };
        Self { blob, header: Arc::clone(header), origin }
    }

    pub(super) fn spooled(spool: &Arc<Spool>, header: &Arc<[u8]>, piece: Piece) -> Self {
        let origin = Origin::Spool { spool: Arc::clone(spool), at: piece.at };
        Self { blob: piece.blob, header: Arc::clone(header), origin }
    }

    /// Name and size of the bytes.
    pub fn blob(&self) -> BlobRef {
        self.blob
    }

    /// The file that the bytes come from, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File { file, .. } => Some(&file.path),
            Origin::Spool { .. } | Origin::Made => None,
        }
    }

    /// Whether the bytes are all of [`Self::path`].
    pub fn is_whole_file(&self) -> bool {
        match &self.origin {
            Origin::File { file, at } => {
                self.header.is_empty() && *at == 0 && file.size == self.blob.size
            }
            Origin::Spool { .. } | Origin::Made => false,
        }
    }

    /// The bytes once more. Who reads them must compare their hash with [`Self::blob`].
    ///
    /// # Errors
    /// [`PrepareError::Changed`] if the file is not what it was by size and date.
    pub fn reader(&self) -> Result<Box<dyn Read + Send + 'static>, PrepareError> {
        let header = std::io::Cursor::new(Arc::clone(&self.header));
        let left = self.blob.size - self.header.len() as u64;
        match &self.origin {
            Origin::Made => Ok(Box::new(header)),
            Origin::Spool { spool, at } => Ok(Box::new(header.chain(spool.reader(*at).take(left)))),
            Origin::File { file, at } => {
                let changed = || PrepareError::Changed { path: file.path.clone() };
                let (mut reader, now) = match Stamped::open(&file.path) {
                    Err(PrepareError::Unreadable { source, .. })
                        if source.kind() == std::io::ErrorKind::NotFound =>
                    {
                        return Err(changed());
                    }
                    opened => opened?,
                };
                if now.size != file.size || now.modified != file.modified {
                    return Err(changed());
                }
                reader.seek(SeekFrom::Start(*at)).map_err(PrepareError::unreadable(&file.path))?;
                Ok(Box::new(header.chain(reader.take(left))))
            }
        }
    }
}

impl Stamped {
    pub(super) fn open(path: &Path) -> Result<(File, Self), PrepareError> {
        // Before it is opened: a pipe would wait for somebody who writes.
        let kind = std::fs::metadata(path).map_err(PrepareError::unreadable(path))?.file_type();
        if !(kind.is_file() || kind.is_dir()) {
            return Err(PrepareError::Special { path: path.to_owned() });
        }
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
        self.check(file)?;
        if total != self.size {
            return Err(PrepareError::Changed { path: self.path.clone() });
        }
        Ok(total)
    }

    /// Refuses a file that did not stay as it was.
    pub(super) fn check(&self, file: &File) -> Result<(), PrepareError> {
        let now = file.metadata().map_err(PrepareError::unreadable(&self.path))?;
        let now = Self::of(&self.path, &now);
        if now.size != self.size || now.modified != self.modified {
            return Err(PrepareError::Changed { path: self.path.clone() });
        }
        Ok(())
    }

    fn of(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.to_owned(), size: metadata.len(), modified: metadata.modified().ok() }
    }
}
