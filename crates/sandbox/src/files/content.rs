//! What a file holds: bytes given from outside, bytes in memory, or a scratch file once it is large.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::{BlobId, BlobRef};

use super::space::{ScratchFile, Space};
use crate::errno::End;
use crate::limits::READ_WINDOW_BYTES;

/// The bytes of one file.
#[derive(Debug)]
pub(crate) enum Content {
    /// An input that came along with the request.
    Given(Arc<[u8]>),
    /// An input that lies on the host's disk and is read as the guest reads it.
    Host(Arc<HostFile>),
    Memory(Vec<u8>),
    Scratch {
        scratch: ScratchFile,
        len: u64,
    },
}

/// A file of the host and the size that it is said to have.
#[derive(Debug)]
pub(crate) struct HostFile {
    path: PathBuf,
    size: u64,
}

/// An open host file and the window of it that was read last; a descriptor holds it.
#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    start: u64,
    window: Vec<u8>,
}

impl Content {
    pub(crate) fn host(path: PathBuf, size: u64) -> Self {
        Self::Host(Arc::new(HostFile { path, size }))
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Given(bytes) => bytes.len() as u64,
            Self::Host(host) => host.size,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Scratch { len, .. } => *len,
        }
    }

    /// A second handle on an input.
    pub(super) fn shared(&self) -> Option<Self> {
        match self {
            Self::Given(bytes) => Some(Self::Given(bytes.clone())),
            Self::Host(host) => Some(Self::Host(host.clone())),
            Self::Memory(_) | Self::Scratch { .. } => None,
        }
    }

    /// Reads what there is from `offset` on, at most `buffer`, and says how much.
    pub(crate) fn read_at(
        &self,
        reader: &mut Option<Reader>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, End> {
        let count = self.len().saturating_sub(offset).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..count];
        if count == 0 {
            return Ok(0);
        }
        match self {
            Self::Given(bytes) => buffer.copy_from_slice(&bytes[offset as usize..][..count]),
            Self::Memory(bytes) => buffer.copy_from_slice(&bytes[offset as usize..][..count]),
            Self::Scratch { scratch, .. } => {
                scratch.file.read_exact_at(buffer, offset).map_err(|e| no_room(&e))?;
            }
            Self::Host(host) => {
                host.read_exact_at(reader, offset, buffer).map_err(|e| host.changed(&e))?;
            }
        }
        Ok(count)
    }

    /// Writes all of `bytes` at `offset`; a gap before it reads as zeros.
    pub(crate) fn write_at(
        &mut self,
        offset: u64,
        bytes: &[u8],
        space: &mut Space,
    ) -> Result<(), End> {
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset.saturating_add(bytes.len() as u64);
        if self.len() < end {
            self.resize(end, space)?;
        }
        match self {
            Self::Memory(held) => held[offset as usize..][..bytes.len()].copy_from_slice(bytes),
            Self::Scratch { scratch, .. } => {
                scratch.file.write_all_at(bytes, offset).map_err(|e| no_room(&e))?;
            }
            Self::Given(_) | Self::Host(_) => unreachable!("inputs are never opened for writing"),
        }
        Ok(())
    }

    /// Sets the length, taking or giving back the difference; new bytes are zeros.
    pub(crate) fn resize(&mut self, len: u64, space: &mut Space) -> Result<(), End> {
        let before = self.len();
        match before.cmp(&len) {
            std::cmp::Ordering::Less => space.take_bytes(len - before)?,
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Greater => space.give_bytes(before - len),
        }
        if let Self::Memory(held) = self
            && space.spills(len)
        {
            let scratch = space.scratch_file().map_err(|e| no_room(&e))?;
            scratch.file.write_all_at(held, 0).map_err(|e| no_room(&e))?;
            space.resident_changed(before, 0);
            *self = Self::Scratch { scratch, len: before };
        }
        match self {
            Self::Memory(held) => {
                let more = (len as usize).saturating_sub(held.len());
                held.try_reserve(more).map_err(|e| End::HostMemory(e.to_string()))?;
                held.resize(len as usize, 0);
                space.resident_changed(before, len);
            }
            Self::Scratch { scratch, len: held } => {
                scratch.file.set_len(len).map_err(|e| no_room(&e))?;
                *held = len;
            }
            Self::Given(_) | Self::Host(_) => unreachable!("inputs are never opened for writing"),
        }
        Ok(())
    }

    /// Name and size of the bytes.
    pub(crate) fn blob(&self) -> Result<BlobRef, End> {
        match self {
            Self::Given(bytes) => Ok(BlobRef::of(bytes)),
            Self::Memory(bytes) => Ok(BlobRef::of(bytes)),
            Self::Scratch { scratch, len } => {
                let mut hasher = blake3::Hasher::new();
                let mut buffer = vec![0; READ_WINDOW_BYTES];
                let mut at = 0;
                while at < *len {
                    let piece = (*len - at).min(buffer.len() as u64) as usize;
                    let piece = &mut buffer[..piece];
                    scratch.file.read_exact_at(piece, at).map_err(|e| no_room(&e))?;
                    hasher.update(piece);
                    at += piece.len() as u64;
                }
                let id = BlobId::new(*hasher.finalize().as_bytes());
                Ok(BlobRef { id, size: *len })
            }
            Self::Host(host) => {
                Err(End::Refused(format!("the input {} is not an output", host.path.display())))
            }
        }
    }
}

impl HostFile {
    fn read_exact_at(
        &self,
        reader: &mut Option<Reader>,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let reader = match reader {
            Some(reader) => reader,
            None => {
                let file = File::open(&self.path)?;
                reader.insert(Reader { file, start: 0, window: Vec::new() })
            }
        };
        if READ_WINDOW_BYTES <= buffer.len() {
            return reader.file.read_exact_at(buffer, offset);
        }
        let end = offset + buffer.len() as u64;
        let held = reader.start..reader.start + reader.window.len() as u64;
        if offset < held.start || held.end < end {
            let len = (self.size - offset).min(READ_WINDOW_BYTES as u64) as usize;
            reader.window.resize(len, 0);
            reader.start = offset;
            if let Err(error) = reader.file.read_exact_at(&mut reader.window, offset) {
                reader.window.clear();
                return Err(error);
            }
        }
        let at = (offset - reader.start) as usize;
        buffer.copy_from_slice(&reader.window[at..][..buffer.len()]);
        Ok(())
    }

    fn changed(&self, error: &io::Error) -> End {
        End::Refused(format!(
            "the input {} of {} bytes cannot be read: {error}",
            self.path.display(),
            self.size
        ))
    }
}

fn no_room(error: &io::Error) -> End {
    End::HostMemory(format!("scratch file: {error}"))
}
