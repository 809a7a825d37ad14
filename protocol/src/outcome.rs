//! How a unit's run ended: what a quorum compares, and what it never sees.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{BlobId, CHECKPOINT_EXIT, Hash, encode, hash};

/// A blob's name and its size in bytes: who fetches it knows the size beforehand.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple,
)]
pub struct BlobRef {
    pub id: BlobId,
    pub size: u64,
}

impl BlobRef {
    /// Name and size of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { id: BlobId::of(bytes), size: bytes.len() as u64 }
    }
}

/// A deterministic end of a unit: equal units have equal outcomes, so peers can compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// The guest returned or called `proc_exit`.
    Exit(Exit),
    /// The guest did something that WebAssembly forbids.
    Trap(Trap),
    /// The deterministic fuel that the job asked for ran out.
    OutOfFuel,
    /// stdout and files together outgrew the unit's limit.
    OutputTooLarge,
}

/// What a guest left when it ended by itself.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple,
)]
pub struct Exit {
    /// The exit code; 0 is success.
    pub code: u32,
    pub stdout: BlobRef,
    /// The encoded [`crate::Tree`] of `/out`.
    pub out: BlobRef,
}

/// Why a guest trapped. Messages and backtraces are not compared: they differ between engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Trap {
    MemoryOutOfBounds,
    TableOutOfBounds,
    IndirectCallToNull,
    BadSignature,
    IntegerOverflow,
    IntegerDivisionByZero,
    BadConversionToInteger,
    Unreachable,
    /// The module has no usable start, or a misaligned or otherwise forbidden access.
    Other,
}

/// Why a run gave no outcome: it releases the unit to others and never counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Loss {
    /// The unit's CPU or wall time was used up; its worker was killed.
    Timeout,
    /// The machine had no memory left (the unit's own limit gives the guest −1 instead).
    HostMemory,
    /// The depth of the stack differs between engines and machines.
    StackOverflow,
    /// Something the unit needs could not be had.
    MissingBlob(BlobId),
    /// The sandbox's worker process died.
    WorkerCrash,
    /// This machine cannot run the module; the text says why, for people.
    Refused(String),
    /// The run was stopped because nobody wanted it any more.
    Cancelled,
}

impl Outcome {
    /// Whether the unit did what its author wanted.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Exit(Exit { code: 0, .. }))
    }

    /// Whether the unit has left a checkpoint and wants to be continued.
    pub const fn asks_to_go_on(&self) -> bool {
        matches!(self, Self::Exit(Exit { code: CHECKPOINT_EXIT, .. }))
    }

    /// What votes are about.
    pub fn digest(&self) -> Hash {
        hash("outcome", &[&encode(self)])
    }
}

/// What a run cost here: for people and predictions, never compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Cost {
    pub cpu_us: u64,
    /// Fuel consumed, where the unit asked for metering.
    pub fuel: u64,
    /// Peak linear memory in bytes.
    pub memory_bytes: u64,
}

/// One finished run of one unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Execution {
    pub outcome: Outcome,
    /// [`trace_digest`]: known only to who executed.
    pub trace: Hash,
    pub cost: Cost,
}

/// The trace digest of a run: its outcome and, after an exit, the guest's final memory by content.
///
/// `blocks` are the non-zero 4 KiB blocks of linear memory as (index, BLAKE3 of the block), by
/// ascending index; empty after a trap, where memory may differ between architectures.
pub fn trace_digest(outcome: &Outcome, blocks: impl IntoIterator<Item = (u32, [u8; 32])>) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("dugnad 1 trace digest");
    hasher.update(outcome.digest().as_bytes());
    for (index, block) in blocks {
        hasher.update(&index.to_le_bytes());
        hasher.update(&block);
    }
    Hash::new(*hasher.finalize().as_bytes())
}
