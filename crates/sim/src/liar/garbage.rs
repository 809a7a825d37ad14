//! Says what no honest peer says: well-formed and signed, and absurd.

use engine::Effect;
use protocol::{
    About, Abstention, Certificate, Claim, Fork, Hash, Head, Heads, Item, JobId, Keypair, Leaves,
    Message, NetworkId, PeerId, Reason, Seal, Shown, Slot, StepId, Vote, hash,
};

use super::part::Part;
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct Garbage {
    chance: Chance,
    keypair: Keypair,
    network: NetworkId,
}

impl Garbage {
    pub(super) fn new(chance: Chance, keypair: Keypair, network: NetworkId) -> Self {
        Self { chance, keypair, network }
    }

    fn hash(&mut self) -> Hash {
        hash("garbage", &[&self.chance.next().to_le_bytes()])
    }

    fn peer(&mut self) -> PeerId {
        PeerId::new(*self.hash().as_bytes())
    }

    fn number(&mut self) -> u64 {
        let some = [0, 1, 2, 7, 1 << 16, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
        *self.chance.pick(&some)
    }

    fn slot(&mut self) -> Slot {
        let stage = *self.chance.pick(&[0, 1, 63, u16::MAX]);
        let number = self.number();
        let about =
            if self.chance.percent(50) { About::Batch(number as u32) } else { About::Unit(number) };
        Slot { stage, about, units: self.hash() }
    }

    fn batch_slot(&mut self) -> Slot {
        Slot { about: About::Batch(self.number() as u32), ..self.slot() }
    }

    fn head(&mut self) -> Head {
        let last = StepId::new(*self.hash().as_bytes());
        Head { author: self.peer(), next: self.number(), last }
    }

    fn item(&mut self) -> Item {
        let (slot, root) = (self.slot(), self.hash());
        match self.chance.below(7) {
            0 => {
                let path = match slot.about {
                    About::Batch(_) => Vec::new(),
                    About::Unit(_) => (0..10).map(|_| self.hash()).collect(),
                };
                Item::Vote(Vote { slot, root, seal: self.hash(), pack: None, path })
            }
            1 => {
                let proofs = vec![Shown { voter: self.peer(), proof: self.hash() }; 3];
                Item::Certificate(Certificate { slot, root, proofs })
            }
            2 => {
                let digests = (0..self.chance.within(1..=40)).map(|_| self.hash()).collect();
                Item::Leaves(Leaves { slot: self.batch_slot(), root, digests })
            }
            3 => {
                Item::Abstention(Abstention { slot, unit: self.number(), reason: Reason::Timeout })
            }
            4 => {
                let batches = (0..5).map(|_| (self.hash(), self.hash())).collect();
                Item::Seal(Seal { stage: 0, first: self.chance.below(9) as u32, batches })
            }
            5 => Item::Keepers((0..5).map(|_| self.peer()).collect()),
            _ => Item::Cancel,
        }
    }

    fn message(&mut self, job: JobId) -> Message {
        let other = JobId::from(protocol::BlobId::new(*self.hash().as_bytes()));
        match self.chance.below(5) {
            0 => {
                let heads = (0..20).map(|_| self.head()).collect();
                let forked =
                    (0..5).map(|_| Fork { author: self.peer(), at: self.number() }).collect();
                Message::Heads(Heads { job, heads, forked, answer: true })
            }
            1 => Message::Jobs(vec![other, job]),
            2 => Message::WantJobs(vec![other, job, job]),
            3 => Message::Kept(if self.chance.percent(50) { job } else { other }),
            _ => {
                let batches = (0..16).map(|_| self.number() as u32).collect();
                let stage = *self.chance.pick(&[0, 1, u16::MAX]);
                let span_ms = protocol::limits::CLAIM_MS_MAX;
                let claim = Claim { job, shard: 0, stage, batches, span_ms };
                Message::Claim(self.keypair.sign(self.network, claim))
            }
        }
    }
}

impl Part for Garbage {
    fn writes(&self) -> bool {
        true
    }

    fn write(&mut self, _job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        for _ in 0..self.chance.below(4) {
            let item = self.item();
            items.push(item);
        }
        items
    }

    fn adds(&mut self, effect: &Effect) -> Vec<Effect> {
        if let Effect::Send { to, message: Message::Heads(Heads { job, .. }) } = effect {
            vec![Effect::Send { to: *to, message: self.message(*job) }]
        } else if let Effect::Broadcast { job, .. } = effect {
            vec![Effect::Broadcast { job: *job, message: self.message(*job) }]
        } else {
            Vec::new()
        }
    }
}
