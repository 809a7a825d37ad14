//! Hidden audits: single units executed again, which ones is the auditor's own coin.

use std::collections::BTreeMap;

use protocol::{Hash, merkle_path};

use super::base::slip;
use super::pen::{certificate, vote};
use super::town::{Form, Town, true_outcome};
use crate::schemes::setting::{Adversary, FAULT_PERCENT, SLIP_ONE_IN};

/// Draws until a unit is found that may be audited; else the audit waits.
const DRAWS: usize = 200;
/// Co-voters of a batch who vouch for a ballot that agrees with them.
const VOUCHERS: usize = 2;

impl Town {
    /// After each batch, so many audits that the job has its share of them.
    pub(super) fn owe_audits(&mut self, who: usize, number: u32) {
        let base = match self.rqa.form {
            Form::Quorum => u64::from(self.rqa.quorum),
            Form::Record { .. } => 1,
        };
        let units = self.batches[number as usize].units.clone();
        for _ in units {
            if self.chance.below(100 * base) < self.rqa.audits {
                self.workers[who].owed += 1;
            }
        }
    }

    /// A unit to audit, if any is owed: uniformly from voted batches that are not its own.
    pub(super) fn pick_audit(&mut self, who: usize) -> Option<u64> {
        if self.workers[who].owed == 0 {
            return None;
        }
        for _ in 0..DRAWS {
            let unit = self.chance.below(self.setting.size.units);
            let batch = &self.batches[self.batch_of(unit) as usize];
            let own = batch.takers.contains_key(&who);
            let has_said = self.ballots.get(&unit).is_some_and(|b| b.contains_key(&who));
            if !own && !has_said && batch.votes().next().is_some() {
                self.workers[who].owed -= 1;
                return Some(unit);
            }
        }
        None
    }

    /// A worker has executed a unit that it audits.
    pub(super) fn audited(&mut self, who: usize, unit: u64) {
        let digest = self.finding(who, unit, true);
        self.cast(who, unit, digest);
    }

    /// What a worker says of a single unit. The coalition bears out its lies in audits; in contests
    /// it gives its voters up, unless it lies openly.
    pub(super) fn finding(&mut self, who: usize, unit: u64, is_audit: bool) -> Hash {
        let truth = true_outcome(unit);
        if !self.workers[who].is_liar {
            let slips = self.chance.below(SLIP_ONE_IN) == 0;
            return if slips { slip(who, unit) } else { truth };
        }
        let batch = &self.batches[self.batch_of(unit) as usize];
        let lie = batch.lie.as_ref().map(|lie| lie.digests[batch.index(unit)]);
        match self.setting.adversary {
            Adversary::Open => lie.unwrap_or(truth),
            Adversary::Faulty if self.chance.percent(FAULT_PERCENT) => slip(who, unit),
            Adversary::Copier => slip(who, unit),
            Adversary::Silent { .. }
            | Adversary::Sleeper { .. }
            | Adversary::Late { .. }
            | Adversary::Withholder { .. }
            | Adversary::Whitewasher { .. }
                if is_audit =>
            {
                lie.unwrap_or(truth)
            }
            Adversary::Silent { .. }
            | Adversary::Sleeper { .. }
            | Adversary::Late { .. }
            | Adversary::Withholder { .. }
            | Adversary::Whitewasher { .. }
            | Adversary::Faulty => truth,
        }
    }

    /// Casts a ballot; whoever found the same vouches for it.
    pub(super) fn cast(&mut self, who: usize, unit: u64, digest: Hash) {
        let slot = self.unit_slot(unit);
        let path = self.path(unit, digest);
        let at = (self.network, self.job);
        let has_executed =
            !(self.workers[who].is_liar && matches!(self.setting.adversary, Adversary::Copier));
        let author = self.workers[who].pen.peer;
        self.workers[who].pen.say(vote(at, slot, author, digest, path, has_executed));
        let ballots: &mut BTreeMap<usize, Hash> = self.ballots.entry(unit).or_default();
        let mut others: Vec<usize> = ballots
            .iter()
            .filter(|(other, said)| **other != who && **said == digest)
            .map(|(other, _)| *other)
            .collect();
        ballots.insert(who, digest);
        if !has_executed {
            return;
        }
        let peers: Vec<_> = others.iter().map(|other| self.workers[*other].pen.peer).collect();
        if !peers.is_empty() {
            self.workers[who].pen.say(certificate(at, slot, digest, &peers));
        }
        let batch = &self.batches[self.batch_of(unit) as usize];
        let index = batch.index(unit);
        let voters = batch.votes().filter(|(other, content)| {
            *other != who && content.digests[index] == digest && !self.workers[*other].is_out
        });
        others.extend(voters.map(|(other, _)| other).take(VOUCHERS));
        for other in others {
            self.workers[other].pen.say(certificate(at, slot, digest, &[author]));
        }
    }

    /// The way from a digest to the root that stands, or else to one that somebody voted for.
    fn path(&self, unit: u64, digest: Hash) -> Vec<Hash> {
        let number = self.batch_of(unit);
        let batch = &self.batches[number as usize];
        let index = batch.index(unit);
        let standing = self.standing_root(number).and_then(|root| batch.content(root));
        let voted = batch.votes().map(|(_, content)| content);
        let content = standing
            .into_iter()
            .chain(voted)
            .find(|content| content.digests.get(index) == Some(&digest));
        content.map_or_else(Vec::new, |content| merkle_path(&content.digests, index))
    }
}
