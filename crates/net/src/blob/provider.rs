//! One provider's part in a transfer: asks ahead, checks every piece, and ends at the first fault.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::{PeerId, chunk_count, chunk_len};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

use super::link::{Links, Part};
use super::outcome::{Source, SourceEnd};
use super::plan::{Asking, Next, Plan};
use super::report::{Holding, Report};
use super::transfers::Live;
use super::wire::Want;
use crate::Misdeed;
use crate::limits::{
    CHUNKS_PER_REQUEST, REPORT_EVERY, REQUESTS_AHEAD, SPREAD_PIECES_MIN, WHOLE_REPORT_EVERY,
};
use crate::shared::Shared;

/// What the providers of one transfer share.
pub(super) struct Transfer {
    pub(super) shared: Arc<Shared>,
    pub(super) live: Arc<Live>,
    pub(super) plan: Mutex<Plan>,
    /// Pieces came back into the plan, or the last one arrived.
    pub(super) changed: Notify,
    /// Checked pieces on their way to the sink.
    pub(super) pieces: mpsc::Sender<Piece>,
    pub(super) working: AtomicUsize,
}

/// A checked piece; its permit counts it against the memory of all transfers.
pub(super) struct Piece {
    pub(super) index: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Who has given nothing for so many silences keeps no memory that others wait for.
const HOARDING: u32 = 6;

/// A request that is under way.
struct Asked {
    since: Instant,
    parts: mpsc::Receiver<Part>,
    what: What,
}

enum What {
    Pieces { permit: OwnedSemaphorePermit, left: u32 },
    Report,
}

impl Transfer {
    pub(super) fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is worth asking who has what.
    fn is_spread(&self) -> bool {
        SPREAD_PIECES_MIN <= chunk_count(self.live.blob.size)
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
    transfer.working.fetch_add(1, Relaxed);
    let mut helper = Helper::new(&transfer, peer);
    let mut end = helper.run().await;
    if matches!(end, SourceEnd::Lost(_)) && !helper.is_hoarding() {
        // The connection may have been replaced, which breaks the stream but not the provider.
        transfer.plan().drop_peer(peer);
        transfer.changed.notify_waiters();
        helper.start_anew();
        end = helper.run().await;
    }
    transfer.working.fetch_sub(1, Relaxed);
    let Helper { mut source, began, .. } = helper;
    (source.busy, source.end) = (began.elapsed(), end);
    transfer.plan().drop_peer(peer);
    transfer.changed.notify_waiters();
    if let SourceEnd::Fault(misdeed) = source.end {
        transfer.shared.blame(peer, misdeed);
    }
    source
}

/// One provider's work.
struct Helper<'a> {
    transfer: &'a Transfer,
    source: Source,
    began: Instant,
    /// How long there was nothing to ask it for.
    idle: Duration,
    asked: VecDeque<Asked>,
    /// When it answered last.
    heard: Instant,
    /// When to ask again what it has; never, where the blob is small.
    report_due: Option<Instant>,
    /// Nothing is asked of it before it has said what it has.
    is_known: bool,
    /// The last pieces that it was asked for were not there.
    in_vain: bool,
}

impl<'a> Helper<'a> {
    fn new(transfer: &'a Transfer, peer: PeerId) -> Self {
        let (began, end) = (Instant::now(), SourceEnd::Finished);
        let source = Source { peer, chunks: 0, bytes: 0, busy: Duration::ZERO, end };
        let is_spread = transfer.is_spread();
        let report_due = is_spread.then_some(began);
        Self {
            transfer,
            source,
            began,
            idle: Duration::ZERO,
            asked: VecDeque::new(),
            heard: began,
            report_due,
            is_known: !is_spread,
            in_vain: false,
        }
    }

    fn start_anew(&mut self) {
        let fresh = Self::new(self.transfer, self.source.peer);
        self.asked = fresh.asked;
        (self.report_due, self.is_known) = (fresh.report_due, fresh.is_known);
    }

    async fn run(&mut self) -> SourceEnd {
        let transfer = self.transfer;
        loop {
            let changed = transfer.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if transfer.plan().left() == 0 {
                return SourceEnd::Finished;
            }
            let until = match self.ask_ahead().await {
                Next::Done => return SourceEnd::Finished,
                Next::Wait { until } => [until, self.report_due].into_iter().flatten().min(),
                Next::Pieces { .. } => self.report_due,
            };
            if self.is_hoarding() {
                return SourceEnd::Lost("it kept memory that others waited for".to_owned());
            }
            let until = [until, self.hoarding_due()].into_iter().flatten().min();
            let alarm = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            let Some(front) = self.asked.front_mut() else {
                let since = Instant::now();
                tokio::select! {
                    () = alarm => {}
                    () = changed => {}
                }
                self.idle += since.elapsed();
                continue;
            };
            let part = tokio::select! {
                part = front.parts.recv() => part,
                () = alarm => continue,
                () = changed => continue,
            };
            self.heard = Instant::now();
            if let Err(end) = self.answered(part).await {
                return end;
            }
        }
    }

    /// Keeps a few requests under way; returns what the plan said last.
    async fn ask_ahead(&mut self) -> Next {
        let (transfer, peer) = (self.transfer, self.source.peer);
        if self.report_due.is_some_and(|due| due <= Instant::now()) {
            self.report_due = None;
            match self.ask(Want::report(transfer.live.blob)).await {
                Some(parts) => self.expect(parts, What::Report),
                None => return Next::Done,
            }
        }
        if !self.is_known {
            return Next::Wait { until: None };
        }
        let chunks = &transfer.shared.chunks;
        // Who only promises shall not bind much memory: the first piece comes alone.
        let (ahead, most) = match self.source.chunks {
            0 => (1, 1),
            _ => (REQUESTS_AHEAD, CHUNKS_PER_REQUEST),
        };
        while self.asked.len() < ahead {
            // Only who has nothing under way may wait for memory: others hold some of it.
            let permit = match chunks.try_take(most) {
                Some(permit) => permit,
                None if !self.asked.is_empty() => break,
                None => tokio::select! {
                    permit = chunks.take(most) => permit,
                    () = transfer.until_done() => return Next::Done,
                },
            };
            // Taken before there is a promise of pieces, so that they do not seem to be late.
            let turn = tokio::select! {
                turn = transfer.shared.download.turn() => turn,
                () = transfer.until_done() => return Next::Done,
            };
            let chunks = u32::try_from(self.source.chunks).unwrap_or(u32::MAX);
            let pace = self.began.elapsed().saturating_sub(self.idle).checked_div(chunks);
            let asking = Asking { peer, peers: transfer.working.load(Relaxed), pace, most };
            let next = transfer.plan().next(asking, Instant::now());
            let Next::Pieces { first, count } = next else {
                return match self.asked.is_empty() {
                    true => next,
                    false => Next::Wait { until: None },
                };
            };
            let size = transfer.live.blob.size;
            turn.take((first..first + u64::from(count)).map(|index| chunk_len(size, index)).sum());
            let mut permit = permit;
            let permit =
                permit.split(count as usize).expect("a request holds no more than was taken");
            match self.ask(Want::pieces(transfer.live.blob, first, count)).await {
                Some(parts) => {
                    self.expect(parts, What::Pieces { permit, left: count });
                }
                None => return Next::Done,
            }
        }
        Next::Wait { until: None }
    }

    fn expect(&mut self, parts: mpsc::Receiver<Part>, what: What) {
        self.asked.push_back(Asked { since: Instant::now(), parts, what });
    }

    /// When what it owes may be better used elsewhere; later, if nobody has a use for it then.
    fn hoarding_due(&self) -> Option<Instant> {
        let silence = self.transfer.shared.patience.silence;
        let due = self.asked.front()?.since.max(self.heard) + silence * HOARDING;
        let now = Instant::now();
        Some(if due <= now { now + silence } else { due })
    }

    /// Memory is set aside for pieces that do not come, and others wait for it.
    fn is_hoarding(&self) -> bool {
        let Some(front) = self.asked.front() else { return false };
        let quiet = front.since.max(self.heard).elapsed();
        let shared = &self.transfer.shared;
        shared.patience.silence * HOARDING <= quiet && shared.chunks.is_wanted()
    }

    /// Asks the provider; `None` if everything has arrived meanwhile.
    async fn ask(&self, want: Want) -> Option<mpsc::Receiver<Part>> {
        tokio::select! {
            parts = Links::ask(&self.transfer.shared, self.source.peer, want) => Some(parts),
            () = self.transfer.until_done() => None,
        }
    }

    async fn answered(&mut self, part: Option<Part>) -> Result<(), SourceEnd> {
        match part {
            Some(Part::Chunk { index, bytes }) => self.take(index, bytes).await,
            Some(Part::Report(report)) => self.learn(report),
            Some(Part::Absent) => self.absent(),
            Some(Part::Fault(misdeed)) => Err(SourceEnd::Fault(misdeed)),
            Some(Part::Lost(reason)) => Err(SourceEnd::Lost(reason)),
            Some(Part::Tree(_)) => Err(SourceEnd::Fault(Misdeed::BadFrame)),
            None => Err(SourceEnd::Lost("the stream broke".to_owned())),
        }
    }

    /// What the provider says it has, and whom it names, are hints.
    fn learn(&mut self, report: Report) -> Result<(), SourceEnd> {
        let Some(Asked { what: What::Report, .. }) = self.asked.pop_front() else {
            return Err(SourceEnd::Fault(Misdeed::BadFrame));
        };
        let (transfer, peer) = (self.transfer, self.source.peer);
        let pause = match report.holding {
            Holding::Whole => WHOLE_REPORT_EVERY,
            Holding::Part(_) => REPORT_EVERY,
        };
        self.report_due = Some(Instant::now() + pause);
        let mut plan = transfer.plan();
        plan.holds(peer, &report.holding);
        if self.is_of_no_use(&plan, &report.holding) {
            return Err(SourceEnd::Absent);
        }
        if matches!(report.holding, Holding::Whole) && !self.is_known {
            plan.begin_at(u64::from(report.start));
        }
        self.is_known = true;
        drop(plan);
        transfer.live.hear(report.peers);
        Ok(())
    }

    /// Two that are on their way and have the same could wait for each other for ever.
    fn is_of_no_use(&self, plan: &Plan, holding: &Holding) -> bool {
        let silence = plan.last_arrival().map_or(self.began, |last| last.max(self.began)).elapsed();
        let has_all = match holding {
            Holding::Whole => true,
            Holding::Part(_) => false,
        };
        !has_all && self.asked.is_empty() && self.transfer.shared.patience.useless < silence
    }

    /// It does not have the blob, or, if that was asked for, a piece of it: that may be because it is on
    /// its way itself and began anew. It is asked once more what it has.
    fn absent(&mut self) -> Result<(), SourceEnd> {
        let front = self.asked.front().map(|asked| &asked.what);
        if !self.transfer.is_spread() || !matches!(front, Some(What::Pieces { .. })) {
            return Err(SourceEnd::Absent);
        }
        if self.in_vain {
            return Err(SourceEnd::Absent);
        }
        self.in_vain = true;
        // Answers to what was asked behind it are dropped as they come.
        self.transfer.plan().drop_peer(self.source.peer);
        self.transfer.changed.notify_waiters();
        self.start_anew();
        Ok(())
    }

    /// Checks a piece and hands it on; the sink's pace is ours.
    async fn take(&mut self, index: u64, bytes: Vec<u8>) -> Result<(), SourceEnd> {
        let transfer = self.transfer;
        let front = self.asked.front_mut().map(|asked| &mut asked.what);
        let Some(What::Pieces { permit, left }) = front else {
            return Err(SourceEnd::Fault(Misdeed::BadFrame));
        };
        if !transfer.live.trees.holds(index, &bytes) {
            return Err(SourceEnd::Fault(Misdeed::WrongBytes));
        }
        *left -= 1;
        let permit = permit.split(1).expect("an answer has no more pieces than were asked for");
        if *left == 0 {
            self.asked.pop_front();
        }
        self.in_vain = false;
        let is_last = {
            let mut plan = transfer.plan();
            if !plan.arrived(index, self.source.peer, Instant::now()) {
                return Ok(());
            }
            plan.left() == 0
        };
        self.source.chunks += 1;
        self.source.bytes += bytes.len() as u64;
        if is_last {
            transfer.changed.notify_waiters();
        }
        // The sink may have failed; the transfer finds out by itself.
        let _ = transfer.pieces.send(Piece { index, bytes, _permit: permit }).await;
        Ok(())
    }
}
