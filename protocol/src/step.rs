//! A step: one entry of a participant's signed, hash-chained log of a job.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::{
    BATCH_UNITS_MAX, KEEPERS_MAX, MERKLE_PATH_MAX, PROOFS_MAX, REPORT_BYTES_MAX, SEALED_MAX,
    STEP_BYTES_MAX, STEP_ITEMS_MAX,
};
use crate::{
    BlobRef, Hash, JobId, Kind, NetworkId, PeerId, SignedBody, Stamp, StepId, encode, hash,
};

/// One log entry. A log's steps are numbered from 0, each naming its predecessor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Step {
    pub job: JobId,
    /// Always 0 in this version.
    pub shard: u16,
    pub seq: u64,
    /// The id of step `seq − 1`, or zeros.
    pub prev: StepId,
    /// The eligibility level that the author claims.
    pub level: u8,
    /// The author's identity stamp: in a log's first step, if the job asks for one.
    pub stamp: Option<Stamp>,
    /// What executed, for diagnosis only; stated in a log's first step.
    pub report: Option<Report>,
    pub items: Vec<Item>,
}

impl SignedBody for Step {
    const KIND: Kind = Kind::Step;
    const BYTES_MAX: usize = STEP_BYTES_MAX;
}

/// Engine and processor of an author: if sides of a dispute split along them, something is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Report {
    pub engine: String,
    pub cpu: String,
}

/// What a step says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    Vote(Vote),
    Certificate(Certificate),
    Leaves(Leaves),
    Abstention(Abstention),
    /// An anchor latches what stands.
    Seal(Seal),
    /// The submitter names the peers that hold the job's inputs for it.
    Keepers(Vec<PeerId>),
    /// The submitter does not want the job any more.
    Cancel,
}

/// What a vote is about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple,
)]
pub struct Slot {
    pub stage: u16,
    pub about: About,
    /// The Merkle root of the units' identities, or the one unit's: a vote on stale inputs is in
    /// another slot.
    pub units: Hash,
}

/// The range of a slot: a batch, or one unit, whose votes are called ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum About {
    Batch(u32),
    Unit(u64),
}

/// "I executed this and it gave `root`."
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Vote {
    pub slot: Slot,
    /// The Merkle root of the outcomes' digests; for a ballot the digest itself.
    pub root: Hash,
    /// [`seal`] of the author's proof.
    pub seal: Hash,
    /// Where the outcomes are: the same bytes for every honest voter of this root.
    pub pack: Option<BlobRef>,
    /// A ballot that agrees with a batch's root shows its digest's path to that root.
    pub path: Vec<Hash>,
}

/// Proofs of *other* peers' votes for `root`: only who executed can make them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Certificate {
    pub slot: Slot,
    pub root: Hash,
    pub proofs: Vec<Shown>,
}

/// The proof of one voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Shown {
    pub voter: PeerId,
    pub proof: Hash,
}

/// The digests under a batch's root, posted when roots or ballots conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Leaves {
    pub slot: Slot,
    pub root: Hash,
    pub digests: Vec<Hash>,
}

/// "I tried, and this unit gave me no outcome": neither claim nor loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Abstention {
    pub slot: Slot,
    pub unit: u64,
    pub reason: Reason,
}

/// Why a peer abstains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    Timeout,
    HostMemory,
    StackOverflow,
    MissingBlob,
    WorkerCrash,
    Refused,
}

/// An anchor's last word on consecutive batches of a stage, given after its own audits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Seal {
    pub stage: u16,
    /// The first of the batches.
    pub first: u32,
    /// For each batch the root of its units' identities, as in a [`Slot`], and the root of its outcomes.
    pub batches: Vec<(Hash, Hash)>,
}

/// One log as somebody knows it: its first `next` steps, the last of which is `last`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple,
)]
pub struct Head {
    pub author: PeerId,
    pub next: u64,
    pub last: StepId,
}

/// What binds a vote to having executed: only who knows the trace root can make it.
///
/// `trace` is the Merkle root of the units' trace digests; for a ballot the unit's digest itself.
pub fn proof(network: NetworkId, job: JobId, slot: &Slot, author: PeerId, trace: Hash) -> Hash {
    let (job, slot) = (job.blob(), encode(slot));
    hash("proof", &[network.as_bytes(), job.as_bytes(), &slot, author.as_bytes(), trace.as_bytes()])
}

/// The seal of a proof, published with the vote; the proof itself is published by co-voters.
pub fn seal(proof: Hash) -> Hash {
    hash("seal", &[proof.as_bytes()])
}

/// Which rule of form a step breaks; its author or sender is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a step breaks the form: {0}")]
pub struct StepError(pub(crate) &'static str);

impl Step {
    /// Checks everything about a step's form that needs no manifest.
    ///
    /// # Errors
    /// [`StepError`] names the rule.
    pub fn check(&self) -> Result<(), StepError> {
        let bad = |rule| Err(StepError(rule));
        let long = |report: &Report| REPORT_BYTES_MAX < report.engine.len() + report.cpu.len();
        if self.shard != 0 {
            return bad("only shard 0 exists");
        }
        if self.items.is_empty() || STEP_ITEMS_MAX < self.items.len() {
            return bad("too few or too many items");
        }
        if (self.seq == 0) != (self.prev == StepId::new([0; 32])) {
            return bad("the first step, and only it, has no predecessor");
        }
        if self.stamp.is_some() && self.seq != 0 {
            return bad("only the first step has a stamp");
        }
        if self.report.as_ref().is_some_and(long) {
            return bad("the report is too long");
        }
        self.items.iter().try_for_each(Item::check)
    }
}

impl Item {
    fn check(&self) -> Result<(), StepError> {
        let fits = match self {
            Self::Vote(vote) => match vote.slot.about {
                About::Batch(_) => vote.path.is_empty(),
                About::Unit(_) => vote.path.len() <= MERKLE_PATH_MAX,
            },
            Self::Certificate(certificate) => (1..=PROOFS_MAX).contains(&certificate.proofs.len()),
            Self::Leaves(leaves) => {
                matches!(leaves.slot.about, About::Batch(_))
                    && (1..=BATCH_UNITS_MAX as usize).contains(&leaves.digests.len())
            }
            Self::Abstention(_) | Self::Cancel => true,
            Self::Seal(seal) => {
                (1..=SEALED_MAX).contains(&seal.batches.len())
                    && seal.first.checked_add(seal.batches.len() as u32).is_some()
            }
            Self::Keepers(peers) => peers.len() <= KEEPERS_MAX,
        };
        if fits { Ok(()) } else { Err(StepError("an item has too few or too many entries")) }
    }
}
