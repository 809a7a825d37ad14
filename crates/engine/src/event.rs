//! What can happen to an engine.

use protocol::{
    BlobId, BlobRef, Execution, Hash, JobId, Loss, Manifest, Message, PeerId, Stamp, Tree,
};

/// Two clocks: `mono_ms` never goes back and drives every timer; `unix_ms` is read for expiry only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    pub mono_ms: u64,
    pub unix_ms: u64,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);)*
    };
}

ids!(
    /// Names a record until it is on disk.
    RecordId,
    /// Names a fetch until it has succeeded or failed.
    FetchId,
    /// Names a run of some units of one batch.
    RunId,
    /// Names the making of a pack.
    PackId,
    /// Names a challenge to a keeper.
    ProbeId,
    /// Names a look into the memory of earlier jobs.
    RecallId,
    /// Names a gossip message that waits for its judgement.
    Receipt,
);

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// First event of an engine with a past: every record of the journal, and every execution whose
    /// batch was not packed yet.
    Resumed { records: Vec<(Vec<u8>, Vec<u8>)>, executions: Vec<(JobId, u16, u64, Execution)> },
    /// The owner submits a job whose manifest and blobs are all in the store, with the job's stamp if the
    /// network asks strangers for one. With `recalls`, what earlier jobs have verified is not executed again.
    Submit { manifest: Manifest, stamp: Option<Stamp>, recalls: bool },
    /// Our identity stamp is made.
    Stamped { stamp: Stamp },
    /// The owner asks for a job by id, wherever it is.
    Open { job: JobId },
    /// The owner, who submitted it, does not want the job any more.
    Cancel { job: JobId },
    /// The owner pauses or resumes working.
    Work { on: bool },
    /// A link to a peer of this network is up.
    PeerUp { peer: PeerId },
    /// No link to the peer is left.
    PeerDown { peer: PeerId },
    /// A peer said something; the message was opened, its signatures checked. Gossip has a receipt.
    Heard { from: PeerId, message: Message, receipt: Option<Receipt> },
    /// The record is on disk.
    Recorded { record: RecordId },
    /// A fetch has ended.
    Fetched { fetch: FetchId, got: Result<Got, FetchLoss> },
    /// Some units of a run have ended; a run ends with the last of its units.
    Ran { run: RunId, units: Vec<(u64, Result<Execution, Loss>)> },
    /// The pack is in the store.
    Packed { pack: PackId, blob: BlobRef },
    /// A keeper has answered a challenge with the right bytes, or not.
    Probed { probe: ProbeId, held: bool },
    /// What earlier jobs of ours have verified: the outcomes of all units of a batch, or none.
    Recalled { recall: RecallId, units: Vec<(u64, Execution)> },
    /// Time has passed.
    Tick,
}

/// What a fetch brought into the store.
#[derive(Clone, Debug)]
pub enum Got {
    /// The manifest, decoded and checked.
    Manifest(Box<Manifest>),
    /// All inputs; the trees that `parts` stages are derived from are handed over.
    Inputs { parts: Vec<(BlobId, Tree)> },
    /// For each want the pack that matches its root, and how many outcomes are not successes.
    Packs { packs: Vec<BlobRef>, failed: u64 },
    /// The digests of a batch's outcomes, in order.
    Leaves(Vec<Hash>),
}

/// Why a fetch has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchLoss {
    /// Nobody who was asked could deliver this blob.
    Missing(BlobId),
    /// The bytes have the right hash and are not what they should be: the job is broken for everybody.
    Malformed(BlobId),
    /// This node has no room for them.
    NoRoom,
}
