//! What a worker has to report: results are collected, so that tiny units share a frame.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_bytes::ByteBuf;

use crate::limits::{FRAME_BYTES, TICK};
use crate::wire::{Done, Report, frame};

/// The way to the parent, for the thread that runs units and the one that watches it.
#[derive(Debug)]
pub(super) struct Outbox(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    to_parent: File,
    done: Vec<ByteBuf>,
    bytes: usize,
    since: Instant,
}

impl Outbox {
    pub(super) fn new(to_parent: File) -> Self {
        let (done, bytes, since) = (Vec::new(), 0, Instant::now());
        Self(Mutex::new(Waiting { to_parent, done, bytes, since }))
    }

    /// Adds a result, and sends all when they fill a frame or nothing more is to come.
    pub(super) fn push(&self, done: &Done, at_once: bool) {
        let encoded = protocol::encode(done);
        let mut waiting = self.lock();
        if waiting.done.is_empty() {
            waiting.since = Instant::now();
        }
        waiting.bytes += encoded.len();
        waiting.done.push(ByteBuf::from(encoded));
        if at_once || FRAME_BYTES <= waiting.bytes {
            waiting.flush();
        }
    }

    /// Sends what waits, and then this.
    pub(super) fn send(&self, report: &Report) {
        let mut waiting = self.lock();
        waiting.flush();
        waiting.write(report);
    }

    pub(super) fn flush(&self) {
        self.lock().flush();
    }

    /// Sends what has waited for a while.
    pub(super) fn flush_old(&self) {
        let mut waiting = self.lock();
        if !waiting.done.is_empty() && TICK <= waiting.since.elapsed() {
            waiting.flush();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn flush(&mut self) {
        if !self.done.is_empty() {
            self.bytes = 0;
            let report = Report::Done(std::mem::take(&mut self.done));
            self.write(&report);
        }
    }

    /// A parent that is gone is noticed by whoever reads its orders.
    fn write(&mut self, report: &Report) {
        let _ = self.to_parent.write_all(&frame(report));
    }
}
