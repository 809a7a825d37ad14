//! What people may know of a job at one moment.

use protocol::{Assurance, BlobRef, Hash, JobId, PeerId, Reason};

/// A job as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    pub job: JobId,
    pub name: String,
    pub submitter: PeerId,
    pub created_ms: u64,
    pub expires_ms: u64,
    pub state: JobState,
    /// How sure the least sure of all outcomes is.
    pub assurance: Assurance,
    /// What it would take to be surer, once everything has an outcome: peers and their audits so far.
    pub unaudited: Vec<Unaudited>,
    /// Peers whose seals make everything sure.
    pub anchors: Vec<PeerId>,
    pub stages: Vec<StageView>,
    /// Executions of units that the job's logs know of, in all stages together.
    pub executions: u64,
    /// How many of those were audits: single units, executed by peers that did not vote on their batch.
    pub audits: u64,
    /// Units that are or were contested.
    pub disputed: u64,
    /// Peers convicted of a wrong outcome or of equivocation, and what they did, in words.
    pub convicted: Vec<(PeerId, String)>,
    /// Peers whose votes stand alone against an accepted root, and on how many units.
    pub outvoted: Vec<(PeerId, u64)>,
    /// Peers that have voted, and the units they executed.
    pub workers: Vec<(PeerId, u64)>,
    /// Units whose outcomes earlier jobs have verified, as far as this node is the submitter.
    pub recalled: u64,
    /// Keepers that have answered a challenge.
    pub keepers: Vec<PeerId>,
    /// How many keepers make it safe to leave; `None` if this node is not the submitter.
    pub keepers_wanted: Option<usize>,
    /// How many of them have shown that they hold the results, too; `None` before there are any, or if this
    /// node is not the submitter.
    pub results_kept: Option<usize>,
    /// Whether the submitter may go away.
    pub safe_to_leave: bool,
    /// For whom this node holds it, if neither it nor its owner has asked for it: the submitter, or a keeper
    /// that the submitter has named.
    pub kept_for: Option<PeerId>,
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
    /// What its results are called: rounds of a loop have one name.
    pub mount: String,
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
    /// Of the accepted: whose voters have passed their audits, but no anchor has sealed it.
    pub finals: u64,
    /// Of the accepted: sealed by an anchor.
    pub sealed: u64,
}

/// A voter that has not passed its audits yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unaudited {
    pub peer: PeerId,
    /// Audits that count, how many are wanted, and of how many different auditors.
    pub audits: u64,
    pub wanted: u64,
    pub auditors: u64,
    pub auditors_wanted: u64,
}

/// Some of a job's results: the batches that hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsPart {
    /// Name and number of units of every stage.
    pub stages: Vec<(String, u64)>,
    /// All results of the job.
    pub total: u64,
    /// The number of the first result in `batches`.
    pub first: u64,
    pub batches: Vec<BatchResult>,
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
    /// How sure it is, together with everything that it was made from.
    pub assurance: Assurance,
}
