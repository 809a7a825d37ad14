//! Floods a job with what is well-formed, true to the manifest, and of no use to anybody.

use std::sync::Arc;

use engine::Effect;
use protocol::limits::{CLAIM_BATCHES_MAX, CLAIM_MS_MAX, LOG_GAP_MAX};
use protocol::{
    About, Abstention, Certificate, Claim, Hash, Item, JobId, Keypair, Leaves, Message, NetworkId,
    PeerId, Plan, Reason, Shown, Slot, Step, StepId, hash,
};

use super::junk_voter::ballot;
use super::part::{Part, Ran, Task};
use crate::chance::Chance;

/// Items that are added to one step, and floods in all.
const ADDED: u64 = 30;
const FLOODS: u64 = 60;

#[derive(Debug)]
pub(super) struct Spammer {
    chance: Chance,
    keypair: Keypair,
    network: NetworkId,
    plan: Option<(JobId, Arc<Plan>)>,
    floods: u64,
}

impl Spammer {
    pub(super) fn new(chance: Chance, keypair: Keypair, network: NetworkId) -> Self {
        Self { chance, keypair, network, plan: None, floods: 0 }
    }

    fn hash(&mut self) -> Hash {
        hash("spam", &[&self.chance.next().to_le_bytes()])
    }

    fn item(&mut self, plan: &Plan) -> Option<Item> {
        let partition = plan.partition(0);
        let batch = self.chance.below(u64::from(partition.batches())) as u32;
        let units = partition.units_of(batch);
        let of_batch =
            Slot { stage: 0, about: About::Batch(batch), units: plan.units_root(0, batch, None)? };
        let unit = self.chance.within(units.start..=units.end - 1);
        let of_unit =
            Slot { stage: 0, about: About::Unit(unit), units: plan.unit_root(0, unit, None)? };
        let root = self.hash();
        Some(match self.chance.below(4) {
            0 => {
                let shown = |n: u64| {
                    let voter = PeerId::new(*hash("voter", &[&n.to_le_bytes()]).as_bytes());
                    Shown { voter, proof: root }
                };
                let proofs = (0..4).map(shown).collect();
                Item::Certificate(Certificate { slot: of_batch, root, proofs })
            }
            1 => {
                let digests = units.map(|_| self.hash()).collect();
                Item::Leaves(Leaves { slot: of_batch, root, digests })
            }
            2 => Item::Abstention(Abstention { slot: of_unit, unit, reason: Reason::Refused }),
            _ => ballot(of_unit, hash("spam", &[of_unit.units.as_bytes()])),
        })
    }

    fn flood(&mut self, job: JobId, plan: &Plan) -> Vec<Message> {
        let batches = u64::from(plan.partition(0).batches());
        let claim = |chance: &mut Chance| Claim {
            job,
            shard: 0,
            stage: 0,
            batches: (0..CLAIM_BATCHES_MAX).map(|_| chance.below(batches) as u32).collect(),
            span_ms: CLAIM_MS_MAX,
        };
        let claims: Vec<Claim> = (0..4).map(|_| claim(&mut self.chance)).collect();
        let sign = |claim| Message::Claim(self.keypair.sign(self.network, claim));
        let mut messages: Vec<Message> = claims.into_iter().map(sign).collect();
        // A step whose predecessors nobody will ever see.
        let far = Step {
            job,
            shard: 0,
            seq: LOG_GAP_MAX * 5 + self.floods,
            prev: StepId::new(*self.hash().as_bytes()),
            level: 0,
            stamp: None,
            report: None,
            items: self.item(plan).into_iter().collect(),
        };
        messages.push(Message::Steps(vec![self.keypair.sign(self.network, far)]));
        messages
    }
}

impl Part for Spammer {
    fn writes(&self) -> bool {
        true
    }

    fn ran(&mut self, task: &Task, ran: Ran, _forged: &mut Vec<Vec<u8>>) -> Ran {
        self.plan = Some((task.job, task.plan.clone()));
        ran
    }

    fn write(&mut self, job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        if let Some((_, plan)) = self.plan.clone().filter(|(of, _)| *of == job) {
            items.extend((0..ADDED).filter_map(|_| self.item(&plan)));
        }
        items
    }

    fn adds(&mut self, effect: &Effect) -> Vec<Effect> {
        let Effect::Broadcast { job, .. } = *effect else { return Vec::new() };
        let known = self.plan.clone().filter(|(of, _)| *of == job && self.floods < FLOODS);
        let Some((_, plan)) = known else { return Vec::new() };
        self.floods += 1;
        let flood = self.flood(job, &plan);
        flood.into_iter().map(|message| Effect::Broadcast { job, message }).collect()
    }
}
