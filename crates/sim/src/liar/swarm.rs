//! A sybil swarm: one node that speaks for many identities, ground for low ranks. Batch by batch they vote for
//! a lie or copy a root with a trace of their own, certify, contest and audit each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Effect;
use protocol::{
    About, Certificate, Gathered, Hash, Item, JobId, Leaves, Message, NetworkId, PeerId, Plan,
    Shown, Signed, Slot, Step, Vote, hash, merkle_path, merkle_root,
};

use super::gang::Gang;
use super::part::{Part, Ran, Task};
use super::puppet::Puppet;
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct Swarm {
    chance: Chance,
    network: NetworkId,
    me: PeerId,
    gang: Gang,
    jobs: BTreeMap<JobId, Attack>,
    /// Roots that others have voted for.
    heard: BTreeMap<(JobId, u32), Hash>,
}

#[derive(Debug)]
struct Attack {
    plan: Arc<Plan>,
    puppets: Vec<Puppet>,
    /// The next batch of the first stage.
    next: u32,
}

/// What is said about one batch: who says what, in steps that come one after the other.
type Said = Vec<Signed<Step>>;

impl Swarm {
    pub(super) fn new(chance: Chance, network: NetworkId, me: PeerId, gang: Gang) -> Self {
        Self { chance, network, me, gang, jobs: BTreeMap::new(), heard: BTreeMap::new() }
    }

    /// Begins with a job whose plan is known.
    pub(super) fn join(&mut self, plan: &Arc<Plan>) {
        let (job, batches) = (plan.manifest().job(), plan.partition(0).batches());
        let (network, me, count) = (self.network, self.me, self.gang.identities.max(2) as u64);
        let puppet = |n: u64| Puppet::ground(network, job, me, n, (n % u64::from(batches)) as u32);
        self.jobs.entry(job).or_insert_with(|| Attack {
            plan: plan.clone(),
            puppets: (0..count).map(puppet).collect(),
            next: 0,
        });
    }

    /// What the puppets say about the next batch.
    pub(super) fn attack(&mut self, job: JobId) -> Vec<Message> {
        let Some(attack) = self.jobs.get_mut(&job) else { return Vec::new() };
        let batch = attack.next;
        if attack.plan.partition(0).batches() <= batch {
            return Vec::new();
        }
        attack.next += 1;
        let task = Task {
            job,
            plan: attack.plan.clone(),
            stage: 0,
            unit: attack.plan.partition(0).units_of(batch).start,
            gathered: None::<Gathered>,
        };
        let Some(units) = attack.plan.units_root(0, batch, None) else { return Vec::new() };
        let slot = Slot { stage: 0, about: About::Batch(batch), units };
        let said = match (self.chance.below(3), self.heard.get(&(job, batch)).copied()) {
            (0, Some(root)) => attack.copy(slot, root),
            (_, _) if self.gang.would_lie(&task.plan, 0, batch) => {
                attack.lie(slot, &task, &self.gang, self.chance.percent(50))
            }
            (_, _) => Vec::new(),
        };
        said.into_iter().map(|step| Message::Steps(vec![step])).collect()
    }
}

impl Attack {
    /// Votes for a root that somebody else has computed, with a made-up trace, joined among themselves.
    fn copy(&mut self, slot: Slot, root: Hash) -> Said {
        let trace = hash("no trace", &[root.as_bytes()]);
        let mut said = self.vote(slot, root, trace, |_| Vec::new());
        said.extend(self.certify(slot, root, trace));
        said
    }

    /// The lower half votes for a lie and is joined; the others audit and agree, and all are confirmed.
    fn lie(&mut self, slot: Slot, task: &Task, gang: &Gang, shows_leaves: bool) -> Said {
        let lies = gang.lies(task);
        let digests: Vec<Hash> = lies.iter().map(|lie| lie.outcome.digest()).collect();
        let traces: Vec<Hash> = lies.iter().map(|lie| lie.trace).collect();
        let (root, trace) = (merkle_root(&digests), merkle_root(&traces));
        let leaves =
            shows_leaves.then(|| Item::Leaves(Leaves { slot, root, digests: digests.clone() }));
        let mut said = self.vote(slot, root, trace, |_| leaves.clone().into_iter().collect());
        said.extend(self.certify(slot, root, trace));
        let of_unit = task.slot();
        let path = merkle_path(&digests, 0);
        said.extend(self.ballots(of_unit, digests[0], traces[0], &path));
        said
    }

    fn voters(&mut self) -> (&mut [Puppet], &mut [Puppet]) {
        let half = self.puppets.len().div_ceil(2).max(2).min(self.puppets.len());
        self.puppets.split_at_mut(half)
    }

    fn vote(
        &mut self,
        slot: Slot,
        root: Hash,
        trace: Hash,
        beside: impl Fn(usize) -> Vec<Item>,
    ) -> Said {
        let (voters, _) = self.voters();
        let vote = |(n, puppet): (usize, &mut Puppet)| {
            let (_, seal) = puppet.prove(&slot, trace);
            let vote = Item::Vote(Vote { slot, root, seal, pack: None, path: Vec::new() });
            puppet.say(std::iter::once(vote).chain(beside(n)).collect())
        };
        voters.iter_mut().enumerate().map(vote).collect()
    }

    fn certify(&mut self, slot: Slot, root: Hash, trace: Hash) -> Said {
        let (voters, _) = self.voters();
        let shown: Vec<Shown> = voters
            .iter()
            .map(|puppet| Shown { voter: puppet.peer(), proof: puppet.prove(&slot, trace).0 })
            .take(32)
            .collect();
        let certify = |puppet: &mut Puppet| {
            let own = puppet.peer();
            let proofs = shown.iter().copied().filter(|shown| shown.voter != own).collect();
            puppet.say(vec![Item::Certificate(Certificate { slot, root, proofs })])
        };
        voters.iter_mut().map(certify).collect()
    }

    fn ballots(&mut self, slot: Slot, digest: Hash, trace: Hash, path: &[Hash]) -> Said {
        let (voters, auditors) = self.voters();
        let mut shown = Vec::new();
        let mut said = Vec::new();
        for puppet in auditors {
            let (proof, seal) = puppet.prove(&slot, trace);
            shown.push(Shown { voter: puppet.peer(), proof });
            let path = path.to_vec();
            let vote = Vote { slot, root: digest, seal, pack: None, path };
            said.push(puppet.say(vec![Item::Vote(vote)]));
        }
        shown.truncate(32);
        if let Some(voter) = voters.first_mut().filter(|_| !shown.is_empty()) {
            let certificate = Certificate { slot, root: digest, proofs: shown };
            said.push(voter.say(vec![Item::Certificate(certificate)]));
        }
        said
    }
}

impl Part for Swarm {
    fn ran(&mut self, task: &Task, ran: Ran, _forged: &mut Vec<Vec<u8>>) -> Ran {
        self.join(&task.plan);
        ran
    }

    fn heard(&mut self, _from: PeerId, message: &Message) {
        let Message::Steps(steps) = message else { return };
        for step in steps {
            for item in &step.value().items {
                if let Item::Vote(vote) = item
                    && let (0, About::Batch(batch)) = (vote.slot.stage, vote.slot.about)
                {
                    self.heard.insert((step.value().job, batch), vote.root);
                }
            }
        }
    }

    fn adds(&mut self, effect: &Effect) -> Vec<Effect> {
        let Effect::Broadcast { job, .. } = *effect else { return Vec::new() };
        let said = self.attack(job);
        said.into_iter().map(|message| Effect::Broadcast { job, message }).collect()
    }
}
