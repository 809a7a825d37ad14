//! What peers say to each other, and the rules that all of them must agree on.
//!
//! Everything here is pure: no clock, no socket, no disk, no thread, no hasher-dependent order.

pub mod limits;

mod blob;
mod cbor;
mod id;
mod outcome;
mod pack;
mod sign;
mod tree;
mod unit;

pub use blob::{Subtrees, chunk_count, chunk_len};
pub use cbor::{DecodeError, decode, encode};
pub use id::{BlobId, Hash, JobId, NetworkId, ParseIdError, PeerId, StepId, UnitId, hash};
pub use outcome::{BlobRef, Cost, Execution, Exit, Loss, Outcome, Trap, trace_digest};
pub use pack::{Pack, PackError};
pub use sign::{Envelope, Keypair, Kind, Signed, SignedBody, VerifyError};
pub use tree::{Entry, Tree, TreeError};
pub use unit::{Input, InputSource, SEMANTICS, Unit, UnitLimits};
