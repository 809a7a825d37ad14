//! What the node's HTTP API says, as JSON: every request and answer of `/api/v1`.

mod feed;

use protocol::{BlobId, BlobRef, Hash, JobId, NetworkId, Outcome, PeerId, Trap};
use serde::{Deserialize, Serialize};

pub use feed::{AddedWindow, FeedFork, FeedStatus, NewWindow, OpenFeed, OpenedFeed, WindowStatus};

/// A blob's name and size: `{"id": "bafkr4i…", "size": 5}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    pub id: BlobId,
    /// Bytes.
    pub size: u64,
}

impl From<BlobRef> for Blob {
    fn from(BlobRef { id, size }: BlobRef) -> Self {
        Self { id, size }
    }
}

impl From<Blob> for BlobRef {
    fn from(Blob { id, size }: Blob) -> Self {
        Self { id, size }
    }
}

/// Every answer that is not a success: what is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub error: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One element of `GET /api/v1`: all routes there are, parameters in braces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub method: String,
    pub path: String,
}

/// `GET /api/v1/node`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    pub peer: PeerId,
    pub network: NetworkId,
    /// Of the program.
    pub version: String,
    /// Multiaddresses that other nodes can dial.
    pub addresses: Vec<String>,
    /// Peers that are connected now.
    pub peers: u64,
    /// Jobs that this node knows.
    pub jobs: u64,
    /// Other peers that the network has, as far as the node can tell.
    pub network_size: u64,
    /// Bits of the stamp that identities need in this network; 0 for none.
    pub stamp_bits: u8,
    /// Whether this node has its own.
    pub is_stamped: bool,
    /// Bits of a job's stamp beyond what its work costs; absent where no stamps are asked for.
    pub job_stamp: Option<u8>,
    /// Units that it runs at the same time.
    pub cores: u64,
}

/// `POST /api/v1/jobs` answers with the new job's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    pub job: JobId,
}

/// A job as the asked node sees it: `GET /api/v1/jobs/{id}`, and every event of `…/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    pub job: JobId,
    pub name: String,
    pub submitter: PeerId,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    pub expires_ms: u64,
    pub state: JobState,
    /// How sure the least sure outcome is.
    pub assurance: Assurance,
    /// Once everything has an outcome: whose audits are still missing before it is final.
    pub unaudited: Vec<Unaudited>,
    /// Peers whose seal makes it sure.
    pub anchors: Vec<PeerId>,
    pub stages: Vec<StageStatus>,
    /// Executions of units that the job's logs know of.
    pub executions: u64,
    /// How many of them were audits.
    pub audits: u64,
    /// Units that are or were contested.
    pub disputed: u64,
    /// Units whose outcomes are those that an earlier job of the same submitter has verified.
    #[serde(default)]
    pub recalled: u64,
    pub convicted: Vec<Convicted>,
    /// Peers whose votes stand alone against an accepted outcome.
    pub outvoted: Vec<PeerUnits>,
    /// Peers that have voted, and the units they executed.
    pub workers: Vec<PeerUnits>,
    /// Peers that hold everything the job needs.
    pub keepers: Vec<PeerId>,
    /// Keepers that make it safe to leave; absent where the node is not the submitter.
    pub keepers_wanted: Option<u64>,
    pub safe_to_leave: bool,
    /// Why the asked node does not work on it, if it does not.
    pub idle_reason: Option<String>,
}

/// How much stands behind an outcome, beside its quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// Nothing: colluders who hold a whole quorum could have made it up.
    Provisional,
    /// Its voters have passed their hidden audits.
    Final,
    /// An anchor has audited and latched it.
    Sealed,
}

/// A voter that has not passed its audits yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unaudited {
    pub peer: PeerId,
    pub audits: u64,
    pub wanted: u64,
    /// Different peers that have audited it.
    pub auditors: u64,
    pub auditors_wanted: u64,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobState {
    /// Known by id only.
    Seeking,
    /// Manifest or inputs are on their way.
    Fetching,
    Running,
    /// Every outcome has its quorum.
    Verified,
    /// Every unit has an outcome, some by one peer alone: not verified.
    SelfExecuted,
    /// Outcomes of this stage are failures of the guest, so what reads them was not run.
    Failed {
        stage: String,
        failed: u64,
    },
    /// Units that no peer could finish; everything else is done.
    Stuck {
        units: Vec<StuckUnit>,
    },
    /// The manifest or an input is malformed.
    Broken {
        why: String,
    },
    Cancelled,
    Expired,
}

impl JobState {
    /// Whether nothing more will happen by itself.
    ///
    /// A stuck or self-executed job may still go on when peers come.
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Seeking | Self::Fetching | Self::Running => false,
            Self::Verified
            | Self::SelfExecuted
            | Self::Failed { .. }
            | Self::Stuck { .. }
            | Self::Broken { .. }
            | Self::Cancelled
            | Self::Expired => true,
        }
    }
}

/// A unit without an outcome, and why peers gave it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StuckUnit {
    pub stage: String,
    pub unit: u64,
    pub reasons: Vec<PeerReason>,
}

/// What one peer says about a unit that it could not finish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReason {
    pub peer: PeerId,
    pub reason: String,
}

/// A peer that provably did wrong in this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Convicted {
    pub peer: PeerId,
    pub why: String,
}

/// A peer and a number of units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerUnits {
    pub peer: PeerId,
    pub units: u64,
}

/// Units of one stage by state; they add up to `units`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageStatus {
    pub name: String,
    pub units: u64,
    pub open: u64,
    pub running: u64,
    pub self_executed: u64,
    pub accepted: u64,
    pub contested: u64,
    /// Of the accepted: final, and not sealed.
    pub finals: u64,
    /// Of the accepted: sealed.
    pub sealed: u64,
}

impl StageStatus {
    /// Units that have an outcome.
    pub const fn done(&self) -> u64 {
        self.self_executed.saturating_add(self.accepted)
    }
}

/// One page of `GET /api/v1/jobs/{id}/results?offset=…&limit=…`: outcomes of final stages in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsPage {
    /// Results of the job, on all pages.
    pub total: u64,
    pub units: Vec<UnitResult>,
}

/// The outcome of one unit of a final stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitResult {
    pub stage: String,
    /// The unit's place among the stage's `count` units.
    pub index: u64,
    pub count: u64,
    pub ending: Ending,
    /// What votes compare.
    pub digest: Hash,
    /// Only after an exit.
    pub stdout: Option<Blob>,
    /// Of `/out`; paths are relative and clean.
    pub files: Vec<FileResult>,
    pub verified: bool,
}

/// A file that a unit left in `/out`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileResult {
    pub path: String,
    pub blob: Blob,
}

/// How a unit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ending {
    Exit { code: u32 },
    Trap { trap: Trap },
    OutOfFuel,
    OutputTooLarge,
}

impl Ending {
    /// Whether the unit did what its author wanted.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Exit { code: 0 })
    }
}

impl From<&Outcome> for Ending {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Exit(exit) => Self::Exit { code: exit.code },
            Outcome::Trap(trap) => Self::Trap { trap: *trap },
            Outcome::OutOfFuel => Self::OutOfFuel,
            Outcome::OutputTooLarge => Self::OutputTooLarge,
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit { code } => write!(f, "exit {code}"),
            Self::Trap { trap } => write!(f, "trap {trap:?}"),
            Self::OutOfFuel => f.write_str("out of fuel"),
            Self::OutputTooLarge => f.write_str("output too large"),
        }
    }
}

/// One element of `GET /api/v1/blobs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBlob {
    pub id: BlobId,
    pub size: u64,
    /// Whether somebody, the owner or a job, keeps it from being evicted.
    pub pinned: bool,
}

/// One element of `GET /api/v1/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    pub peer: PeerId,
    /// Multiaddresses at which it says it can be reached.
    pub addresses: Vec<String>,
    /// What it calls its program.
    pub agent: String,
    pub connected_ms: u64,
    /// Last measured round trip.
    pub round_trip_us: Option<u64>,
    /// Jobs that it takes part in.
    pub jobs: Vec<JobId>,
    /// Units that it and the asked node have both executed, with proofs of each other.
    pub shared_units: u64,
    /// Its claims on work that came to nothing before the asked node's eyes.
    pub lapsed_claims: u64,
}

/// `POST /api/v1/peers/{id}/ping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    pub round_trip_us: u64,
}

/// What a request that only changes something answers: `{"done": true}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub done: bool,
}
