//! Lines as they come: a stream that ends where a window does, and goes on with the next one.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{FeedError, Template};
use crate::api::Blob;
use crate::prepare::{cut_plain, numbered, tree};
use crate::{BlobSource, Draft};

/// What is read at once.
const READ_BYTES: usize = 64 << 10;
/// Reads that may wait: whoever writes waits then, too.
const READS_WAITING: usize = 4;

/// Somebody's lines, read by a thread of their own so that a window can end while nothing comes.
#[derive(Debug)]
pub struct Lines {
    reads: Receiver<io::Result<Vec<u8>>>,
    /// What was read and belongs to no window yet.
    pending: Vec<u8>,
    at: usize,
    is_over: bool,
}

/// A window's lines as parts, and the draft that names them.
#[derive(Debug)]
pub struct Filled {
    pub draft: Draft,
    pub blobs: Vec<BlobSource>,
    pub lines: u64,
}

/// What has happened to lines that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    Some,
    Nothing,
    End,
}

/// The lines of one window.
struct Window<'l> {
    lines: &'l mut Lines,
    left: u64,
    ends: Option<Instant>,
    /// Whether what was given out ends with a line.
    at_start: bool,
    seen: u64,
}

impl Lines {
    /// Begins to read; `reader` is dropped when it ends.
    pub fn new(mut reader: impl Read + Send + 'static) -> Self {
        let (sender, reads) = mpsc::sync_channel(READS_WAITING);
        std::thread::spawn(move || {
            loop {
                let mut buffer = vec![0; READ_BYTES];
                let read = match reader.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(len) => {
                        buffer.truncate(len);
                        Ok(buffer)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if sender.send(read).is_err() || failed {
                    return;
                }
            }
        });
        Self { reads, pending: Vec::new(), at: 0, is_over: false }
    }

    /// Waits for a first line, and reads on until the window is full; `None` at the end of all lines.
    ///
    /// # Errors
    /// [`FeedError`] names the window and the line, counted from the window's first.
    pub fn fill(&mut self, template: &Template, number: u64) -> Result<Option<Filled>, FeedError> {
        let name = format!("standard input, window {number}");
        let name = Path::new(&name);
        let unreadable = |source| crate::PrepareError::Unreadable { path: name.to_owned(), source };
        if self.wait(None).map_err(unreadable)? == Waited::End {
            return Ok(None);
        }
        let every = template.every_ms.map(Duration::from_millis);
        let ends = every.map(|every| Instant::now() + every);
        let mut window =
            Window { lines: self, left: template.count, ends, at_start: true, seen: 0 };
        let sources = cut_plain(&mut window, name, template.cut())?;
        let lines = window.seen + u64::from(!window.at_start);
        let (entries, mut blobs) = numbered([Ok(sources)].into_iter(), name)?;
        let count = entries.len() as u64;
        let tree = tree(name, entries)?;
        let parts: Blob = tree.blob().into();
        blobs.push(tree);
        Ok(Some(Filled { draft: template.window(parts, count)?, blobs, lines }))
    }

    fn wait(&mut self, within: Option<Duration>) -> io::Result<Waited> {
        if self.at < self.pending.len() {
            return Ok(Waited::Some);
        }
        if self.is_over {
            return Ok(Waited::End);
        }
        let read = match within {
            Some(within) => self.reads.recv_timeout(within),
            None => self.reads.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match read {
            Ok(read) => {
                (self.pending, self.at) = (read?, 0);
                Ok(Waited::Some)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Waited::Nothing),
            Err(RecvTimeoutError::Disconnected) => {
                self.is_over = true;
                Ok(Waited::End)
            }
        }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A window never ends within a line.
        let left = self.ends.filter(|_| self.at_start);
        let left = left.map(|ends| ends.saturating_duration_since(Instant::now()));
        if self.left == 0 || left.is_some_and(|left| left.is_zero()) {
            return Ok(0);
        }
        match self.lines.wait(left)? {
            Waited::Some => {}
            Waited::Nothing | Waited::End => return Ok(0),
        }
        let Lines { pending, at, .. } = &mut *self.lines;
        let most = buffer.len().min(pending.len() - *at);
        let mut found = 0;
        let mut len = most;
        for end in memchr::memchr_iter(b'\n', &pending[*at..*at + most]) {
            found += 1;
            if found == self.left {
                len = end + 1;
                break;
            }
        }
        buffer[..len].copy_from_slice(&pending[*at..*at + len]);
        *at += len;
        self.at_start = buffer[len - 1] == b'\n';
        self.left -= found;
        self.seen += found;
        Ok(len)
    }
}
