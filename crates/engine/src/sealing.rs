//! Sealing: an anchor audits the finished job by its own coin, and latches what stood the test.

use std::collections::{BTreeMap, BTreeSet};

use protocol::limits::SEALED_MAX;
use protocol::{About, Hash, Item, PeerId, Seal, Standing};

use crate::active::Active;
use crate::core::Core;
use crate::limits::ANCHOR_AUDITS_MIN;
use crate::pick::At;

/// How far an anchor has come.
#[derive(Debug, Default)]
pub(crate) struct Sealing {
    /// Sets of voters of which we have drawn a unit; emptied when somebody is convicted, for what is
    /// executed anew was not there to be drawn.
    drawn: BTreeSet<Voters>,
    convicted: usize,
    /// Units drawn in all.
    audits: u64,
    /// What we have sealed, be it only in a step that is not recorded yet.
    sealed: BTreeSet<At>,
}

/// Batches that one set of voters stands behind.
type Strata = BTreeMap<Voters, Vec<At>>;
type Voters = BTreeSet<PeerId>;

impl Active {
    pub(crate) fn is_anchor(&self, peer: PeerId) -> bool {
        self.plan().manifest().policy.anchors.contains(&peer)
    }

    /// Once every batch is settled, draws a unit of each set of voters that stand together; once those are
    /// audited and nothing is in question, seals.
    pub(crate) fn tend_sealing(&mut self, core: &mut Core) {
        if !self.is_anchor(core.me) || !self.is_settled() || self.ledger.is_cancelled() {
            return;
        }
        self.draw_audits(core);
        // A ballot of ours that is on its way to the disk is not in the verdict yet.
        let idle = self.audits.are_done() && self.work.is_idle() && !self.is_speaking();
        if idle && self.ledger.last_verdict().contested.is_empty() {
            self.seal_everything();
        }
    }

    fn draw_audits(&mut self, core: &Core) {
        let verdict = self.ledger.last_verdict();
        if self.sealing.convicted != verdict.convicted.len() {
            self.sealing.convicted = verdict.convicted.len();
            self.sealing.drawn.clear();
        }
        let share_ppm = u64::from(self.plan().manifest().policy.audit_ppm);
        if share_ppm == 0 {
            return;
        }
        let mut strata = self.strata(core);
        strata.retain(|voters, _| !self.sealing.drawn.contains(voters));
        // A quarter of what the workers audit together, and in small jobs every set of voters.
        let units = self.plan().manifest().unit_count();
        let budget = ANCHOR_AUDITS_MIN.max(units * share_ppm / 4_000_000);
        let mut turns: Vec<(Hash, (Voters, Vec<At>))> = strata
            .into_iter()
            .map(|(voters, batches)| {
                let names: Vec<&[u8]> = voters.iter().map(|p| p.as_bytes().as_slice()).collect();
                let round = (self.sealing.convicted as u64).to_le_bytes();
                let parts = [&[b"anchor".as_slice(), self.id.as_bytes(), &round], &names[..]];
                (core.coin(&parts.concat()), (voters, batches))
            })
            .collect();
        turns.sort_by_key(|(turn, _)| *turn);
        for (turn, (voters, batches)) in turns {
            if budget <= self.sealing.audits {
                break;
            }
            self.sealing.drawn.insert(voters);
            let (stage, unit) = self.pick(turn, &batches);
            if self.audits.add(stage, unit) {
                self.sealing.audits += 1;
            }
        }
    }

    /// Batches that are not sealed and that we did not vote on, by who stands behind them.
    fn strata(&self, core: &Core) -> Strata {
        let verdict = self.ledger.last_verdict();
        let mut strata = Strata::new();
        for stage in self.plan().stages() {
            for (batch, of) in (0..).zip(verdict.batches(stage)) {
                if let Standing::Quorum { voters, .. } = &of.standing
                    && !of.is_sealed
                    && !voters.contains(&core.me)
                {
                    strata.entry(voters.clone()).or_default().push((stage, batch));
                }
            }
        }
        strata
    }

    /// A unit of these batches, each as likely as any other.
    fn pick(&self, coin: Hash, batches: &[At]) -> (u16, u64) {
        let range = |at: &At| self.plan().partition(at.0).units_of(at.1);
        let all: u64 = batches.iter().map(|at| range(at).end - range(at).start).sum();
        let word = coin.as_bytes()[8..16].try_into().expect("a hash has 32 bytes");
        let mut left = u64::from_le_bytes(word) % all;
        for at in batches {
            let units = range(at);
            let size = units.end - units.start;
            if left < size {
                return (at.0, units.start + left);
            }
            left -= size;
        }
        unreachable!("less than all was left")
    }

    fn seal_everything(&mut self) {
        let verdict = self.ledger.last_verdict();
        let mut seals: Vec<Seal> = Vec::new();
        let mut sealed = Vec::new();
        for stage in self.plan().stages() {
            for (batch, of) in (0..).zip(verdict.batches(stage)) {
                let known = self.sealing.sealed.contains(&(stage, batch));
                let slot = self.slot_now(stage, About::Batch(batch));
                let (Some(slot), Some(root)) = (slot, of.effective) else { continue };
                if of.is_sealed || known || !of.is_verified() {
                    continue;
                }
                sealed.push((stage, batch));
                let entry = (slot.units, root);
                match seals.last_mut().filter(|seal| {
                    seal.stage == stage
                        && seal.first + seal.batches.len() as u32 == batch
                        && seal.batches.len() < SEALED_MAX
                }) {
                    Some(seal) => seal.batches.push(entry),
                    None => seals.push(Seal { stage, first: batch, batches: vec![entry] }),
                }
            }
        }
        self.sealing.sealed.extend(sealed);
        seals.into_iter().for_each(|seal| self.say(Item::Seal(seal)));
    }
}
