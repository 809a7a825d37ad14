//! Holding: a keeper brings the results as soon as they are accepted, batch by batch.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Hash, PeerId};

use crate::FetchId;
use crate::active::Active;
use crate::core::Core;
use crate::job::{Attempt, fetch_when_due};
use crate::limits::HOLDINGS_MAX;
use crate::pick::At;

/// How far a keeper has come with the results.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    /// Whether all batches were looked at once.
    begun: bool,
    /// Batches to look at.
    open: BTreeSet<At>,
    coming: BTreeMap<At, (Hash, Attempt)>,
    /// The roots whose packs are here, with all outputs.
    here: BTreeMap<At, Hash>,
}

impl Holding {
    /// Everything failed may be tried again now.
    pub(crate) fn hurry(&mut self, now_ms: u64) {
        self.coming.values_mut().for_each(|(_, attempt)| attempt.hurry(now_ms));
    }
}

impl Active {
    /// Notes batches of the last stages that may have become results.
    pub(crate) fn note_results(&mut self, touched: &BTreeSet<At>) {
        if !self.is_keeper() {
            return;
        }
        let plan = self.ledger.plan();
        if !self.holding.begun {
            let last = plan.stages().filter(|stage| !plan.is_read(*stage));
            let all = last.flat_map(|stage| {
                (0..plan.partition(stage).batches()).map(move |batch| (stage, batch))
            });
            self.holding.open.extend(all);
            self.holding.begun = true;
        }
        let last = touched.iter().filter(|at| !plan.is_read(at.0));
        self.holding.open.extend(last);
    }

    /// Whether all results are accepted and here.
    pub(crate) fn holds_results(&self) -> bool {
        self.holding.begun
            && self.holding.open.is_empty()
            && self.holding.coming.is_empty()
            && self.is_settled()
    }

    pub(crate) fn pursue_holding(&mut self, core: &mut Core) {
        if self.holding.open.is_empty() && self.holding.coming.is_empty() {
            return;
        }
        let now = core.now.mono_ms;
        self.open_results(now);
        let due: Vec<At> = self.holding.coming.keys().copied().collect();
        let from = self.likely_holders(core);
        for at in due {
            let wanted = self.outcomes_of_batch(at.0, at.1).map(|all| self.packs(&all, true));
            let Some((_, attempt)) = self.holding.coming.get_mut(&at) else { continue };
            match wanted {
                Some(want) => fetch_when_due(core, self.id, attempt, now, from.clone(), || want),
                // It has fallen: it is looked at again when another is accepted.
                None if attempt.under_way.is_none() => drop(self.holding.coming.remove(&at)),
                None => {}
            }
        }
    }

    /// Begins with batches that are accepted; the others come again when something changes about them.
    fn open_results(&mut self, now: u64) {
        let verdict = self.ledger.last_verdict();
        while self.holding.coming.len() < HOLDINGS_MAX
            && let Some(at) = self.holding.open.pop_first()
        {
            let of = verdict.batch(at.0, at.1);
            let Some(root) = of.effective.filter(|_| of.is_settled()) else { continue };
            if self.holding.here.get(&at) != Some(&root) {
                self.holding.coming.insert(at, (root, Attempt::now(now)));
            }
        }
    }

    /// Takes in that a fetch of results has ended; false if it was for something else.
    pub(crate) fn take_held(&mut self, core: &mut Core, fetch: FetchId, is_here: bool) -> bool {
        let mut coming = self.holding.coming.iter_mut();
        let Some((at, (root, attempt))) =
            coming.find(|(_, (_, attempt))| attempt.under_way == Some(fetch))
        else {
            return false;
        };
        let (at, root) = (*at, *root);
        if is_here {
            self.holding.coming.remove(&at);
            self.holding.here.insert(at, root);
            self.found(at);
            if self.ledger.last_verdict().batch(at.0, at.1).effective != Some(root) {
                // It has fallen meanwhile.
                self.holding.open.insert(at);
            }
        } else {
            attempt.failed(core.now.mono_ms);
            core.wake_at(attempt.retry_ms);
        }
        true
    }

    pub(crate) fn likely_holders(&self, core: &Core) -> Vec<PeerId> {
        crate::job::providers(core, Some(self.submitter()), &self.holders())
    }
}
