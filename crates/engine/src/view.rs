//! What people may know of a job at one moment.

use protocol::{BlobRef, Hash, JobId, PeerId, Reason};

/// A job as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    pub job: JobId,
    pub name: String,
    pub submitter: PeerId,
    pub created_ms: u64,
    pub expires_ms: u64,
    pub state: JobState,
    pub stages: Vec<StageView>,
    /// Executions of units that the job's logs know of, in all stages together.
    pub executions: u64,
    /// Units that are or were contested.
    pub disputed: u64,
    /// Peers convicted of a wrong outcome or of equivocation, and what they did, in words.
    pub convicted: Vec<(PeerId, String)>,
    /// Peers whose votes stand alone against an accepted root, and on how many units.
    pub outvoted: Vec<(PeerId, u64)>,
    /// Peers that have voted, and the units they executed.
    pub workers: Vec<(PeerId, u64)>,
    /// Keepers that have answered a challenge.
    pub keepers: Vec<PeerId>,
    /// How many keepers make it safe to leave; `None` if this node is not the submitter.
    pub keepers_wanted: Option<usize>,
    /// Whether the submitter may go away.
    pub safe_to_leave: bool,
    /// Why this node does not work on it, if it does not.
    pub idle_reason: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Known by id only.
    Seeking,
    /// Manifest or inputs are on their way.
    Fetching,
    /// Units are open.
    Running,
    /// Every unit of every stage is accepted and none is contested.
    Verified,
    /// Every unit has an outcome, some of them by one peer alone: not verified.
    SelfExecuted,
    /// Verified, but outcomes of `stage` are not successes, so what reads them was not run.
    Failed {
        stage: u16,
        failed: u64,
    },
    /// Units that no peer could finish; everything else is done.
    Stuck(Vec<Stuck>),
    /// The manifest or an input is malformed.
    Broken {
        why: String,
    },
    Cancelled,
    Expired,
}

/// A unit without an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    pub stage: u16,
    pub unit: u64,
    pub reasons: Vec<(PeerId, Reason)>,
}

/// Units of one stage by state; they always add up to `units`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageView {
    pub name: String,
    pub units: u64,
    /// Without an accepted outcome, not claimed by anybody.
    pub open: u64,
    /// Without an accepted outcome, claimed or voted on.
    pub running: u64,
    /// With an outcome from the submitter alone.
    pub self_executed: u64,
    /// With an outcome that a quorum stands behind, uncontested.
    pub accepted: u64,
    /// Accepted or not, and contested.
    pub contested: u64,
}

/// The accepted outcomes of one batch of a final stage: what results are fetched by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResult {
    pub stage: u16,
    pub batch: u32,
    pub first_unit: u64,
    pub units: u64,
    pub root: Hash,
    pub packs: Vec<BlobRef>,
    pub holders: Vec<PeerId>,
    pub verified: bool,
}
