//! Leaves that a contest asks for: posted by the voters, and by whoever holds their pack.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{About, Hash, Item, Leaves, PeerId, Slot, Standing};

use crate::active::Active;
use crate::core::Core;
use crate::job::{Attempt, fetch_when_due};
use crate::limits::LEAVES_MS;
use crate::outcomes::few;
use crate::{FetchId, FetchLoss, Got, PackWant, Want};

/// What we have noticed and done about leaves that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    posted: BTreeSet<(Slot, Hash)>,
    since_ms: BTreeMap<(Slot, Hash), u64>,
    /// Packs that are fetched for their leaves.
    attempts: BTreeMap<(Slot, Hash), Attempt>,
}

impl Active {
    /// Posts what we have, and fetches what we ought to have.
    pub(crate) fn post_leaves(&mut self, core: &mut Core) {
        let wanted = self.wanted_leaves();
        self.wanted.attempts.retain(|of, _| wanted.iter().any(|(_, at, root)| *of == (*at, *root)));
        for (batch, slot, root) in wanted {
            let Some(book) = self.ledger.book(&slot) else { continue };
            if book.leaves_of(root).is_some() || self.wanted.posted.contains(&(slot, root)) {
                continue;
            }
            let ours = book.vote_of(core.me).is_some_and(|cast| cast.root == root);
            if !ours && !self.holds_packs(core) {
                continue;
            }
            let own = self.rank(core, slot.stage, batch, core.me);
            let before = |(peer, cast): (PeerId, &protocol::Cast)| {
                cast.root == root && self.rank(core, slot.stage, batch, peer) < own
            };
            let first = ours && !book.votes().any(before);
            let now = core.now.mono_ms;
            let since = *self.wanted.since_ms.entry((slot, root)).or_insert(now);
            // The voters come first: they know without a fetch.
            let due = since + LEAVES_MS * (u64::from(!first) + u64::from(!ours));
            if now < due {
                core.wake_at(due);
                continue;
            }
            match self.work.kept(slot.stage, batch, &slot).filter(|_| ours) {
                Some(kept) => {
                    let digests = kept.iter().map(|(digest, _)| *digest).collect();
                    self.wanted.posted.insert((slot, root));
                    self.say(Item::Leaves(Leaves { slot, root, digests }));
                }
                // We have forgotten what we executed, or have never known: it is in the pack.
                None => self.fetch_leaves(core, batch, slot, root),
            }
        }
    }

    /// Roots that a contest is about: batch, slot and root.
    fn wanted_leaves(&self) -> BTreeSet<(u32, Slot, Hash)> {
        let verdict = self.ledger.last_verdict();
        let standing = verdict.contested.iter().filter_map(|(stage, unit)| {
            let batch = self.plan().partition(*stage).batch_of(*unit);
            match verdict.batch(*stage, batch).standing {
                Standing::Quorum { root, .. } => Some((*stage, batch, root)),
                Standing::SelfExecuted { .. } | Standing::Open => None,
            }
        });
        let all = standing.chain(verdict.leaves_wanted.iter().copied());
        all.filter_map(|(stage, batch, root)| {
            Some((batch, self.ledger.slot(stage, About::Batch(batch))?, root))
        })
        .collect()
    }

    /// Whether it is our part to have the packs of what was accepted.
    fn holds_packs(&self, core: &Core) -> bool {
        self.submitted || self.is_keeper() || self.is_anchor(core.me)
    }

    fn fetch_leaves(&mut self, core: &mut Core, batch: u32, slot: Slot, root: Hash) {
        let (stage, now) = (slot.stage, core.now.mono_ms);
        let (packs, holders) = self.packs_of(stage, About::Batch(batch), root);
        if packs.is_empty() {
            return;
        }
        let units = self.plan().partition(stage).units_of(batch);
        let (first_unit, units) = (units.start, units.end - units.start);
        let from = self.holders();
        let (holders, goes_on) = (few(&holders), false);
        let attempt = self.wanted.attempts.entry((slot, root)).or_insert_with(|| Attempt::now(now));
        let want = PackWant { stage, batch, first_unit, units, root, packs, holders, goes_on };
        fetch_when_due(core, self.id, attempt, now, from, || Want::Leaves(want));
    }

    /// Takes in the leaves that a fetch was for; false if it was for something else.
    pub(crate) fn take_wanted_leaves(
        &mut self,
        core: &mut Core,
        fetch: FetchId,
        got: &Result<Got, FetchLoss>,
    ) -> bool {
        let mut attempts = self.wanted.attempts.iter_mut();
        let Some((of, attempt)) = attempts.find(|(_, a)| a.under_way == Some(fetch)) else {
            return false;
        };
        let (slot, root) = *of;
        let Ok(Got::Leaves(digests)) = got else {
            attempt.failed(core.now.mono_ms);
            return true;
        };
        self.wanted.posted.insert((slot, root));
        self.say(Item::Leaves(Leaves { slot, root, digests: digests.clone() }));
        true
    }
}
