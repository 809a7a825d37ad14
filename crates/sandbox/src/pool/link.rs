//! Frames to and from one worker, both ways at once, so that neither side waits for the other.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};

use crate::limits::FRAME_BYTES;
use crate::wire::{Report, frame_len, parse};

#[derive(Debug)]
pub(super) struct Link {
    to_worker: ChildStdin,
    from_worker: ChildStdout,
    /// What still has to be written, and how much of it has been.
    outgoing: Vec<u8>,
    written: usize,
    incoming: Vec<u8>,
    parsed: usize,
    /// Whether the worker still reads.
    is_open: bool,
}

/// What happened on a link.
#[derive(Debug)]
pub(super) enum Turn {
    Said(Report),
    /// Everything has been written.
    Drained,
    /// The worker has closed its side: it is ending.
    Closed,
}

impl Link {
    pub(super) fn new(to_worker: ChildStdin, from_worker: ChildStdout) -> Self {
        let (outgoing, incoming) = (Vec::new(), Vec::with_capacity(FRAME_BYTES));
        Self { to_worker, from_worker, outgoing, written: 0, incoming, parsed: 0, is_open: true }
    }

    /// Has a frame written, as the turns go on.
    pub(super) fn send(&mut self, frame: &[u8]) {
        self.outgoing.extend_from_slice(frame);
    }

    /// Waits for the next thing to happen. Nothing is lost when the waiting is given up.
    pub(super) async fn turn(&mut self) -> io::Result<Turn> {
        loop {
            if let Some(report) = self.next_report()? {
                return Ok(Turn::Said(report));
            }
            let writes = self.is_open && self.written < self.outgoing.len();
            tokio::select! {
                biased;
                read = self.from_worker.read_buf(&mut self.incoming) => {
                    if read? == 0 {
                        return Ok(Turn::Closed);
                    }
                }
                wrote = self.to_worker.write(&self.outgoing[self.written..]), if writes => {
                    match wrote {
                        Ok(count) => self.written += count,
                        // It is ending; what it said before that is still to be read.
                        Err(_) => self.is_open = false,
                    }
                    if self.written == self.outgoing.len() {
                        self.outgoing.clear();
                        self.written = 0;
                        return Ok(Turn::Drained);
                    }
                }
            }
        }
    }

    fn next_report(&mut self) -> io::Result<Option<Report>> {
        let unread = &self.incoming[self.parsed..];
        let Some((header, rest)) = unread.split_first_chunk::<4>() else { return Ok(None) };
        let len = frame_len(*header).ok_or_else(|| io::Error::other("a frame is too long"))?;
        let Some(body) = rest.get(..len) else {
            self.incoming.drain(..self.parsed);
            self.parsed = 0;
            self.incoming.reserve((4 + len).saturating_sub(self.incoming.len()));
            return Ok(None);
        };
        let report = parse(body).map_err(io::Error::other)?;
        self.parsed += 4 + len;
        if self.parsed == self.incoming.len() {
            self.incoming.clear();
            self.parsed = 0;
        }
        Ok(Some(report))
    }
}
