//! A puppet: an identity that exists only as a key in somebody's hand.

use protocol::{
    Hash, Item, JobId, Keypair, NetworkId, PeerId, Ranks, Signed, Slot, Step, StepId, hash, proof,
    seal,
};

/// One identity and the end of its log in one job.
#[derive(Debug)]
pub(super) struct Puppet {
    keypair: Keypair,
    network: NetworkId,
    job: JobId,
    seq: u64,
    prev: StepId,
}

/// Keys that are tried for a better rank.
const TRIES: u64 = 12;

impl Puppet {
    pub(super) fn new(network: NetworkId, job: JobId, owner: PeerId, number: u64) -> Self {
        let secret = hash("puppet", &[owner.as_bytes(), job.as_bytes(), &number.to_le_bytes()]);
        let keypair = Keypair::from_secret(secret.as_bytes());
        Self { keypair, network, job, seq: 0, prev: StepId::new([0; 32]) }
    }

    /// One with a low rank for a batch: bare keys are free to try.
    pub(super) fn ground(
        network: NetworkId,
        job: JobId,
        owner: PeerId,
        number: u64,
        batch: u32,
    ) -> Self {
        let stamps = std::collections::BTreeMap::new();
        let ranks = Ranks { job, level: 0, stamps: &stamps };
        let tries = (0..TRIES).map(|n| Self::new(network, job, owner, number * TRIES + n));
        let best = tries.min_by_key(|puppet| ranks.of(0, batch, puppet.peer()));
        best.expect("there are some tries")
    }

    pub(super) fn peer(&self) -> PeerId {
        self.keypair.peer()
    }

    /// The proof and the seal of its vote in a slot.
    pub(super) fn prove(&self, slot: &Slot, trace: Hash) -> (Hash, Hash) {
        let proof = proof(self.network, self.job, slot, self.peer(), trace);
        (proof, seal(proof))
    }

    /// Its next step.
    pub(super) fn say(&mut self, items: Vec<Item>) -> Signed<Step> {
        let (seq, prev) = (self.seq, self.prev);
        let step =
            Step { job: self.job, shard: 0, seq, prev, level: 0, stamp: None, report: None, items };
        let step = self.keypair.sign(self.network, step);
        (self.seq, self.prev) = (seq + 1, step.id());
        step
    }
}
