//! The queue before the writer: what gathers in it while a commit runs is the next commit.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::{Batch, StoreError};

/// Memory that may wait for the writer; who brings more waits outside.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Lazy bytes that are written even if nobody waits for them.
const LAZY_BYTES_MAX: usize = 1 << 20;
/// How long lazy writes may stay in memory.
const LAZY_MAX: Duration = Duration::from_secs(1);

/// Told the end of its batch, once.
pub(crate) type OnDurable = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A batch on its way; without `done` nobody waits for it.
pub(crate) struct Request {
    pub(crate) batch: Batch,
    pub(crate) done: Option<OnDurable>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("batch", &self.batch).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Request>,
    bytes: usize,
    urgent: bool,
    /// When the first lazy request came.
    lazy_since: Option<Instant>,
    closed: bool,
    writer: Option<ThreadId>,
}

impl Queue {
    /// Adds a request, waiting while too much waits already; returns it if the queue is closed.
    pub(crate) fn push(&self, request: Request) -> Result<(), Request> {
        let weight = request.batch.weight();
        let mut state = self.lock();
        // The writer itself, in a callback, must not wait for the writer.
        let is_writer = state.writer == Some(thread::current().id());
        while !is_writer
            && !state.closed
            && state.bytes != 0
            && QUEUE_BYTES_MAX < state.bytes + weight
        {
            state = self.drained.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(request);
        }
        state.bytes += weight;
        if request.done.is_some() {
            state.urgent = true;
        } else {
            state.lazy_since.get_or_insert_with(Instant::now);
        }
        state.waiting.push(request);
        // Further lazy requests change nothing about when the writer is due.
        if state.urgent || state.waiting.len() == 1 || LAZY_BYTES_MAX < state.bytes {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Everything that waits, once somebody waits for it or it has waited long enough; `None` once
    /// the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<Request>> {
        let mut state = self.lock();
        state.writer = Some(thread::current().id());
        loop {
            let waited = state.lazy_since.map(|since| since.elapsed());
            let due = state.urgent
                || LAZY_BYTES_MAX < state.bytes
                || waited.is_some_and(|waited| LAZY_MAX <= waited);
            if due || (state.closed && !state.waiting.is_empty()) {
                break;
            }
            if state.closed {
                return None;
            }
            state = match waited {
                Some(waited) => {
                    let rest = LAZY_MAX.saturating_sub(waited);
                    let woken = self.filled.wait_timeout(state, rest);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.bytes = 0;
        state.urgent = false;
        state.lazy_since = None;
        self.drained.notify_all();
        Some(std::mem::take(&mut state.waiting))
    }

    /// Nothing comes in any more; what waits is still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    /// Whether this is the writer's thread, which must not wait for itself.
    pub(crate) fn is_writer(&self) -> bool {
        self.lock().writer == Some(thread::current().id())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lazy() -> Request {
        Request { batch: Batch::default(), done: None }
    }

    #[test]
    fn lazy_requests_are_due_after_a_while_though_nobody_waits() {
        let queue = Queue::default();
        queue.push(lazy()).unwrap();
        queue.push(lazy()).unwrap();
        assert_eq!(queue.take().unwrap().len(), 2);
    }

    #[test]
    fn a_closed_queue_is_emptied_and_takes_nothing_more() {
        let queue = Queue::default();
        queue.push(lazy()).unwrap();
        queue.close();
        assert!(queue.push(lazy()).is_err());
        assert_eq!(queue.take().unwrap().len(), 1);
        assert!(queue.take().is_none());
    }

    #[test]
    fn who_brings_too_much_waits_until_there_is_room() {
        let queue = Queue::default();
        let heavy = || {
            let mut batch = Batch::default();
            batch.write(Vec::new(), vec![0; QUEUE_BYTES_MAX - 1000]);
            Request { batch, done: None }
        };
        queue.push(heavy()).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| queue.push(heavy()).is_ok());
            // Only when the first has been taken can the second come in.
            let mut taken = 0;
            while taken < 2 {
                let group = queue.take().unwrap();
                assert_eq!(group.len(), 1);
                taken += 1;
            }
            assert!(second.join().unwrap());
        });
    }
}
