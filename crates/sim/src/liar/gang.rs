//! The gang: what liars of one owner share, and what they know of everybody else.

use std::collections::BTreeMap;

use protocol::{Execution, Hash, PeerId, Plan, Ranks, Stamp, hash};

use super::part::Task;
use super::wrong_outcome::lie;

/// Liars that act as one, as their owner would have set them up.
#[derive(Clone, Debug)]
pub struct Gang {
    /// What they say in place of the truth follows from this.
    pub flavour: Hash,
    pub members: Vec<PeerId>,
    /// Everybody who may work, members included.
    pub workers: Vec<PeerId>,
    /// Stamps that are known, in worlds that ask for them.
    pub stamps: BTreeMap<PeerId, Stamp>,
    /// Of what they could lie about, the share that they do, in percent.
    pub rate: u64,
    /// Units that each one executes honestly before its first lie.
    pub after: u64,
    /// Identities that each one has beside its own.
    pub identities: usize,
}

impl Gang {
    /// A gang of one, which only shares `flavour` with others like it.
    pub fn alone(flavour: Hash) -> Self {
        let (members, workers, stamps) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { flavour, members, workers, stamps, rate: 40, after: 20, identities: 4 }
    }

    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.members.contains(&peer)
    }

    /// Whether they have agreed to lie about a batch, by a coin that they share.
    pub(super) fn would_lie(&self, plan: &Plan, stage: u16, batch: u32) -> bool {
        let job = plan.manifest().job();
        let (stage, batch) = (stage.to_le_bytes(), batch.to_le_bytes());
        let parts: [&[u8]; 4] = [self.flavour.as_bytes(), job.as_bytes(), &stage, &batch];
        let coin = hash("gang", &parts);
        u64::from(coin.as_bytes()[0]) * 100 < self.rate * 256
    }

    /// Whether the lowest ranks for a batch, as many as decide it, are all members.
    pub(super) fn holds(&self, plan: &Plan, stage: u16, batch: u32) -> bool {
        let manifest = plan.manifest();
        let policy = &manifest.policy;
        let ranks = Ranks { job: manifest.job(), level: policy.level, stamps: &self.stamps };
        let may_work =
            |peer: &&PeerId| **peer != manifest.submitter && !policy.anchors.contains(peer);
        let workers = self.workers.iter().filter(may_work);
        let mut order: Vec<_> =
            workers.map(|peer| (ranks.of(stage, batch, *peer), *peer)).collect();
        order.sort_unstable();
        let deciding = usize::from(policy.quorum);
        deciding <= order.len() && order[..deciding].iter().all(|(_, peer)| self.has(*peer))
    }

    /// What they say of a unit when they lie about it.
    pub(super) fn lie(&self, task: &Task, forged: &mut Vec<Vec<u8>>) -> Execution {
        lie(task, self.flavour.as_bytes(), forged)
    }

    /// What they say of all units of a batch.
    pub(super) fn lies(&self, task: &Task) -> Vec<Execution> {
        let partition = task.plan.partition(task.stage);
        let units = partition.units_of(partition.batch_of(task.unit));
        let lie = |unit| self.lie(&Task { unit, ..task.clone() }, &mut Vec::new());
        units.map(lie).collect()
    }
}
