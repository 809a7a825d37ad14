//! One provider's part in a transfer: asks ahead, checks every piece, and ends at the first fault.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::{BlobRef, PeerId, Subtrees};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

use super::link::{Links, Part};
use super::outcome::{Source, SourceEnd};
use super::plan::{Next, Plan};
use super::wire::Want;
use crate::Misdeed;
use crate::limits::REQUESTS_AHEAD;
use crate::shared::Shared;

/// What the providers of one transfer share.
pub(super) struct Transfer {
    pub(super) shared: Arc<Shared>,
    pub(super) blob: BlobRef,
    pub(super) trees: Subtrees,
    pub(super) plan: Mutex<Plan>,
    /// Pieces came back into the plan, or the last one arrived.
    pub(super) changed: Notify,
    /// Checked pieces on their way to the sink.
    pub(super) pieces: mpsc::Sender<Piece>,
    pub(super) working: std::sync::atomic::AtomicUsize,
}

/// A checked piece; its permit counts it against the memory of all transfers.
pub(super) struct Piece {
    pub(super) index: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A request that is under way.
struct Asked {
    parts: mpsc::Receiver<Part>,
    permit: OwnedSemaphorePermit,
    left: u32,
}

impl Transfer {
    pub(super) fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every piece has arrived.
    async fn until_done(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.plan().left() == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// Works until nothing is left to do or the provider has failed.
pub(super) async fn work(transfer: Arc<Transfer>, peer: PeerId) -> Source {
    let began = Instant::now();
    let mut source =
        Source { peer, chunks: 0, bytes: 0, busy: Duration::ZERO, end: SourceEnd::Finished };
    transfer.working.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    source.end = run(&transfer, &mut source, began).await;
    if matches!(source.end, SourceEnd::Lost(_)) {
        // The connection may have been replaced, which breaks the stream but not the provider.
        transfer.plan().drop_peer(peer);
        source.end = run(&transfer, &mut source, began).await;
    }
    transfer.working.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    source.busy = began.elapsed();
    transfer.plan().drop_peer(peer);
    transfer.changed.notify_waiters();
    if let SourceEnd::Fault(misdeed) = source.end {
        transfer.shared.blame(peer, misdeed);
    }
    source
}

async fn run(transfer: &Arc<Transfer>, source: &mut Source, began: Instant) -> SourceEnd {
    let mut asked: VecDeque<Asked> = VecDeque::new();
    loop {
        let changed = transfer.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if transfer.plan().left() == 0 {
            return SourceEnd::Finished;
        }
        let wait = match ask_ahead(transfer, source, began, &mut asked).await {
            Next::Done => return SourceEnd::Finished,
            Next::Wait { until } => until,
            Next::Pieces { .. } => None,
        };
        let Some(front) = asked.front_mut() else {
            match wait {
                Some(until) => {
                    let _ = tokio::time::timeout_at(until.into(), changed).await;
                }
                None => changed.await,
            }
            continue;
        };
        let part = tokio::select! {
            part = front.parts.recv() => part,
            () = changed => continue,
        };
        match part {
            Some(Part::Chunk { index, bytes }) => {
                if let Err(end) = take(transfer, source, front, index, bytes).await {
                    return end;
                }
                if front.left == 0 {
                    asked.pop_front();
                }
            }
            Some(Part::Absent) => return SourceEnd::Absent,
            Some(Part::Fault(misdeed)) => return SourceEnd::Fault(misdeed),
            Some(Part::Lost(reason)) => return SourceEnd::Lost(reason),
            Some(Part::Tree(_)) => return SourceEnd::Fault(Misdeed::BadFrame),
            None => return SourceEnd::Lost("the stream broke".to_owned()),
        }
    }
}

/// Keeps a few requests under way; returns what the plan said last.
async fn ask_ahead(
    transfer: &Arc<Transfer>,
    source: &Source,
    began: Instant,
    asked: &mut VecDeque<Asked>,
) -> Next {
    let chunks = &transfer.shared.chunks;
    while asked.len() < REQUESTS_AHEAD {
        // Only who has nothing under way may wait for memory: others hold some of it.
        let permit = match chunks.clone().try_acquire_many_owned(crate::limits::CHUNKS_PER_REQUEST)
        {
            Ok(permit) => permit,
            Err(_) if !asked.is_empty() => break,
            Err(_) => tokio::select! {
                permit = chunks.clone().acquire_many_owned(crate::limits::CHUNKS_PER_REQUEST) => {
                    permit.expect("nobody closes the semaphore")
                }
                () = transfer.until_done() => return Next::Done,
            },
        };
        let pace = began.elapsed().checked_div(u32::try_from(source.chunks).unwrap_or(u32::MAX));
        let working = transfer.working.load(std::sync::atomic::Ordering::Relaxed);
        let next = transfer.plan().next(source.peer, working, pace, Instant::now());
        let Next::Pieces { first, count } = next else {
            return match asked.is_empty() {
                true => next,
                false => Next::Wait { until: None },
            };
        };
        let mut permit = permit;
        let permit = permit.split(count as usize).expect("a request holds no more than was taken");
        let want = Want { blob: transfer.blob, tree: false, first, count };
        let parts = tokio::select! {
            parts = Links::ask(&transfer.shared, source.peer, want) => parts,
            () = transfer.until_done() => return Next::Done,
        };
        asked.push_back(Asked { parts, permit, left: count });
    }
    Next::Wait { until: None }
}

/// Checks a piece and hands it on; the sink's pace is ours.
async fn take(
    transfer: &Transfer,
    source: &mut Source,
    asked: &mut Asked,
    index: u64,
    bytes: Vec<u8>,
) -> Result<(), SourceEnd> {
    if !transfer.trees.holds(index, &bytes) {
        return Err(SourceEnd::Fault(Misdeed::WrongBytes));
    }
    asked.left -= 1;
    let permit = asked.permit.split(1).expect("an answer has no more pieces than were asked for");
    let is_last = {
        let mut plan = transfer.plan();
        if !plan.arrived(index) {
            return Ok(());
        }
        plan.left() == 0
    };
    source.chunks += 1;
    source.bytes += bytes.len() as u64;
    if is_last {
        transfer.changed.notify_waiters();
    }
    // The sink may have failed; the transfer finds out by itself.
    let _ = transfer.pieces.send(Piece { index, bytes, _permit: permit }).await;
    Ok(())
}
