//! Credit: work that peers did for a job and that was verified. For display; it decides nothing.

use std::collections::BTreeMap;

use super::assurance::Assurance;
use super::book::{Book, Cast};
use super::front::Ledger;
use super::verdict::{BatchVerdict, Standing, UnitVerdict};
use crate::{About, Hash, PeerId, Slot, merkle_root_by};

/// What one peer did for one job of somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// Units whose accepted outcome it stands behind.
    pub units: u64,
    /// How many of them are final or sealed.
    pub sure: u64,
    /// Units that it has audited, rightly and vouched for by another peer.
    pub audits: u64,
    /// The most CPU time that these executions together were allowed to take, in milliseconds.
    pub cpu_ms: u64,
}

impl Ledger {
    /// The verified work of every peer but the submitter and those that did wrong, as of the last
    /// [`Ledger::verdict`].
    pub fn credits(&self) -> BTreeMap<PeerId, Credit> {
        let mut credits: BTreeMap<PeerId, Credit> = BTreeMap::new();
        let verdict = self.last_verdict();
        for stage in self.plan().stages() {
            for (batch, of) in (0..).zip(verdict.batches(stage)).filter(|(_, of)| of.is_verified())
            {
                let Standing::Quorum { root, voters } = &of.standing else { continue };
                let units = self.right_units(stage, batch, *root, of);
                let is_sure = Assurance::Final <= verdict.assurance(self.plan(), stage, batch);
                for voter in voters {
                    let credit = credits.entry(*voter).or_default();
                    credit.units += units;
                    credit.sure += if is_sure { units } else { 0 };
                    credit.cpu_ms += self.cpu_ms(stage, units);
                }
            }
        }
        for (slot, book) in self.books() {
            if let About::Unit(unit) = slot.about {
                self.credit_ballots(slot, unit, book, &mut credits);
            }
        }
        let submitter = self.plan().manifest().submitter;
        credits.retain(|peer, credit| {
            *peer != submitter && !verdict.is_faulty(*peer) && credit.units + credit.audits != 0
        });
        credits
    }

    /// Units of a batch on which the voters of its standing root were right.
    fn right_units(&self, stage: u16, batch: u32, root: Hash, of: &BatchVerdict) -> u64 {
        let range = self.plan().partition(stage).units_of(batch);
        let (first, count) = (range.start, range.end - range.start);
        if of.effective == Some(root) {
            return count;
        }
        if of.units.is_empty() {
            // Sealed as something else than what the votes have given.
            return 0;
        }
        let leaves = self.batch_book(stage, batch).and_then(|book| book.leaves_of(root));
        let is_wrong = |(unit, verdict): &(&u64, &UnitVerdict)| match verdict {
            UnitVerdict::Accepted(digest) | UnitVerdict::Decided(digest) => {
                leaves.and_then(|leaves| leaves.get((**unit - first) as usize)) != Some(digest)
            }
            UnitVerdict::Contested => true,
        };
        count - of.units.iter().filter(is_wrong).count() as u64
    }

    /// Counts the ballots on a unit that agree with what stands there.
    fn credit_ballots(
        &self,
        slot: &Slot,
        unit: u64,
        book: &Book,
        credits: &mut BTreeMap<PeerId, Credit>,
    ) {
        let (stage, verdict) = (slot.stage, self.last_verdict());
        let batch = self.plan().partition(stage).batch_of(unit);
        let of = verdict.batch(stage, batch);
        if self.slot(stage, slot.about) != Some(*slot) || !of.is_verified() {
            return;
        }
        let range = self.plan().partition(stage).units_of(batch);
        let (index, count) = ((unit - range.start) as usize, (range.end - range.start) as usize);
        let agrees = |cast: &Cast| match (of.units.get(&unit), &of.standing) {
            (Some(UnitVerdict::Accepted(digest) | UnitVerdict::Decided(digest)), _) => {
                cast.root == *digest
            }
            (Some(UnitVerdict::Contested), _) => false,
            (None, Standing::Quorum { root, .. }) => {
                merkle_root_by(&cast.path, cast.root, index, count) == Some(*root)
            }
            (None, Standing::SelfExecuted { .. } | Standing::Open) => false,
        };
        let whole = self.batch_book(stage, batch);
        let has_voted = |peer| whole.is_some_and(|book| book.vote_of(peer).is_some());
        let ballots =
            book.votes().filter(|(peer, cast)| agrees(cast) && book.is_vouched_for(*peer));
        for (peer, _) in ballots {
            let credit = credits.entry(peer).or_default();
            match &of.standing {
                // Who voted on the batch repeats in a ballot what it executed with it.
                Standing::Quorum { .. } if has_voted(peer) => continue,
                Standing::Quorum { .. } => credit.audits += 1,
                Standing::SelfExecuted { .. } | Standing::Open => credit.units += 1,
            }
            credit.cpu_ms += self.cpu_ms(stage, 1);
        }
    }

    /// What was said about a batch as a whole.
    fn batch_book(&self, stage: u16, batch: u32) -> Option<&Book> {
        self.book(&self.slot(stage, About::Batch(batch))?)
    }

    fn cpu_ms(&self, stage: u16, units: u64) -> u64 {
        units.saturating_mul(self.plan().stage(stage).limits.cpu_ms)
    }
}
