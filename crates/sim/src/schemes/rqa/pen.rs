//! A worker's pen: its key, its log, and what it has not said yet.

use protocol::{
    Certificate, Hash, Item, JobId, Keypair, Ledger, NetworkId, PeerId, Shown, Slot, Step, StepId,
    Vote, hash, proof, seal,
};

/// Items of one step: few enough for a step's bytes.
const ITEMS: usize = 40;

/// Whoever writes a log.
#[derive(Debug)]
pub(super) struct Pen {
    key: Keypair,
    pub(super) peer: PeerId,
    seq: u64,
    prev: StepId,
    unsaid: Vec<Item>,
}

impl Pen {
    pub(super) fn new(seed: u64, number: usize) -> Self {
        let secret =
            hash("key of a worker", &[&seed.to_le_bytes(), &(number as u64).to_le_bytes()]);
        Self::of(Keypair::from_secret(secret.as_bytes()))
    }

    pub(super) fn of(key: Keypair) -> Self {
        Self { peer: key.peer(), key, seq: 0, prev: StepId::new([0; 32]), unsaid: Vec::new() }
    }

    pub(super) fn say(&mut self, item: Item) {
        self.unsaid.push(item);
    }

    pub(super) fn has_unsaid(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// Signs what is unsaid into the ledger. Returns whether there was anything.
    pub(super) fn publish(&mut self, network: NetworkId, job: JobId, ledger: &mut Ledger) -> bool {
        let unsaid = std::mem::take(&mut self.unsaid);
        for items in unsaid.chunks(ITEMS) {
            let step = Step {
                job,
                shard: 0,
                seq: self.seq,
                prev: self.prev,
                level: 0,
                stamp: None,
                report: None,
                items: items.to_vec(),
            };
            let step = self.key.sign(network, step);
            (self.seq, self.prev) = (self.seq + 1, step.id());
            ledger.insert(step).expect("a step of this job");
        }
        !unsaid.is_empty()
    }
}

/// What everybody who executed knows and nobody else: the trace behind an outcome.
fn trace(root: Hash) -> Hash {
    hash("trace", &[root.as_bytes()])
}

/// A vote for `root`; its seal is worth something only if its author executed.
pub(super) fn vote(
    (network, job): (NetworkId, JobId),
    slot: Slot,
    author: PeerId,
    root: Hash,
    path: Vec<Hash>,
    has_executed: bool,
) -> Item {
    let trace = if has_executed { trace(root) } else { hash("made up", &[author.as_bytes()]) };
    let seal = seal(proof(network, job, &slot, author, trace));
    Item::Vote(Vote { slot, root, seal, pack: None, path })
}

/// The proofs of others' votes for `root`, by somebody who executed.
pub(super) fn certificate(
    (network, job): (NetworkId, JobId),
    slot: Slot,
    root: Hash,
    voters: &[PeerId],
) -> Item {
    let proofs = voters.iter().map(|voter| {
        let voter = *voter;
        Shown { voter, proof: proof(network, job, &slot, voter, trace(root)) }
    });
    Item::Certificate(Certificate { slot, root, proofs: proofs.collect() })
}
