//! Votes for roots that it has not computed: the outcomes are right, the traces are made up. Beside
//! its own worthless proofs it repeats those that others have published.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{
    About, Certificate, Hash, Item, JobId, Message, NetworkId, PeerId, Plan, Shown, Slot, hash,
    merkle_root, proof, seal,
};

use super::part::{Part, Ran, Task};

#[derive(Debug)]
pub(super) struct Copier {
    network: NetworkId,
    me: PeerId,
    plans: BTreeMap<JobId, Arc<Plan>>,
    public: BTreeMap<(JobId, Slot), Vec<Shown>>,
}

impl Copier {
    pub(super) fn new(network: NetworkId, me: PeerId) -> Self {
        Self { network, me, plans: BTreeMap::new(), public: BTreeMap::new() }
    }

    fn trace(&self) -> Hash {
        hash("made up", &[self.me.as_bytes()])
    }

    /// The proof of our vote, if somebody has given it away.
    fn leaked(&self, job: JobId, slot: &Slot) -> Option<Shown> {
        self.public.get(&(job, *slot))?.iter().find(|shown| shown.voter == self.me).copied()
    }

    fn own_proof(&self, job: JobId, slot: &Slot) -> Option<Shown> {
        let plan = self.plans.get(&job)?;
        let trace = match slot.about {
            About::Batch(batch) => {
                let units = plan.partition(slot.stage).units_of(batch);
                merkle_root(&vec![self.trace(); units.count()])
            }
            About::Unit(_) => self.trace(),
        };
        Some(Shown { voter: self.me, proof: proof(self.network, job, slot, self.me, trace) })
    }
}

impl Part for Copier {
    fn writes(&self) -> bool {
        true
    }

    fn ran(&mut self, task: &Task, ran: Ran, _forged: &mut Vec<Vec<u8>>) -> Ran {
        self.plans.insert(task.job, task.plan.clone());
        ran.map(|execution| protocol::Execution { trace: self.trace(), ..execution })
    }

    fn heard(&mut self, _from: PeerId, message: &Message) {
        let Message::Steps(steps) = message else { return };
        for step in steps {
            for item in &step.value().items {
                if let Item::Certificate(certificate) = item {
                    let key = (step.value().job, certificate.slot);
                    self.public.entry(key).or_default().extend(&certificate.proofs);
                }
            }
        }
    }

    fn write(&mut self, job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        for item in &mut items {
            if let Item::Vote(vote) = item
                && let Some(leaked) = self.leaked(job, &vote.slot)
            {
                vote.seal = seal(leaked.proof);
            }
        }
        let votes = items.iter().filter_map(|item| match item {
            Item::Vote(vote) => Some((vote.slot, vote.root)),
            Item::Certificate(_)
            | Item::Leaves(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => None,
        });
        let replayed: Vec<Item> = votes
            .filter_map(|(slot, root)| {
                let mut proofs = self.public.get(&(job, slot)).cloned().unwrap_or_default();
                proofs.retain(|shown| shown.voter != self.me);
                proofs.truncate(4);
                if self.leaked(job, &slot).is_none() {
                    proofs.extend(self.own_proof(job, &slot));
                }
                (!proofs.is_empty()).then_some(Item::Certificate(Certificate {
                    slot,
                    root,
                    proofs,
                }))
            })
            .collect();
        items.extend(replayed);
        items
    }
}
