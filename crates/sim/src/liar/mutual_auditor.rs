//! Lies with its gang, and clears the gang: it casts agreeing ballots on its own lies and on those of the
//! others, and confirms theirs.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    About, Certificate, Item, JobId, Message, NetworkId, PeerId, Shown, Slot, Vote, merkle_path,
    merkle_root, proof, seal,
};

use super::gang::Gang;
use super::part::{Part, Ran, Task};

/// Ballots and certificates that are added to one step.
const ADDED: usize = 24;

#[derive(Debug)]
pub(super) struct MutualAuditor {
    network: NetworkId,
    me: PeerId,
    gang: Gang,
    /// Any unit of each job and stage that it has run, to derive others from.
    tasks: BTreeMap<(JobId, u16), Task>,
    /// Batches whose lie somebody of the gang has voted for.
    lied: BTreeSet<(JobId, u16, u32)>,
    /// Ballots of others of the gang that nobody of us has confirmed yet.
    to_confirm: BTreeSet<(JobId, Slot, PeerId)>,
    audited: BTreeSet<(JobId, u16, u64)>,
}

impl MutualAuditor {
    pub(super) fn new(network: NetworkId, me: PeerId, gang: Gang) -> Self {
        let (tasks, lied) = (BTreeMap::new(), BTreeSet::new());
        let (to_confirm, audited) = (BTreeSet::new(), BTreeSet::new());
        Self { network, me, gang, tasks, lied, to_confirm, audited }
    }

    fn note(&mut self, job: JobId, by: PeerId, item: &Item) {
        let Item::Vote(vote) = item else { return };
        let stage = vote.slot.stage;
        match vote.slot.about {
            About::Batch(batch) => {
                let is_lie = self.tasks.get(&(job, stage)).is_some_and(|task| {
                    let unit = task.plan.partition(stage).units_of(batch).start;
                    let lies = self.gang.lies(&Task { unit, ..task.clone() });
                    merkle_root(&lies.iter().map(|l| l.outcome.digest()).collect::<Vec<_>>())
                        == vote.root
                });
                if is_lie {
                    self.lied.insert((job, stage, batch));
                }
            }
            About::Unit(_) if by != self.me => {
                self.to_confirm.insert((job, vote.slot, by));
            }
            About::Unit(_) => {}
        }
    }

    /// An agreeing ballot on one unit of a batch that the gang has lied about.
    fn audit(&mut self, job: JobId, stage: u16, batch: u32) -> Option<Item> {
        let task = self.tasks.get(&(job, stage))?;
        let units = task.plan.partition(stage).units_of(batch);
        let unit = units.clone().find(|unit| !self.audited.contains(&(job, stage, *unit)))?;
        let task = Task { unit, ..task.clone() };
        self.audited.insert((job, stage, unit));
        let lies = self.gang.lies(&task);
        let leaves: Vec<_> = lies.iter().map(|lie| lie.outcome.digest()).collect();
        let at = (unit - units.start) as usize;
        let slot = task.slot();
        let proof = proof(self.network, job, &slot, self.me, lies[at].trace);
        let (root, path) = (leaves[at], merkle_path(&leaves, at));
        Some(Item::Vote(Vote { slot, root, seal: seal(proof), pack: None, path }))
    }

    fn confirm(&self, job: JobId, slot: Slot, voter: PeerId) -> Option<Item> {
        let About::Unit(unit) = slot.about else { return None };
        let task = Task { unit, ..self.tasks.get(&(job, slot.stage))?.clone() };
        let lie = self.gang.lie(&task, &mut Vec::new());
        let proof = proof(self.network, job, &slot, voter, lie.trace);
        let (root, proofs) = (lie.outcome.digest(), vec![Shown { voter, proof }]);
        Some(Item::Certificate(Certificate { slot, root, proofs }))
    }
}

impl Part for MutualAuditor {
    fn writes(&self) -> bool {
        true
    }

    fn ran(&mut self, task: &Task, ran: Ran, forged: &mut Vec<Vec<u8>>) -> Ran {
        self.tasks.entry((task.job, task.stage)).or_insert_with(|| task.clone());
        let lies = self.gang.would_lie(&task.plan, task.stage, task.batch());
        if lies { Ok(self.gang.lie(task, forged)) } else { ran }
    }

    fn heard(&mut self, _from: PeerId, message: &Message) {
        let Message::Steps(steps) = message else { return };
        for step in steps {
            if !self.gang.has(step.author()) {
                continue;
            }
            for item in &step.value().items {
                self.note(step.value().job, step.author(), item);
            }
        }
    }

    fn write(&mut self, job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        for item in &items {
            self.note(job, self.me, item);
        }
        let others = |(of, _, _): &&(JobId, Slot, PeerId)| *of == job;
        let confirm: Vec<_> = self.to_confirm.iter().filter(others).take(ADDED).copied().collect();
        for entry in confirm {
            self.to_confirm.remove(&entry);
            items.extend(self.confirm(entry.0, entry.1, entry.2));
        }
        let open: Vec<(JobId, u16, u32)> =
            self.lied.iter().copied().filter(|at| at.0 == job).collect();
        for (job, stage, batch) in open.into_iter().take(ADDED) {
            items.extend(self.audit(job, stage, batch));
        }
        items
    }
}
