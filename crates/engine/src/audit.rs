//! Hidden audits: units of voted batches that we execute again, chosen by a private coin.
//!
//! Each peer that did not vote on a batch tosses its coin once for the batch's standing root, whatever
//! others audit, so that every unit is audited with the policy's probability and nobody knows by whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::{About, BlobRef, Hash, Item, Leaves, PeerId, Slot, Standing, Vote};

use crate::active::Active;
use crate::core::Core;
use crate::inputs::few;
use crate::limits::CONFIRM_MS;
use crate::{Effect, FetchId, FetchLoss, Got, PackWant, Want};

/// What this node audits in one job.
#[derive(Debug, Default)]
pub(crate) struct Audits {
    /// Roots that the coin was tossed for.
    tossed: BTreeSet<(u16, u32, Hash)>,
    /// Units to execute again, first come first served.
    queue: VecDeque<(u16, u64)>,
    /// Units that were audited, or are being.
    taken: BTreeSet<(u16, u64)>,
    /// Audits that are executed and wait for the leaves of their batch, to show where they belong.
    waiting: BTreeMap<FetchId, Waiting>,
    /// Leaves that were fetched, by batch and root, until their ballots are cast.
    leaves: BTreeMap<(u16, u32), (Hash, Vec<Hash>)>,
    /// Others' ballots that we can confirm, by when we do so unless somebody else has.
    confirmable: BTreeSet<(u64, Slot, PeerId)>,
}

/// A ballot that is cast once it is known where its digest stands.
#[derive(Debug)]
pub(crate) struct Waiting {
    batch: u32,
    root: Hash,
    pub(crate) ballot: Ballot,
}

/// What an executed unit gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ballot {
    pub(crate) slot: Slot,
    pub(crate) unit: u64,
    pub(crate) digest: Hash,
    pub(crate) trace: Hash,
    pub(crate) pack: BlobRef,
}

impl Audits {
    /// Whether nothing is left to execute or to say.
    pub(crate) fn are_done(&self) -> bool {
        self.queue.is_empty() && self.waiting.is_empty()
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

    /// Starts the first audit that can be started; those whose inputs are on their way wait.
    pub(crate) fn start_audit(&mut self, core: &mut Core) -> bool {
        for _ in 0..self.audits.queue.len() {
            let Some((stage, unit)) = self.audits.queue.pop_front() else { return false };
            if self.start(core, (stage, About::Unit(unit))) {
                return true;
            }
            let is_coming = self.plan().stage(stage).upstream().is_some()
                && self.ledger.last_verdict().gathered(stage).is_some()
                && !self.is_readable(core, stage)
                && self.inputs.failed_reading().is_none();
            if is_coming {
                self.audits.queue.push_back((stage, unit));
            }
        }
        false
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

    /// Casts the ballot of an executed unit; first it fetches its batch's leaves, if they are not known.
    pub(crate) fn cast_executed(&mut self, core: &mut Core, ballot: Ballot) {
        let Ballot { slot, unit, .. } = ballot;
        let batch = self.plan().partition(slot.stage).batch_of(unit);
        match self.unknown_leaves(slot.stage, batch) {
            Some(want) => {
                let root = want.root;
                let fetch = FetchId(core.id_for(self.id));
                let from = self.holders();
                core.push(Effect::Fetch { fetch, job: self.id, want: Want::Leaves(want), from });
                self.audits.waiting.insert(fetch, Waiting { batch, root, ballot });
            }
            None => self.cast(core, ballot),
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
        let units = units.end - units.start;
        let holders = few(&holders);
        (!packs.is_empty()).then_some(PackWant { stage, batch, units, root, packs, holders })
    }

    /// The leaves for a waiting ballot are here, or nobody gives them: then it is cast without a path,
    /// contests, and makes the voters show them.
    pub(crate) fn take_leaves(
        &mut self,
        core: &mut Core,
        fetch: FetchId,
        got: &Result<Got, FetchLoss>,
    ) -> bool {
        let Some(Waiting { batch, root, ballot }) = self.audits.waiting.remove(&fetch) else {
            return false;
        };
        let at = (ballot.slot.stage, batch);
        if let Ok(Got::Leaves(leaves)) = got {
            self.audits.leaves.insert(at, (root, leaves.clone()));
            self.show_leaves_of_a_lie(at, root, ballot);
        }
        self.cast(core, ballot);
        self.audits.leaves.remove(&at);
        true
    }

    /// Whoever finds a wrong leaf shows all of them, so that the voters cannot hide them.
    fn show_leaves_of_a_lie(&mut self, at: (u16, u32), root: Hash, ballot: Ballot) {
        let (stage, batch) = at;
        let first = self.plan().partition(stage).units_of(batch).start;
        let Some(leaves) = self.audits.leaves_of(stage, batch, root) else { return };
        if leaves.get((ballot.unit - first) as usize) == Some(&ballot.digest) {
            return;
        }
        let digests = leaves.to_vec();
        if let Some(slot) = self.slot_now(stage, About::Batch(batch)) {
            self.say(Item::Leaves(Leaves { slot, root, digests }));
        }
    }

    fn cast(&mut self, core: &Core, ballot: Ballot) {
        let Ballot { slot, unit, digest, trace, pack } = ballot;
        let is_current = self.ledger.slot(slot.stage, slot.about) == Some(slot);
        if is_current && !self.has_voted(&slot) {
            let path = self.path_of(slot.stage, unit, digest);
            let pack = Some(pack);
            self.vote(core, slot, trace, |seal| Vote { slot, root: digest, seal, pack, path });
        }
    }

    /// Somebody has voted on a unit of a batch that we executed: we can vouch for the ballot if it agrees.
    /// The batch's voters take turns, so that usually one of them speaks.
    pub(crate) fn hear_ballots(&mut self, core: &Core, slot: Slot, unit: u64) {
        let batch = self.plan().partition(slot.stage).batch_of(unit);
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
            self.say(Item::Certificate(protocol::Certificate { slot, root: digest, proofs }));
        }
    }
}
