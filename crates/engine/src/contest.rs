//! Contests: casting ballots on units in question or given up as a batch.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{About, Book, Hash, PeerId, Slot, Standing, UnitVerdict, Vote, merkle_path};

use crate::active::Active;
use crate::core::Core;
use crate::limits::{ANCHOR_MS, PLACE_MS, POISON, POISON_MS, POISON_MS_MAX, UNJOINED_MS};
use crate::view::Stuck;

/// What we have noticed and done about contests.
#[derive(Debug, Default)]
pub(crate) struct Contests {
    since_ms: BTreeMap<(u16, u64), u64>,
    /// Convicts, and a unit of each that we, an anchor, have judged ourselves.
    reviewed: BTreeMap<PeerId, (u16, u64)>,
    /// When a batch was first seen to be given up.
    given_up_ms: BTreeMap<Slot, u64>,
    /// When poison may be tried again, and the pause after that.
    poisoned: BTreeMap<(u16, u64), (u64, u64)>,
}

/// Peers of the lowest ranks that cast ballots at once; more join if that does not decide.
const FIRST_BALLOTS: usize = 8;
/// Contested units that are looked at in one go.
const UNITS_AT_ONCE: usize = 64;

impl Active {
    pub(crate) fn settle_contests(&mut self, core: &mut Core) {
        self.post_leaves(core);
        self.cast_ballots(core);
        self.review_convictions(core);
        self.vote_by_units(core);
    }

    /// An anchor executes one of the units by which a peer was convicted: more liars than honest peers may have
    /// decided it before the anchor could look, and its ballot is above theirs.
    fn review_convictions(&mut self, core: &mut Core) {
        if !self.is_anchor(core.me) {
            return;
        }
        let convicted = &self.ledger.last_verdict().convicted;
        let mut reviewed = std::mem::take(&mut self.contests.reviewed);
        // Who is convicted by other units now has not been reviewed.
        reviewed.retain(|peer, at| convicted.get(peer).is_some_and(|c| c.units.contains(at)));
        let has_spoken = |(stage, unit): &&(u16, u64)| {
            let slot = self.ledger.slot(*stage, About::Unit(*unit));
            slot.is_some_and(|slot| self.has_voted(&slot))
        };
        let mut open = BTreeSet::new();
        for (peer, conviction) in convicted {
            if reviewed.contains_key(peer) {
                continue;
            }
            match conviction.units.iter().find(has_spoken) {
                Some(unit) => drop(reviewed.insert(*peer, *unit)),
                None => open.extend(conviction.units.first()),
            }
        }
        self.contests.reviewed = reviewed;
        for (stage, unit) in open.into_iter().take(UNITS_AT_ONCE) {
            self.cast_ballot(core, stage, unit);
        }
    }

    fn cast_ballots(&mut self, core: &mut Core) {
        let verdict = self.ledger.last_verdict();
        let contested = verdict.contested.clone();
        let is_turn = |(stage, unit): &&(u16, u64)| {
            let first =
                &verdict.batch(*stage, self.plan().partition(*stage).batch_of(*unit)).decide_first;
            first.is_empty() || first.contains(unit)
        };
        let turn: Vec<(u16, u64)> =
            contested.iter().filter(is_turn).take(UNITS_AT_ONCE).copied().collect();
        self.contests.since_ms.retain(|at, _| contested.contains(at));
        if verdict.is_faulty(core.me) {
            return;
        }
        let live = self.live_workers(core);
        let is_anchor = self.plan().manifest().policy.anchors.contains(&core.me);
        if !is_anchor && !core.config.works {
            return;
        }
        for (stage, unit) in turn {
            let now = core.now.mono_ms;
            let since = *self.contests.since_ms.entry((stage, unit)).or_insert(now);
            let batch = self.plan().partition(stage).batch_of(unit);
            let place = self.place(core, stage, batch, &live);
            let patience = if is_anchor {
                ANCHOR_MS
            } else {
                PLACE_MS * place.saturating_sub(FIRST_BALLOTS) as u64
            };
            if now < since + patience {
                core.wake_at(since + patience);
            } else {
                self.cast_ballot(core, stage, unit);
            }
        }
    }

    /// Casts a ballot from what we executed, or sees to it that the unit is executed.
    fn cast_ballot(&mut self, core: &mut Core, stage: u16, unit: u64) {
        let about = About::Unit(unit);
        let Some(slot) = self.ledger.slot(stage, about) else { return };
        if self.has_voted(&slot) || self.work.is_busy_with(stage, about) {
            return;
        }
        let batch = self.plan().partition(stage).batch_of(unit);
        let of_batch = self.ledger.slot(stage, About::Batch(batch));
        let first = self.plan().partition(stage).units_of(batch).start;
        let kept = of_batch.and_then(|slot| self.work.kept(stage, batch, &slot));
        if let Some((digest, trace)) = kept.map(|kept| kept[(unit - first) as usize]) {
            let path = self.path_of(stage, unit, digest);
            self.vote(core, slot, trace, |seal| Vote {
                slot,
                root: digest,
                seal,
                pack: None,
                path,
            });
        } else if self.executed(stage, unit).is_some() {
            self.pack(core, (stage, about), slot);
        } else {
            self.work.wanted_units.insert((stage, unit));
        }
    }

    /// The path that shows a digest under the root of a batch that we know the leaves of.
    pub(crate) fn path_of(&mut self, stage: u16, unit: u64, digest: Hash) -> Vec<Hash> {
        let partition = self.plan().partition(stage);
        let batch = partition.batch_of(unit);
        let index = (unit - partition.units_of(batch).start) as usize;
        let Some(slot) = self.ledger.slot(stage, About::Batch(batch)) else { return vec![] };
        let own = self.work.kept(stage, batch, &slot);
        let own: Option<Vec<Hash>> =
            own.map(|kept| kept.iter().map(|(digest, _)| *digest).collect());
        let standing = match &self.ledger.last_verdict().batch(stage, batch).standing {
            Standing::Quorum { root, .. } => Some(*root),
            Standing::Open | Standing::SelfExecuted { .. } => None,
        };
        let posted = standing
            .and_then(|root| self.ledger.book(&slot)?.leaves_of(root))
            .map(<[Hash]>::to_vec);
        let fetched = standing
            .and_then(|root| self.audits.leaves_of(stage, batch, root))
            .map(<[Hash]>::to_vec);
        let leaves = posted.or(own).or(fetched).filter(|leaves| leaves.get(index) == Some(&digest));
        leaves.map_or_else(Vec::new, |leaves| merkle_path(&leaves, index))
    }

    /// Batches that peers gave up on as a whole: every unit that can be done is voted on alone.
    fn vote_by_units(&mut self, core: &mut Core) {
        let may = core.config.works || self.submitted;
        let faulty = self.ledger.last_verdict().is_faulty(core.me);
        if !may || faulty || self.is_lonely(core) {
            return;
        }
        for (slot, batch) in self.given_up_batches(core) {
            let units = self.plan().partition(slot.stage).units_of(batch);
            if !self.is_ours_by_now(core, slot, batch) {
                continue;
            }
            for unit in units {
                if !self.has_outcome(slot.stage, batch, unit)
                    && self.is_worth_a_try(core, slot, unit)
                {
                    self.cast_ballot(core, slot.stage, unit);
                }
            }
        }
    }

    fn has_outcome(&self, stage: u16, batch: u32, unit: u64) -> bool {
        match self.ledger.last_verdict().batch(stage, batch).units.get(&unit) {
            Some(UnitVerdict::Accepted(_) | UnitVerdict::Decided(_)) => true,
            Some(UnitVerdict::Contested) | None => false,
        }
    }

    /// Whether a batch that was given up is ours to vote on by units: the lowest ranks at first, and one
    /// more for every while that passes.
    fn is_ours_by_now(&mut self, core: &mut Core, slot: Slot, batch: u32) -> bool {
        let live = self.live_workers(core);
        if self.plan().manifest().policy.anchors.contains(&core.me) {
            return live.len() < self.quorum();
        }
        let now = core.now.mono_ms;
        let since = *self.contests.given_up_ms.entry(slot).or_insert(now);
        let first = POISON.max(self.quorum());
        let place = self.place(core, slot.stage, batch, &live);
        let patience = UNJOINED_MS * (place + 1).saturating_sub(first) as u64;
        if now < since + patience {
            core.wake_at(since + patience);
        }
        since + patience <= now
    }

    /// Poison is tried again, too, but ever more rarely.
    fn is_worth_a_try(&mut self, core: &mut Core, of_batch: Slot, unit: u64) -> bool {
        if self.reasons(of_batch, unit).len() < self.poison(core) {
            return true;
        }
        let now = core.now.mono_ms;
        let (next, pause) = self
            .contests
            .poisoned
            .entry((of_batch.stage, unit))
            .or_insert((now + POISON_MS, POISON_MS));
        let due = *next <= now;
        if due {
            *pause = (*pause * 2).min(POISON_MS_MAX);
            *next = now + *pause;
        }
        core.wake_at(*next);
        due
    }

    /// Abstentions that make a unit poison: three, or all workers there are.
    fn poison(&self, core: &Core) -> usize {
        let works = core.config.works && core.me != self.submitter();
        let workers = self.partners(core) + usize::from(works);
        workers.clamp(1, POISON)
    }

    fn given_up_batches(&self, core: &Core) -> Vec<(Slot, u32)> {
        if !self.has_abstentions {
            return Vec::new();
        }
        let verdict = self.ledger.last_verdict();
        let mut given_up = Vec::new();
        for (slot, book) in self.ledger.books() {
            let About::Batch(batch) = slot.about else { continue };
            let open =
                !matches!(verdict.batch(slot.stage, batch).standing, Standing::Quorum { .. });
            if open
                && !book.abstentions().is_empty()
                && self.is_given_up(core, slot)
                && self.is_current(slot)
            {
                given_up.push((*slot, batch));
            }
        }
        given_up
    }

    fn is_current(&self, slot: &Slot) -> bool {
        self.slot_now(slot.stage, slot.about) == Some(*slot)
    }

    /// Who gave up on a unit, in its batch's slot or in its own.
    fn reasons(&self, of_batch: Slot, unit: u64) -> BTreeMap<PeerId, protocol::Reason> {
        let own = self.slot_now(of_batch.stage, About::Unit(unit));
        let books: [Option<&Book>; 2] =
            [self.ledger.book(&of_batch), own.and_then(|slot| self.ledger.book(&slot))];
        let reasons = books.into_iter().flatten().filter_map(|book| book.abstentions().get(&unit));
        reasons.flatten().map(|(peer, reason)| (*peer, *reason)).collect()
    }

    /// Units in batches that a node without any other worker gave up on: nobody votes on them alone.
    pub(crate) fn units_given_up_alone(&self, core: &Core) -> u64 {
        if !self.is_lonely(core) {
            return 0;
        }
        let size = |(slot, batch): (Slot, u32)| {
            self.plan().partition(slot.stage).units_of(batch).count() as u64
        };
        self.given_up_batches(core).into_iter().map(size).sum()
    }

    /// Units that enough peers gave up on, and that nobody could do.
    pub(crate) fn stuck_units(&self, core: &Core) -> Vec<Stuck> {
        let mut stuck = Vec::new();
        for (slot, batch) in self.given_up_batches(core) {
            for unit in self.plan().partition(slot.stage).units_of(batch) {
                let reasons = self.reasons(slot, unit);
                let accepted =
                    self.ledger.last_verdict().batch(slot.stage, batch).units.contains_key(&unit);
                if !accepted && self.poison(core) <= reasons.len() {
                    stuck.push(Stuck {
                        stage: slot.stage,
                        unit,
                        reasons: reasons.into_iter().collect(),
                    });
                }
            }
        }
        stuck
    }
}
