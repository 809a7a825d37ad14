//! What an engine asks of its shell.

use std::sync::Arc;

use protocol::{BlobRef, Hash, JobId, Message, Outcome, PeerId, Plan};

use crate::{FetchId, PackId, ProbeId, Reads, RecallId, Receipt, RecordId, RunId};

/// One thing to do, in the order in which it was polled.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Put this into the journal. With an id it must be on disk before [`crate::Event::Recorded`]
    /// answers; without one it may wait for the next group commit, at most a second.
    Record {
        id: Option<RecordId>,
        record: Record,
    },
    /// Tell one peer; lost if it is not connected.
    Send {
        to: PeerId,
        message: Message,
    },
    /// Tell every participant of a job.
    Broadcast {
        job: JobId,
        message: Message,
    },
    /// Tell everybody by gossip.
    Announce {
        message: Message,
    },
    /// Say whether a gossip message may be forwarded.
    Judge {
        receipt: Receipt,
        judgement: Judgement,
    },
    /// Listen to a job's topic, or stop.
    Join {
        job: JobId,
    },
    Leave {
        job: JobId,
    },
    /// Tell the DHT that the job's manifest, modules and datasets are here.
    Provide {
        job: JobId,
        blobs: Vec<BlobRef>,
    },
    /// Look for peers that have the job, and connect to them.
    Seek {
        job: JobId,
    },
    /// Bring something into the store, pinned for the job. `from` are likely providers, best first.
    Fetch {
        fetch: FetchId,
        job: JobId,
        want: Want,
        from: Vec<PeerId>,
    },
    /// Execute units of one stage, which find there what they read of others.
    Run {
        run: RunId,
        job: JobId,
        plan: Arc<Plan>,
        stage: u16,
        units: Vec<u64>,
        reads: Arc<Reads>,
    },
    /// Look up units in the memory of our earlier jobs; what is found is kept as if it had been executed.
    Recall {
        recall: RecallId,
        job: JobId,
        plan: Arc<Plan>,
        stage: u16,
        units: Vec<u64>,
        reads: Arc<Reads>,
    },
    /// Put the outcomes of a sealed job of ours into that memory; these are all of them.
    Remember {
        job: JobId,
        plan: Arc<Plan>,
        packs: Vec<PackWant>,
        from: Vec<PeerId>,
    },
    /// Stop a run within a second; units already reported stand.
    Stop {
        run: RunId,
    },
    /// Make the pack of executed units, in this order, and pin it for the job. Their executions need
    /// not be kept on their own any longer.
    Pack {
        pack: PackId,
        job: JobId,
        stage: u16,
        units: Vec<u64>,
        outcomes: Vec<Outcome>,
    },
    /// Executions of these units need not be kept any longer: their outcomes are in others' packs.
    Release {
        job: JobId,
        stage: u16,
        units: Vec<u64>,
    },
    /// Ask a peer for a random mebibyte of one of these blobs, and check it.
    Probe {
        probe: ProbeId,
        peer: PeerId,
        blobs: Vec<BlobRef>,
    },
    /// The job has changed; who watches it may look again.
    Changed {
        job: JobId,
    },
    /// The job is over and may leave the journal and the store.
    Forget {
        job: JobId,
    },
}

/// A journal entry: the engine's own bytes under the engine's own key. `None` removes the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// What to do with a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Forward it.
    Accept,
    /// Neither forward it nor blame anybody.
    Ignore,
    /// Do not forward it, and hold it against whoever sent it.
    Reject,
}

/// What a fetch is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Decode and check it as the job's manifest.
    Manifest(BlobRef),
    /// Blobs, and trees with all their entries; `parts` among the trees are handed back.
    Inputs { blobs: Vec<BlobRef>, trees: Vec<BlobRef>, parts: Vec<BlobRef> },
    /// The outcomes' digests from a batch's pack, checked against its root, and nothing else of it.
    Leaves(PackWant),
    /// Packs, each checked against its root, with the outputs that are not inside them or without.
    Packs { wants: Vec<PackWant>, outputs: bool },
    /// What these units of a stage need: their parts, and of each pack, checked against its root, the outputs
    /// that they read.
    Reads { plan: Arc<Plan>, stage: u16, units: std::ops::Range<u64>, packs: Vec<PackWant> },
}

/// A batch's outcomes: any of `packs` will do that has `units` outcomes under `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackWant {
    pub stage: u16,
    pub batch: u32,
    pub first_unit: u64,
    pub units: u64,
    pub root: Hash,
    pub packs: Vec<BlobRef>,
    /// Peers that say they have one of them.
    pub holders: Vec<PeerId>,
    /// Whether units that ask to be continued are no failures.
    pub goes_on: bool,
}
