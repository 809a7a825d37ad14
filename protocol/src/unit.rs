//! A unit of work: everything that its outcome depends on, and nothing else.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{BlobId, BlobRef, Hash, UnitId, encode, hash};

/// What a guest can observe, as our own number: engines change, this does not until behaviour does.
pub const SEMANTICS: u32 = 1;

/// One run of one module. Equal units have equal outcomes, whatever job they occur in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Unit {
    pub semantics: u32,
    pub module: BlobId,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub stdin: Option<BlobRef>,
    /// What is mounted below `/in`, read-only.
    pub inputs: Vec<Input>,
    pub limits: UnitLimits,
    /// What the guest's random bytes come from; [`Unit::seeded`] derives it from the rest.
    pub seed: Hash,
}

/// Something mounted below `/in`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Input {
    /// The place below `/in`; empty mounts a tree at `/in` itself.
    pub path: String,
    pub source: InputSource,
}

/// Where an input's bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputSource {
    /// One file.
    Blob(BlobRef),
    /// The files of a tree.
    Tree(BlobRef),
    /// `count` outcomes of an earlier stage, or files of theirs, where the hash names everything that the
    /// unit reads of earlier stages.
    Outcomes(Hash, u64),
}

/// What a unit may use. Part of its identity, for a guest can observe its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct UnitLimits {
    /// CPU time in milliseconds; the worker is killed beyond it.
    pub cpu_ms: u64,
    /// Linear memory in bytes; growing beyond it gives the guest −1.
    pub memory_bytes: u64,
    /// stdout and files under `/out`, in bytes together.
    pub output_bytes: u64,
    /// Files and folders under `/out` and `/tmp`, together.
    pub files: u32,
    /// Deterministic fuel; metering is off without it, since it can halve a guest's speed.
    pub fuel: Option<u64>,
}

impl Default for UnitLimits {
    fn default() -> Self {
        Self {
            cpu_ms: 60_000,
            memory_bytes: 256 << 20,
            output_bytes: 64 << 20,
            files: 1024,
            fuel: None,
        }
    }
}

impl Unit {
    /// The same unit with the seed that follows from everything else.
    pub fn seeded(mut self) -> Self {
        self.seed = Hash::ZERO;
        self.seed = hash("seed", &[&encode(&self)]);
        self
    }

    pub fn id(&self) -> UnitId {
        UnitId::new(*hash("unit", &[&encode(self)]).as_bytes())
    }
}
