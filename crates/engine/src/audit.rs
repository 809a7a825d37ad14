//! Hidden audits: units of voted batches that we execute again, chosen by a private coin.
//!
//! Each peer that did not vote on a batch tosses its coin once for the batch's standing root, whatever
//! others audit, so that every unit is audited with the policy's probability and nobody knows by whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::{About, Execution, Hash, Item, Leaves, Loss, PeerId, Slot, Standing};

use crate::active::Active;
use crate::core::Core;
use crate::inputs::Readable;
use crate::limits::{AUDITS_AT_ONCE, CONFIRM_MS};
use crate::outcomes::few;
use crate::{Effect, FetchId, FetchLoss, Got, PackWant, Reads, RunId, Want};

/// What this node audits in one job.
#[derive(Debug, Default)]
pub(crate) struct Audits {
    /// Roots that the coin was tossed for.
    tossed: BTreeSet<(u16, u32, Hash)>,
    /// Units to execute again, first come first served.
    queue: VecDeque<(u16, u64)>,
    /// Units that were audited, or are being.
    taken: BTreeSet<(u16, u64)>,
    runs: BTreeMap<RunId, Run>,
    /// Audits that are executed and wait for the leaves of their batch, to show where they belong.
    waiting: BTreeMap<FetchId, Waiting>,
    /// Leaves that were fetched, by batch and root, until their ballots are cast.
    leaves: BTreeMap<(u16, u32), (Hash, Vec<Hash>)>,
    /// Others' ballots that we can confirm, by when we do so unless somebody else has.
    confirmable: BTreeSet<(u64, Slot, PeerId)>,
}

/// Units of one stage that are executed again together.
#[derive(Debug)]
struct Run {
    stage: u16,
    /// Each unit's slot when it was started.
    slots: BTreeMap<u64, Slot>,
    left: BTreeSet<u64>,
    done: Vec<(u64, Execution)>,
}

/// Ballots of one batch that are cast once it is known where their digests stand.
#[derive(Debug)]
struct Waiting {
    stage: u16,
    batch: u32,
    root: Hash,
    done: Vec<(Slot, Execution)>,
}

impl Audits {
    /// Whether nothing is left to execute or to say.
    pub(crate) fn are_done(&self) -> bool {
        self.queue.is_empty() && self.waiting.is_empty() && self.runs.is_empty()
    }

    /// Puts a unit on the list, once.
    pub(crate) fn add(&mut self, stage: u16, unit: u64) -> bool {
        let is_new = self.taken.insert((stage, unit));
        if is_new {
            self.queue.push_back((stage, unit));
        }
        is_new
    }

    /// Leaves of a root that were fetched for an audit.
    pub(crate) fn leaves_of(&self, stage: u16, batch: u32, root: Hash) -> Option<&[Hash]> {
        let (own, leaves) = self.leaves.get(&(stage, batch))?;
        (*own == root).then_some(leaves.as_slice())
    }
}

impl Active {
    /// Tosses the coin for batches that have a quorum by now, and confirms others' ballots.
    pub(crate) fn tend_audits(&mut self, core: &mut Core, touched: &BTreeSet<(u16, u32)>) {
        self.confirm_ballots(core);
        if self.is_anchor(core.me) || !core.config.works {
            return;
        }
        let share_ppm = u64::from(self.plan().manifest().policy.audit_ppm);
        let verdict = self.ledger.last_verdict();
        if share_ppm == 0 || verdict.is_faulty(core.me) {
            return;
        }
        let mut standing = Vec::new();
        for (stage, batch) in touched {
            match &verdict.batch(*stage, *batch).standing {
                Standing::Quorum { root, voters } => {
                    if !self.audits.tossed.contains(&(*stage, *batch, *root)) {
                        standing.push((*stage, *batch, *root, voters.len()));
                    }
                }
                Standing::Open | Standing::SelfExecuted { .. } => {}
            }
        }
        if standing.is_empty() {
            return;
        }
        let peers = self.live_workers(core).len() + 1;
        let peers = peers.max(self.ledger.authors().count());
        for (stage, batch, root, voters) in standing {
            let tossed = !self.audits.tossed.insert((stage, batch, root));
            let slot = self.ledger.slot(stage, About::Batch(batch));
            if tossed || slot.is_none_or(|slot| self.has_voted(&slot)) {
                continue;
            }
            let others = peers.saturating_sub(voters).max(1) as u64;
            self.toss(core, (stage, batch, root), share_ppm, others);
        }
    }

    /// Starts audits of one stage, together; those whose inputs are on their way wait.
    pub(crate) fn start_audits(&mut self, core: &mut Core) -> bool {
        let stages: BTreeSet<u16> = self.audits.queue.iter().map(|(stage, _)| *stage).collect();
        stages.into_iter().any(|stage| self.start_audits_of(core, stage))
    }

    fn start_audits_of(&mut self, core: &mut Core, stage: u16) -> bool {
        let mut slots = BTreeMap::new();
        let mut reads = Reads::default();
        let mut queue = std::mem::take(&mut self.audits.queue);
        let mut looked_at = 0;
        queue.retain(|(of, unit)| {
            if *of != stage || AUDITS_AT_ONCE <= looked_at {
                return true;
            }
            looked_at += 1;
            let about = About::Unit(*unit);
            // What it reads has been revoked: if it stands again, the coin falls the same way.
            let Some(slot) = self.ledger.slot(stage, about) else { return false };
            if self.has_voted(&slot) || self.work.is_busy_with(stage, about) {
                return false;
            }
            match self.readable(core, (stage, about)) {
                Readable::Yes(own) => {
                    reads.merge(&own);
                    slots.insert(*unit, slot);
                    false
                }
                Readable::Coming => true,
                Readable::No => false,
            }
        });
        self.audits.queue = queue;
        if slots.is_empty() {
            return false;
        }
        let left: BTreeSet<u64> = slots.keys().copied().collect();
        let run = RunId(core.id_for(self.id));
        core.push(Effect::Run {
            run,
            job: self.id,
            plan: self.plan().clone(),
            stage,
            units: left.iter().copied().collect(),
            reads: Arc::new(reads),
        });
        core.running += 1;
        self.audits.runs.insert(run, Run { stage, slots, left, done: Vec::new() });
        true
    }

    /// Some units of a run have ended; whether it was an audit's.
    pub(crate) fn audited(
        &mut self,
        core: &mut Core,
        id: RunId,
        units: &[(u64, Result<Execution, Loss>)],
    ) -> bool {
        let submitter = self.submitter();
        let Some(run) = self.audits.runs.get_mut(&id) else { return false };
        for (unit, result) in units {
            if run.left.remove(unit)
                && let Ok(execution) = result
            {
                *core.spent.entry(submitter).or_default() += execution.cost.cpu_us;
                run.done.push((*unit, execution.clone()));
            }
        }
        if run.left.is_empty()
            && let Some(run) = self.audits.runs.remove(&id)
        {
            core.running -= 1;
            let _ = core.claim_answer(id.0);
            self.compare(core, run);
        }
        true
    }

    /// Sorts what was executed by batch, and gets the leaves that it is compared with.
    fn compare(&mut self, core: &mut Core, run: Run) {
        let Run { stage, slots, done, .. } = run;
        for unit in slots.keys() {
            self.inputs.done_with(&(stage, About::Unit(*unit)));
        }
        let mut batches: BTreeMap<u32, Vec<(Slot, Execution)>> = BTreeMap::new();
        for (unit, execution) in done {
            let batch = self.plan().partition(stage).batch_of(unit);
            batches.entry(batch).or_default().push((slots[&unit], execution));
        }
        for (batch, done) in batches {
            match self.unknown_leaves(stage, batch) {
                Some(want) => {
                    let root = want.root;
                    let (fetch, job) = (FetchId(core.id_for(self.id)), self.id);
                    let from = self.holders();
                    core.push(Effect::Fetch { fetch, job, want: Want::Leaves(want), from });
                    self.audits.waiting.insert(fetch, Waiting { stage, batch, root, done });
                }
                None => self.cast_audits(core, stage, batch, done),
            }
        }
    }

    /// Draws units of one batch: `share_ppm` of them, divided among `others`.
    fn toss(&mut self, core: &Core, of: (u16, u32, Hash), share_ppm: u64, others: u64) {
        let (stage, batch, root) = of;
        let units = self.plan().partition(stage).units_of(batch);
        let size = units.end - units.start;
        let coin = |n: u64| {
            let coin = core.coin(&[b"audit", root.as_bytes(), &n.to_le_bytes()]);
            u64::from_le_bytes(coin.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
        };
        let expected_ppm = size * share_ppm / others;
        let count = (expected_ppm + coin(0) % 1_000_000) / 1_000_000;
        for n in 1..=count.min(size) {
            self.audits.add(stage, units.start + coin(n) % size);
        }
    }

    /// The pack that tells the leaves of a batch's standing root, unless they are known.
    fn unknown_leaves(&self, stage: u16, batch: u32) -> Option<PackWant> {
        let Standing::Quorum { root, .. } = self.ledger.last_verdict().batch(stage, batch).standing
        else {
            return None;
        };
        let slot = self.slot_now(stage, About::Batch(batch))?;
        let posted = self.ledger.book(&slot)?.leaves_of(root).is_some();
        let own = self.work.kept(stage, batch, &slot).is_some();
        if posted || own || self.audits.leaves_of(stage, batch, root).is_some() {
            return None;
        }
        let (packs, holders) = self.packs_of(stage, About::Batch(batch), root);
        let units = self.plan().partition(stage).units_of(batch);
        let (first_unit, units) = (units.start, units.end - units.start);
        let (holders, goes_on) = (few(&holders), false);
        let want = PackWant { stage, batch, first_unit, units, root, packs, holders, goes_on };
        (!want.packs.is_empty()).then_some(want)
    }

    /// The leaves for waiting ballots are here, or nobody gives them: then they are cast without a path,
    /// contest, and make the voters show them.
    pub(crate) fn take_leaves(
        &mut self,
        core: &mut Core,
        fetch: FetchId,
        got: &Result<Got, FetchLoss>,
    ) -> bool {
        let Some(Waiting { stage, batch, root, done }) = self.audits.waiting.remove(&fetch) else {
            return false;
        };
        if let Ok(Got::Leaves(leaves)) = got {
            self.audits.leaves.insert((stage, batch), (root, leaves.clone()));
        }
        self.cast_audits(core, stage, batch, done);
        self.audits.leaves.remove(&(stage, batch));
        true
    }

    /// Casts ballots from executions. Those that agree can wait for the next step, and need no pack: the
    /// batch's has the same. One that does not is said at once, with its outcome and all leaves of the
    /// root that it is against, so that the voters cannot hide them.
    fn cast_audits(
        &mut self,
        core: &mut Core,
        stage: u16,
        batch: u32,
        done: Vec<(Slot, Execution)>,
    ) {
        let mut released = Vec::new();
        let mut has_lie = false;
        for (slot, execution) in done {
            let about = slot.about;
            let About::Unit(unit) = about else { continue };
            // What it read may have been revoked since, or while the leaves were on their way.
            if self.ledger.slot(stage, about) != Some(slot) || self.has_voted(&slot) {
                released.push(unit);
                continue;
            }
            let digest = execution.outcome.digest();
            let path = self.path_of(stage, unit, digest);
            let size = self.plan().partition(stage).units_of(batch);
            if !path.is_empty() || size.end - size.start == 1 && self.stands(stage, batch, digest) {
                released.push(unit);
                self.agree(core, slot, execution.trace, digest, path);
            } else {
                has_lie = true;
                self.keep_executed(stage, unit, execution);
                self.pack(core, (stage, about), slot);
            }
        }
        self.release(core, stage, released);
        if has_lie {
            self.show_leaves(stage, batch);
        }
    }

    /// Whether a batch of one unit stands with just this outcome.
    fn stands(&self, stage: u16, batch: u32, digest: Hash) -> bool {
        let root = protocol::merkle_root(&[digest]);
        matches!(self.ledger.last_verdict().batch(stage, batch).standing,
                 Standing::Quorum { root: own, .. } if own == root)
    }

    fn show_leaves(&mut self, stage: u16, batch: u32) {
        let Some((root, leaves)) = self.audits.leaves.get(&(stage, batch)).cloned() else { return };
        let Some(slot) = self.slot_now(stage, About::Batch(batch)) else { return };
        let book = self.ledger.book(&slot);
        if book.is_some_and(|book| book.votes().any(|(_, cast)| cast.root == root)) {
            self.say(Item::Leaves(Leaves { slot, root, digests: leaves }));
        }
    }

    /// Somebody has voted on a unit of a batch that we executed: we can vouch for the ballot if it agrees.
    /// The batch's voters take turns, so that usually one of them speaks.
    pub(crate) fn hear_ballots(&mut self, core: &Core, slot: Slot, unit: u64) {
        let batch = self.plan().partition(slot.stage).batch_of(unit);
        // Most ballots are about batches that others have executed.
        if !self.work.keeps(slot.stage, batch) {
            return;
        }
        let Some(of_batch) = self.slot_now(slot.stage, About::Batch(batch)) else { return };
        if self.work.kept(slot.stage, batch, &of_batch).is_none() {
            return;
        }
        let own = self.rank(core, slot.stage, batch, core.me);
        let before = self.ledger.book(&of_batch).map_or(0, |book| {
            let lower = |peer| self.rank(core, slot.stage, batch, peer) < own;
            book.votes().filter(|(peer, _)| lower(*peer)).count() as u64
        });
        let due = core.now.mono_ms + before * CONFIRM_MS;
        let voters: Vec<PeerId> = self
            .ledger
            .book(&slot)
            .into_iter()
            .flat_map(|book| book.votes().map(|(peer, _)| peer))
            .filter(|peer| *peer != core.me)
            .collect();
        self.audits.confirmable.extend(voters.into_iter().map(|peer| (due, slot, peer)));
    }

    fn confirm_ballots(&mut self, core: &mut Core) {
        let now = core.now.mono_ms;
        while let Some((due, slot, peer)) = self.audits.confirmable.first().copied() {
            if now < due {
                core.wake_at(due);
                return;
            }
            self.audits.confirmable.pop_first();
            self.confirm(core, slot, peer);
        }
    }

    fn confirm(&mut self, core: &Core, slot: Slot, peer: PeerId) {
        let About::Unit(unit) = slot.about else { return };
        let partition = self.plan().partition(slot.stage);
        let batch = partition.batch_of(unit);
        let index = (unit - partition.units_of(batch).start) as usize;
        let Some(of_batch) = self.slot_now(slot.stage, About::Batch(batch)) else { return };
        let kept = self.work.kept(slot.stage, batch, &of_batch);
        let Some((digest, trace)) = kept.and_then(|kept| kept.get(index).copied()) else { return };
        let Some(book) = self.ledger.book(&slot) else { return };
        let is_open = !book.is_vouched_for(peer) && !self.work.was_shown(&slot, peer);
        let Some(seal) =
            book.vote_of(peer).filter(|cast| is_open && cast.root == digest).map(|cast| cast.seal)
        else {
            return;
        };
        let proof = protocol::proof(core.config.network, self.id, &slot, peer, trace);
        if protocol::seal(proof) == seal {
            self.work.note_shown(slot, peer);
            let proofs = vec![protocol::Shown { voter: peer, proof }];
            self.say_later(
                core,
                Item::Certificate(protocol::Certificate { slot, root: digest, proofs }),
            );
        }
    }
}
