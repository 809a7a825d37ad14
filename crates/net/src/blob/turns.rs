//! Turns: a number of places that are given in the order of asking, and whether somebody waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places, and how many wait for some.
#[derive(Debug)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Turns {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), waiting: AtomicUsize::new(0) }
    }

    pub(super) async fn take(&self, count: u32) -> OwnedSemaphorePermit {
        let _waiting = Waiting::new(&self.waiting);
        let taking = Arc::clone(&self.free).acquire_many_owned(count);
        taking.await.expect("nobody closes the semaphore")
    }

    /// `None` if there are not so many, or others came before.
    pub(super) fn try_take(&self, count: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_many_owned(count).ok()
    }

    pub(super) fn is_wanted(&self) -> bool {
        0 < self.waiting.load(Relaxed)
    }
}

/// Counted as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
