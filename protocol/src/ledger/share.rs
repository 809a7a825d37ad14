//! What one batch adds to the sums over all batches, by unit, so that one ballot changes them by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assurance::Audits;
use crate::PeerId;

/// One batch's share.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// Joined voters of all its roots, and how many units they confirm: none where there are rivals.
    pub(super) joined: BTreeSet<PeerId>,
    pub(super) units: u64,
    /// Of a batch that is not loud: its size, who stands joined, and the ballots on its units.
    pub(super) size: u64,
    pub(super) voters: BTreeSet<PeerId>,
    pub(super) parts: BTreeMap<u64, Arc<Part>>,
}

/// The confirmed ballots on one unit, all of which agree with what stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) confirmed: Vec<PeerId>,
    /// Those of them who did not vote on the batch.
    pub(super) auditors: Vec<PeerId>,
}

/// Sums over the batches of one stage whose ballots all agree with what stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    /// How many confirmed ballots a peer has.
    pub(super) confirmed: BTreeMap<PeerId, u64>,
    /// How many units for which a peer stands joined were audited by a non-voter.
    pub(super) audited: BTreeMap<PeerId, u64>,
    /// What finality is counted from.
    pub(super) audits: Audits,
    /// Equal parts are one: there are many units, and few peers to audit each.
    kinds: BTreeSet<Arc<Part>>,
    kinds_max: usize,
}

impl Quiet {
    /// The same part as often as it is needed.
    pub(super) fn kind(&mut self, part: Part) -> Arc<Part> {
        if let Some(kind) = self.kinds.get(&part) {
            return Arc::clone(kind);
        }
        if self.kinds_max <= self.kinds.len() {
            // Those that no unit has any more are forgotten now and then.
            self.kinds.retain(|kind| 1 < Arc::strong_count(kind));
            self.kinds_max = 64.max(2 * self.kinds.len());
        }
        let kind = Arc::new(part);
        self.kinds.insert(Arc::clone(&kind));
        kind
    }

    pub(super) fn add(&mut self, share: &Share) {
        self.audits.add(&share.voters, share.size, &BTreeMap::new());
        share.parts.values().for_each(|part| self.add_part(&share.voters, part));
    }

    pub(super) fn remove(&mut self, share: &Share) {
        self.audits.remove(&share.voters, share.size, &BTreeMap::new());
        share.parts.values().for_each(|part| self.remove_part(&share.voters, part));
    }

    pub(super) fn add_part(&mut self, voters: &BTreeSet<PeerId>, part: &Part) {
        if part.confirmed.is_empty() {
            return;
        }
        part.confirmed.iter().for_each(|peer| *self.confirmed.entry(*peer).or_default() += 1);
        for voter in voters.iter().filter(|_| !part.auditors.is_empty()) {
            *self.audited.entry(*voter).or_default() += 1;
        }
        self.audits.add_audits(voters, &part.auditors);
    }

    pub(super) fn remove_part(&mut self, voters: &BTreeSet<PeerId>, part: &Part) {
        if part.confirmed.is_empty() {
            return;
        }
        part.confirmed.iter().for_each(|peer| *self.confirmed.entry(*peer).or_default() -= 1);
        for voter in voters.iter().filter(|_| !part.auditors.is_empty()) {
            *self.audited.entry(*voter).or_default() -= 1;
        }
        self.audits.remove_audits(voters, &part.auditors);
    }
}
