//! Cutting a file into parts while it streams by: no line and no part is ever held in memory.

use std::path::Path;
use std::sync::Arc;

use protocol::limits::TREE_ENTRIES_MAX;
use protocol::{BlobId, BlobRef, Entry};

use super::source::Stamped;
use super::{BlobSource, PrepareError};

/// What ends a part.
#[derive(Clone, Copy, Debug)]
pub(super) enum Every {
    Lines(u64),
    Bytes(u64),
}

/// Cuts a file; entries are named by their zero-padded numbers.
pub(super) fn cut_file(
    path: &Path,
    every: Every,
) -> Result<(Vec<Entry>, Vec<BlobSource>), PrepareError> {
    let (mut reader, stamp) = Stamped::open(path)?;
    let mut cutter = Cutter::new(every);
    stamp.read(&mut reader, |bytes| match cutter.take(bytes) {
        true => Ok(()),
        false => Err(PrepareError::TooMany { path: path.to_owned() }),
    })?;
    let Some(parts) = cutter.finish() else {
        return Err(PrepareError::TooMany { path: path.to_owned() });
    };
    if parts.is_empty() {
        return Err(PrepareError::Empty { path: path.to_owned() });
    }
    let width = (parts.len() - 1).max(1).ilog10() as usize + 1;
    let file = Arc::new(stamp);
    let mut at = 0;
    Ok(parts
        .into_iter()
        .enumerate()
        .map(|(number, blob)| {
            let source = BlobSource::part(&file, at, blob);
            at += blob.size;
            (Entry { path: format!("{number:0width$}"), blob, is_tree: false }, source)
        })
        .unzip())
}

/// The part that is being read, and those that are finished.
#[derive(Debug)]
struct Cutter {
    every: Every,
    hasher: blake3::Hasher,
    size: u64,
    lines: u64,
    done: Vec<BlobRef>,
}

impl Cutter {
    fn new(every: Every) -> Self {
        Self { every, hasher: blake3::Hasher::new(), size: 0, lines: 0, done: Vec::new() }
    }

    /// Takes the next bytes; false if there would be too many parts.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let (len, ends) = self.next_cut(bytes);
            self.hasher.update(&bytes[..len]);
            self.size += len as u64;
            bytes = &bytes[len..];
            if ends && !self.end_part() {
                return false;
            }
        }
        true
    }

    /// How many of these bytes still belong to the part, and whether it ends with them.
    fn next_cut(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self.every {
            Every::Bytes(size) => {
                let room = size - self.size;
                let len = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
                (len, len as u64 == room)
            }
            Every::Lines(lines) => {
                for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
                    self.lines += 1;
                    if self.lines == lines {
                        return (at + 1, true);
                    }
                }
                (bytes.len(), false)
            }
        }
    }

    fn end_part(&mut self) -> bool {
        if self.done.len() == TREE_ENTRIES_MAX {
            return false;
        }
        let id = BlobId::new(*self.hasher.finalize().as_bytes());
        self.done.push(BlobRef { id, size: self.size });
        self.hasher.reset();
        self.size = 0;
        self.lines = 0;
        true
    }

    fn finish(mut self) -> Option<Vec<BlobRef>> {
        (self.size == 0 || self.end_part()).then_some(self.done)
    }
}
