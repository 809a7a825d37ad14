//! Reconciliation: gossip may lose anything, so logs are compared while a job makes no progress, or while one of
//! them has a gap.

use protocol::{Heads, Message, PeerId, Signed, Step};

use crate::active::Active;
use crate::core::Core;
use crate::limits::{
    GAP_MS, GAP_MS_PER_AUTHOR, NEWCOMER_MS, STEPS_BYTES_MAX, SYNC_MS_MAX, SYNC_MS_MIN,
    SYNC_ROUNDS_AFTER,
};

/// When to compare logs again.
#[derive(Debug)]
pub(crate) struct Sync {
    next_ms: u64,
    pause_ms: u64,
    /// When something new was heard last.
    news_ms: u64,
    /// When to ask for what is missing in the middle of a log.
    gap_ms: Option<u64>,
    rounds: u64,
    /// Comparisons left once the job is over: others may know what would re-open it.
    left: u32,
    /// Until when a newcomer waits to hear what is known; nothing once it has.
    waits_until_ms: Option<u64>,
}

impl Sync {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            next_ms: now_ms + SYNC_MS_MIN,
            pause_ms: SYNC_MS_MIN,
            news_ms: now_ms,
            gap_ms: None,
            rounds: 0,
            left: SYNC_ROUNDS_AFTER,
            waits_until_ms: Some(now_ms + NEWCOMER_MS),
        }
    }

    /// Somebody has told what it knows, or that it knows nothing.
    pub(crate) fn is_told(&mut self) {
        self.waits_until_ms = None;
    }

    /// From when on a newcomer may execute, so that nothing is done again which is known already.
    pub(crate) fn begins_ms(&self) -> u64 {
        self.waits_until_ms.unwrap_or(0)
    }

    /// Whether nothing new has come for some rounds.
    pub(crate) fn is_quiet(&self) -> bool {
        SYNC_MS_MIN * 2 < self.pause_ms
    }

    /// Something new came: no need to ask for a while, but soon again if it stays the last.
    pub(crate) fn progress(&mut self, now_ms: u64) {
        self.pause_ms = SYNC_MS_MIN;
        self.next_ms = now_ms + SYNC_MS_MIN;
        self.news_ms = now_ms;
        self.left = SYNC_ROUNDS_AFTER;
    }

    /// When something new was heard last.
    pub(crate) fn news_ms(&self) -> u64 {
        self.news_ms
    }

    /// A step came without its predecessor, which may be on its way. In a busy job something new comes all the
    /// time, and what was lost would wait for the end of it.
    pub(crate) fn gap(&mut self, now_ms: u64, authors: usize) {
        let patience = GAP_MS.max(GAP_MS_PER_AUTHOR * authors as u64);
        self.gap_ms.get_or_insert(now_ms + patience);
    }
}

impl Active {
    /// Compares logs with everybody we are linked to.
    pub(crate) fn ask_around(&mut self, core: &mut Core) {
        let peers: Vec<PeerId> = core.links.keys().copied().collect();
        for peer in peers {
            core.send(peer, Message::Heads(self.ledger.heads(true)));
        }
    }

    pub(crate) fn tend_sync(&mut self, core: &mut Core) {
        if self.over && self.sync.left == 0 {
            return;
        }
        let now = core.now.mono_ms;
        if self.sync.gap_ms.is_some_and(|due| due <= now) {
            self.sync.gap_ms = None;
            if self.ledger.has_gaps() {
                self.sync.gap(now, self.ledger.authors().count());
                self.compare_with_two(core);
            }
        }
        if let Some(due) = self.sync.gap_ms {
            core.wake_at(due);
        }
        if now < self.sync.next_ms {
            core.wake_at(self.sync.next_ms);
            return;
        }
        self.sync.left = if self.over { self.sync.left - 1 } else { SYNC_ROUNDS_AFTER };
        self.sync.pause_ms = (self.sync.pause_ms * 2).min(SYNC_MS_MAX);
        self.sync.next_ms = now + self.sync.pause_ms;
        core.wake_at(self.sync.next_ms);
        self.compare_with_two(core);
    }

    /// Compares logs with two peers, others each time.
    fn compare_with_two(&mut self, core: &mut Core) {
        self.sync.rounds += 1;
        let turn = self.sync.rounds.to_le_bytes();
        let mut peers: Vec<PeerId> = core.links.keys().copied().collect();
        peers.sort_by_cached_key(|peer| {
            core.coin(&[self.id.blob().as_bytes(), &turn, peer.as_bytes()])
        });
        for peer in peers.into_iter().take(2) {
            core.send(peer, Message::Heads(self.ledger.heads(true)));
        }
    }

    /// Sends what the other lacks, and asks for what we lack.
    pub(crate) fn hear_heads(&mut self, core: &mut Core, from: PeerId, heads: &Heads) {
        let (missing, lacking) = self.ledger.compare(heads);
        for steps in chunks(missing) {
            core.send(from, Message::Steps(steps));
        }
        // A newcomer waits for an answer, and of a job that has just begun only its submitter can say that.
        let is_new = heads.heads.is_empty() && self.submitted;
        if heads.answer && (lacking || is_new) {
            core.send(from, Message::Heads(self.ledger.heads(false)));
        }
    }
}

/// Cuts steps into messages of bounded size.
fn chunks(steps: Vec<Signed<Step>>) -> Vec<Vec<Signed<Step>>> {
    let (mut chunks, mut bytes) = (Vec::<Vec<Signed<Step>>>::new(), 0);
    for step in steps {
        let size = step.envelope().body_len();
        match chunks.last_mut().filter(|_| bytes + size <= STEPS_BYTES_MAX) {
            Some(chunk) => {
                bytes += size;
                chunk.push(step);
            }
            None => {
                bytes = size;
                chunks.push(vec![step]);
            }
        }
    }
    chunks
}
