//! Picking: which batch this node takes next, by its own rank, yielding only to lower ranks.
//!
//! What to do about a batch is judged anew only when something was said about it, when its time has come,
//! or when the peers around have changed: a job has many batches, and every word is about one of them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{About, Hash, PeerId, Rank, Slot, Standing};

use crate::active::Active;
use crate::core::Core;
use crate::limits::{
    ALONE_MS, COMING_MAX, FEW_PEERS_MS, LOCAL_BATCHES_MAX, PLACE_MS, STALLED_MS, UNJOINED_MS,
};

/// A batch: its stage and number.
pub(crate) type At = (u16, u32);

/// Whether it gave no outcome here before, its stage, whether it reads what others have made, whether it
/// belongs to the small ones of a stage's tail, and our rank: the order in which we take batches.
type Turn = (bool, u16, bool, bool, Rank);

/// What to do about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Now,
    /// Only if there is nothing else: it is the turn of others, who would come to it the later, the
    /// higher this rank is.
    Spare(Rank),
    At(u64),
    No,
}

/// What is judged about every batch of a job.
#[derive(Debug, Default)]
pub(crate) struct Picking {
    choices: BTreeMap<At, (Turn, Choice)>,
    now: BTreeSet<(Turn, At)>,
    spare: BTreeSet<(Rank, At)>,
    later: BTreeSet<(u64, At)>,
    /// Batches to judge anew.
    dirty: BTreeSet<At>,
    all_dirty: bool,
    ground: Ground,
}

/// What every choice hangs on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ground {
    live: Vec<PeerId>,
    helpers: usize,
    convicted: usize,
}

impl Picking {
    /// Something about a batch has changed.
    pub(crate) fn touch(&mut self, at: At) {
        self.dirty.insert(at);
    }

    /// Something has changed that any choice may hang on.
    pub(crate) fn touch_all(&mut self) {
        self.all_dirty = true;
    }

    fn file(&mut self, at: At, turn: Turn, choice: Choice) {
        self.unfile(at);
        match choice {
            Choice::Now => drop(self.now.insert((turn, at))),
            Choice::Spare(rank) => drop(self.spare.insert((rank, at))),
            Choice::At(when) => drop(self.later.insert((when, at))),
            Choice::No => {}
        }
        self.choices.insert(at, (turn, choice));
    }

    fn unfile(&mut self, at: At) {
        let Some((turn, choice)) = self.choices.remove(&at) else { return };
        match choice {
            Choice::Now => drop(self.now.remove(&(turn, at))),
            Choice::Spare(rank) => drop(self.spare.remove(&(rank, at))),
            Choice::At(when) => drop(self.later.remove(&(when, at))),
            Choice::No => {}
        }
    }

    /// The best batch to take: those of our own turn first, then the one that others come to last.
    fn best(&self) -> Option<At> {
        let own = self.now.first().map(|(_, at)| *at);
        own.or_else(|| self.spare.last().map(|(_, at)| *at))
    }
}

impl Active {
    /// Starts one run, if there is something for us to do.
    pub(crate) fn take_work(&mut self, core: &mut Core) -> bool {
        let is_faulty = self.ledger.last_verdict().is_faulty(core.me);
        if self.over || !self.inputs.are_here() || is_faulty || !self.may_speak(core) {
            return false;
        }
        if let Some((stage, unit)) = self.work.wanted_units.pop_first() {
            return self.start(core, (stage, About::Unit(unit))) || self.take_work(core);
        }
        if self.start_audits(core) {
            return true;
        }
        let Some(from) = self.base_work_from(core) else { return false };
        if core.now.mono_ms < from {
            core.wake_at(from);
            return false;
        }
        self.judge_batches(core);
        while let Some((stage, batch)) = self.picking.best() {
            if COMING_MAX <= self.inputs.coming() {
                break;
            }
            // Whatever comes of it, it is looked at again when something about it changes.
            self.picking.unfile((stage, batch));
            if self.start(core, (stage, About::Batch(batch))) {
                self.tell_claim(core, stage, batch);
                return true;
            }
        }
        if let Some((when, _)) = self.picking.later.first() {
            core.wake_at(*when);
        }
        false
    }

    /// Judges what has changed since the last time.
    fn judge_batches(&mut self, core: &mut Core) {
        let verdict = self.ledger.last_verdict();
        let ground = Ground {
            live: self.live_workers(core),
            helpers: self.partners(core),
            convicted: verdict.convicted.len() + verdict.equivocators.len(),
        };
        if ground != self.picking.ground || std::mem::take(&mut self.picking.all_dirty) {
            self.picking.ground = ground;
            let plan = self.plan().clone();
            for stage in plan.stages() {
                let batches = 0..plan.partition(stage).batches();
                self.picking.dirty.extend(batches.map(|batch| (stage, batch)));
            }
        }
        let now = core.now.mono_ms;
        let due = self.picking.later.iter().take_while(|(when, _)| *when <= now);
        let due: Vec<At> = due.map(|(_, at)| *at).collect();
        self.picking.dirty.extend(due);
        for at in std::mem::take(&mut self.picking.dirty) {
            let choice = self.choose(core, at);
            if choice == Choice::No {
                self.picking.unfile(at);
            } else {
                self.picking.file(at, self.turn(core, at), choice);
            }
        }
    }

    fn turn(&self, core: &Core, (stage, batch): At) -> Turn {
        let partition = self.plan().partition(stage);
        let tail = partition.units_of(batch).count() < partition.units_of(0).count();
        let lost = self.work.has_lost((stage, About::Batch(batch)));
        (
            lost,
            stage,
            !self.has_made_reads(stage, batch),
            tail,
            self.rank(core, stage, batch, core.me),
        )
    }

    /// Whether a batch reads nothing but what we have executed and hold; not looked at where every unit reads
    /// everything.
    fn has_made_reads(&self, stage: u16, batch: u32) -> bool {
        let plan = self.plan();
        let reads = plan.reads(stage, plan.partition(stage).units_of(batch));
        reads.iter().filter(|read| read.batches.len() <= LOCAL_BATCHES_MAX).all(|read| {
            read.batches.clone().all(|batch| {
                let slot = self.ledger.slot(read.stage, About::Batch(batch));
                slot.is_some_and(|slot| self.has_voted(&slot))
            })
        })
    }

    /// While all cores are busy, what the next batch reads is brought.
    pub(crate) fn prefetch(&mut self, core: &mut Core) {
        if self.over || !self.inputs.are_here() || self.inputs.coming() != 0 {
            return;
        }
        self.judge_batches(core);
        if let Some((stage, batch)) = self.picking.best() {
            let _ = self.readable(core, (stage, About::Batch(batch)));
        }
    }

    /// From when on we execute batches: an anchor does so only while too few peers are there, or if nothing comes
    /// of them for long although nobody says that it is at work. (One of them may vote without ever being joined.)
    pub(crate) fn base_work_from(&self, core: &Core) -> Option<u64> {
        if core.me != self.submitter() && !self.is_anchor(core.me) {
            let is_new = self.signed() == 0;
            return core.config.works.then(|| if is_new { self.sync.begins_ms() } else { 0 });
        }
        match self.live_workers(core).len() {
            0 => Some(self.seen_ms + ALONE_MS),
            others if others < self.quorum() => Some(self.seen_ms + FEW_PEERS_MS),
            _ => Some(self.sync.news_ms().max(self.claims.last_end_ms().unwrap_or(0)) + STALLED_MS),
        }
    }

    /// Linked peers that may work on this job's batches.
    pub(crate) fn live_workers(&self, core: &Core) -> Vec<PeerId> {
        let verdict = self.ledger.last_verdict();
        core.workers().filter(|peer| !self.is_anchor(*peer) && !verdict.is_faulty(*peer)).collect()
    }

    /// Others that may execute batches of this job: live workers, and anchors while those are too few.
    pub(crate) fn partners(&self, core: &Core) -> usize {
        let live = self.live_workers(core).len();
        let helping = core.workers().filter(|peer| self.is_anchor(*peer)).count();
        if live + usize::from(!self.is_anchor(core.me)) < self.quorum() {
            live + helping
        } else {
            live
        }
    }

    /// How many live workers have a lower rank for a batch than we.
    pub(crate) fn place(&self, core: &Core, stage: u16, batch: u32, live: &[PeerId]) -> usize {
        let own = self.rank(core, stage, batch, core.me);
        live.iter().filter(|peer| self.rank(core, stage, batch, **peer) < own).count()
    }

    fn choose(&self, core: &Core, (stage, batch): At) -> Choice {
        let (now, about) = (core.now.mono_ms, About::Batch(batch));
        let standing = self.ledger.last_verdict().batch(stage, batch);
        let stands = matches!(standing.standing, Standing::Quorum { .. });
        if standing.is_sealed || (stands && standing.is_settled()) {
            return Choice::No;
        }
        let Some(slot) = self.ledger.slot(stage, about) else { return Choice::No };
        if self.has_voted(&slot)
            || self.work.is_busy_with(stage, about)
            || self.goes_by_units(core, &slot)
        {
            return Choice::No;
        }
        if let Some(until) = self.work.rests_until(&(stage, about), now) {
            return Choice::At(until);
        }
        self.choose_among(core, (stage, batch), &slot)
    }

    /// Whose turn a batch is, given votes and claims of others.
    fn choose_among(&self, core: &Core, (stage, batch): At, slot: &Slot) -> Choice {
        let now = core.now.mono_ms;
        let quorum = self.quorum();
        let support = self.support(slot);
        let own = self.rank(core, stage, batch, core.me);
        let claims: Vec<(PeerId, u64)> = self.claims.on(stage, batch, now).collect();
        let is_lower = |(peer, _): &&(PeerId, u64)| self.rank(core, stage, batch, *peer) < own;
        let lower = claims.iter().filter(is_lower).count();
        let expiry = claims.iter().map(|(_, until)| *until).min();
        if quorum <= support {
            // Enough votes agree. While they are not joined, ever more of them are taken for copies.
            let last = self.claims.last_vote_ms(stage, batch).unwrap_or(0);
            let doubted = (now.saturating_sub(last) / UNJOINED_MS) as usize;
            return if support + claims.len() < quorum + doubted {
                Choice::Now
            } else {
                Choice::At(now + UNJOINED_MS)
            };
        }
        let lapse = expiry.unwrap_or(now + self.work.lease_ms());
        if quorum <= support + lower {
            return Choice::At(lapse);
        }
        let live = &self.picking.ground.live;
        let place = self.place(core, stage, batch, live);
        if place < quorum {
            return Choice::Now;
        }
        let patience = self.seen_ms + PLACE_MS * (place - quorum + 1) as u64;
        if now < patience {
            return Choice::At(patience);
        }
        if quorum <= support + claims.len() {
            return Choice::At(lapse);
        }
        let first = live.iter().map(|peer| self.rank(core, stage, batch, *peer)).min();
        Choice::Spare(first.unwrap_or(own))
    }

    /// The most votes for one root, of peers that may be right.
    fn support(&self, slot: &Slot) -> usize {
        let verdict = self.ledger.last_verdict();
        let mut roots: BTreeMap<Hash, usize> = BTreeMap::new();
        for (peer, cast) in self.ledger.book(slot).into_iter().flat_map(|book| book.votes()) {
            if !verdict.is_faulty(peer) {
                *roots.entry(cast.root).or_default() += 1;
            }
        }
        roots.into_values().max().unwrap_or(0)
    }

    /// Whether peers gave up on a batch as a whole: as many as the quorum, or all there are.
    pub(crate) fn is_given_up(&self, core: &Core, slot: &Slot) -> bool {
        let Some(book) = self.ledger.book(slot).filter(|book| !book.abstentions().is_empty())
        else {
            return false;
        };
        let all = self.partners(core) + usize::from(self.base_work_from(core).is_some());
        let enough = self.quorum().min(all.max(1));
        let peers: BTreeSet<PeerId> =
            book.abstentions().values().flat_map(|peers| peers.keys().copied()).collect();
        enough <= peers.len()
    }

    /// A batch that was given up is voted on unit by unit, where there is anybody to agree with.
    fn goes_by_units(&self, core: &Core, slot: &Slot) -> bool {
        self.is_given_up(core, slot) && !self.is_lonely(core)
    }

    /// Whether it takes others to accept an outcome, and there are none. A submitter's own word accepts nothing.
    pub(crate) fn is_lonely(&self, core: &Core) -> bool {
        let takes_others = 1 < self.quorum() || core.me == self.submitter();
        takes_others && self.partners(core) == 0
    }
}
