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
}

/// How the units of a stage arise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    Range { from: u64, to: u64, block: u64 },
    Grid { axes: Vec<DraftAxis> },
    Parts(PartsSpec),
    Gather { stage: String },
}

/// What every unit reads on standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StdinSpec {
    Nothing,
    File(PathBuf),
    /// The unit's part.
    Part,
}
