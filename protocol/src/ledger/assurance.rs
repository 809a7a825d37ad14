//! How sure a verdict is: provisional, final once its voters have passed their audits, or sealed.

use std::collections::{BTreeMap, BTreeSet};

use super::verdict::{Standing, Verdict};
use crate::{PeerId, Plan, Policy};

/// How much stands behind a batch's outcomes, and behind everything that they were made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// Accepted, and nothing more: colluders who hold a whole quorum could have made it up.
    #[default]
    Provisional,
    /// Every voter behind it has passed its quota of hidden audits. Late evidence can still revoke it.
    Final,
    /// An anchor has latched it after its own audits: nothing revokes it.
    Sealed,
}

/// How sure the batches of a stage are that others read, and the least sure of them; none while nothing is sure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sureness {
    batches: Vec<Assurance>,
    least: Assurance,
}

/// What is counted for finality: units that peers stand joined for, and who has audited them.
#[derive(Clone, Debug, Default)]
pub(super) struct Audits {
    /// In how many units' standing outcomes a peer is a joined voter.
    units: BTreeMap<PeerId, u64>,
    /// Voter, auditor that did not vote there, and how many of the units it audited and agreed with; both by
    /// their numbers in here, for there are very many pairs.
    by: BTreeMap<(u32, u32), u32>,
    numbers: BTreeMap<PeerId, u32>,
    names: Vec<PeerId>,
    /// Voters about whom any of this has changed.
    changed: BTreeSet<u32>,
}

impl Audits {
    /// Counts a batch of `size` units with these voters and audits.
    pub(super) fn add<'a>(
        &mut self,
        voters: impl IntoIterator<Item = &'a PeerId>,
        size: u64,
        audits: &BTreeMap<PeerId, u64>,
    ) {
        for voter in voters {
            *self.units.entry(*voter).or_default() += size;
            let voter = self.number(*voter);
            self.changed.insert(voter);
            for (auditor, n) in audits {
                let by = self.number(*auditor);
                *self.by.entry((voter, by)).or_default() += narrow(*n);
            }
        }
    }

    /// Takes a batch back that was counted before.
    pub(super) fn remove<'a>(
        &mut self,
        voters: impl IntoIterator<Item = &'a PeerId>,
        size: u64,
        audits: &BTreeMap<PeerId, u64>,
    ) {
        for voter in voters {
            *self.units.entry(*voter).or_default() -= size;
            let voter = self.number(*voter);
            self.changed.insert(voter);
            for (auditor, n) in audits {
                let by = self.number(*auditor);
                *self.by.entry((voter, by)).or_default() -= narrow(*n);
            }
        }
    }

    /// Counts one audit of these voters by each auditor.
    pub(super) fn add_audits(&mut self, voters: &BTreeSet<PeerId>, auditors: &[PeerId]) {
        self.with_pairs(voters, auditors, |n| *n += 1);
    }

    /// Takes one audit of these voters by each auditor back.
    pub(super) fn remove_audits(&mut self, voters: &BTreeSet<PeerId>, auditors: &[PeerId]) {
        self.with_pairs(voters, auditors, |n| *n -= 1);
    }

    fn with_pairs(
        &mut self,
        voters: &BTreeSet<PeerId>,
        auditors: &[PeerId],
        act: impl Fn(&mut u32),
    ) {
        for auditor in auditors {
            let by = self.number(*auditor);
            for voter in voters {
                let voter = self.number(*voter);
                self.changed.insert(voter);
                act(self.by.entry((voter, by)).or_default());
            }
        }
    }

    fn number(&mut self, peer: PeerId) -> u32 {
        *self.numbers.entry(peer).or_insert_with(|| {
            self.names.push(peer);
            narrow(self.names.len() as u64 - 1)
        })
    }

    /// Who has audited a voter, and how often.
    fn auditors_of(&self, voter: PeerId) -> impl Iterator<Item = (PeerId, u64)> {
        let number = self.numbers.get(&voter);
        let pairs = number.map(|voter| self.by.range((*voter, 0)..=(*voter, u32::MAX)));
        pairs.into_iter().flatten().map(|((_, by), n)| (self.names[*by as usize], u64::from(*n)))
    }

    /// Whether nobody was ever counted.
    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Voters about whom anything has changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<PeerId> {
        std::mem::take(&mut self.changed).into_iter().map(|n| self.names[n as usize]).collect()
    }
}

fn narrow(n: u64) -> u32 {
    u32::try_from(n).expect("limits keep units and authors within u32")
}

/// How far a voter's audits have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Audits that count, and how many are wanted.
    pub audits: u64,
    pub quota: u64,
    /// How many different peers have audited it.
    pub auditors: u64,
}

impl Audited {
    /// Whether the quota is full.
    pub fn is_passed(&self) -> bool {
        self.quota <= self.audits
    }
}

/// How far voters' audits have come, given the sums over disjoint sets of batches: all voters', or, where
/// the others' are what they were, those of whom something `changed`.
pub(super) fn count_audits(
    audited: &mut BTreeMap<PeerId, Audited>,
    policy: &Policy,
    sums: &[&Audits],
    changed: Option<BTreeSet<PeerId>>,
) {
    let voters = changed.unwrap_or_else(|| {
        audited.clear();
        sums.iter().flat_map(|sum| sum.units.keys().copied()).collect()
    });
    for voter in voters {
        match audited_of(voter, policy, sums) {
            Some(of) => drop(audited.insert(voter, of)),
            None => drop(audited.remove(&voter)),
        }
    }
}

/// A voter's quota is half of what the policy makes it expect, rounded up to a multiple of `lead` audits. No
/// auditor fills more than a `lead`-th of it, so that fewer than `lead` colluders clear nobody: where there are
/// not that many others, only an anchor makes anything sure.
fn audited_of(voter: PeerId, policy: &Policy, sums: &[&Audits]) -> Option<Audited> {
    let lead = u64::from(policy.lead);
    let units: u64 = sums.iter().filter_map(|sum| sum.units.get(&voter)).sum();
    let expected = units.saturating_mul(u64::from(policy.audit_ppm)).div_ceil(2_000_000);
    let share = expected.div_ceil(lead).max(1);
    let quota = share * lead;
    let mut by: BTreeMap<PeerId, u64> = BTreeMap::new();
    for (auditor, n) in sums.iter().flat_map(|sum| sum.auditors_of(voter)) {
        *by.entry(auditor).or_default() += n;
    }
    let auditors = by.values().filter(|n| **n != 0).count() as u64;
    let audits = by.values().map(|n| (*n).min(share)).sum();
    (units != 0).then_some(Audited { audits, quota, auditors })
}

impl Verdict {
    /// How sure the outcomes of a batch are, and with them everything that they were made from.
    pub fn assurance(&self, plan: &Plan, stage: u16, batch: u32) -> Assurance {
        let units = plan.partition(stage).units_of(batch);
        let read = plan.reads(stage, units).into_iter().map(|read| {
            let of = &self.read_as[usize::from(read.stage)];
            if read.batches.len() == of.batches.len() {
                return of.least;
            }
            let batches = read.batches.start as usize..read.batches.end as usize;
            of.batches.get(batches).into_iter().flatten().copied().min().unwrap_or_default()
        });
        read.chain([self.own_assurance(stage, batch)]).min().unwrap_or_default()
    }

    /// Whether an anchor has latched every batch.
    pub fn is_sealed(&self) -> bool {
        self.stages.iter().flatten().all(|batch| batch.is_sealed)
    }

    /// The least sure of all batches, of all stages.
    pub fn weakest(&self, plan: &Plan) -> Assurance {
        let batches = |stage: u16| {
            let count = self.batches(stage).len() as u32;
            (0..count).map(move |batch| self.own_assurance(stage, batch))
        };
        plan.stages().flat_map(batches).min().unwrap_or_default()
    }

    fn own_assurance(&self, stage: u16, batch: u32) -> Assurance {
        let batch = self.batch(stage, batch);
        if batch.is_sealed {
            return Assurance::Sealed;
        }
        let passed = |voters: &BTreeSet<PeerId>| {
            voters.iter().all(|q| self.audited.get(q).is_some_and(Audited::is_passed))
        };
        match &batch.standing {
            Standing::Quorum { voters, .. } if batch.is_settled() && passed(voters) => {
                Assurance::Final
            }
            Standing::Quorum { .. } | Standing::SelfExecuted { .. } | Standing::Open => {
                Assurance::Provisional
            }
        }
    }

    /// Works out how sure the batches are that others read, stage by stage. While a job goes on nothing is sure
    /// but what is sealed, so that mostly there is nothing to look at.
    pub(super) fn weigh_stages(&mut self, plan: &Plan) {
        for stage in plan.stages().filter(|stage| plan.is_read(*stage)) {
            let is_any =
                !self.audited.is_empty() || self.batches(stage).iter().any(|b| b.is_sealed);
            let batches = if is_any { 0..plan.partition(stage).batches() } else { 0..0 };
            let batches: Vec<Assurance> =
                batches.map(|batch| self.assurance(plan, stage, batch)).collect();
            let least = batches.iter().copied().min().unwrap_or_default();
            self.read_as[usize::from(stage)] = Sureness { batches, least };
        }
    }
}
