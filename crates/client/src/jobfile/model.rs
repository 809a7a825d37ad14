//! A job file's content, before any of the files that it names was looked at.

use std::path::PathBuf;

use super::PartsSpec;
use crate::{DraftAxis, DraftLimits, DraftPolicy, Goal};

/// A job as its author wrote it; paths are relative to `folder`.
#[derive(Clone, Debug, PartialEq)]
pub struct JobFile {
    pub path: PathBuf,
    /// Where the job file lies.
    pub folder: PathBuf,
    pub name: String,
    pub description: String,
    pub priority: u8,
    pub expires_after_ms: u64,
    pub policy: DraftPolicy,
    /// What the policy is to reach; it is derived once the units are counted.
    pub goal: Goal,
    pub stages: Vec<StageSpec>,
    pub repeats: Vec<RepeatSpec>,
}

/// One `[[repeat]]`: stages that are run several times, each round reading the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatSpec {
    /// Neighbours in the job file, in its order.
    pub stages: Vec<String>,
    pub times: u32,
}

/// One `[[stage]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSpec {
    pub name: String,
    pub module: PathBuf,
    pub source: SourceSpec,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub stdin: StdinSpec,
    /// Place below `/in`, and the file or folder that goes there.
    pub files: Vec<(String, PathBuf)>,
    pub limits: DraftLimits,
    /// Units per batch; the client chooses where it is absent.
    pub batch: Option<u32>,
    /// Stages all of whose outcomes are mounted, too.
    pub reads: Vec<String>,
    /// Place below `/in`, and the file or folder that goes there in the first round of a loop.
    pub first_files: Vec<(String, PathBuf)>,
    /// How many times a unit may run that goes on from its checkpoints; 1 means that it leaves none.
    pub segments: u32,
}

/// How the units of a stage arise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    Range {
        from: u64,
        to: u64,
        block: u64,
    },
    Grid {
        axes: Vec<DraftAxis>,
    },
    Parts(PartsSpec),
    /// One unit for each outcome of a stage.
    Each {
        stage: String,
    },
    /// Everything in one unit; with a fan-in, in as many levels of units as it takes.
    Gather {
        stage: String,
        fan_in: Option<u32>,
    },
    /// Files of a stage by their names, in so many buckets.
    ByName {
        stage: String,
        buckets: u32,
    },
}

/// What every unit reads on standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StdinSpec {
    Nothing,
    File(PathBuf),
    /// The unit's part.
    Part,
}
