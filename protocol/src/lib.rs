//! What peers say to each other, and the rules that all of them must agree on.
//!
//! Everything here is pure: no clock, no socket, no disk, no thread, no hasher-dependent order.

pub mod limits;

mod announce;
mod blob;
mod bundle;
mod cbor;
mod derive;
mod feed;
mod id;
mod ledger;
mod manifest;
mod merkle;
mod outcome;
mod pack;
mod partition;
mod rank;
mod reads;
mod sign;
mod stamp;
mod step;
mod template;
mod tree;
mod unit;
mod wire;

pub use announce::{Announcement, Claim};
pub use blob::{Subtrees, chunk_count, chunk_len};
pub use bundle::{Bundle, BundleError, Opened};
pub use cbor::{DecodeError, decode, encode};
pub use derive::{CHECKPOINT_PATH, PART_PATH, Plan, outcome_folder};
pub use feed::{Chain, Window};
pub use id::{BlobId, FeedId, Hash, JobId, NetworkId, ParseIdError, PeerId, StepId, UnitId, hash};
pub use ledger::{
    Assurance, Audited, BatchVerdict, Book, Cast, Conviction, Credit, Inserted, Ledger, Refusal,
    Standing, Tally, UnitVerdict, Verdict,
};
pub use manifest::{
    Axis, ByName, CHECKPOINT_EXIT, CONVERGED_FILE, Each, Gather, Grid, Links, Manifest,
    ManifestError, PROTOCOL, Parts, Policy, Range, Source, Stage, Stdin,
};
pub use merkle::{merkle_path, merkle_root, merkle_root_by};
pub use outcome::{BlobRef, Cost, Execution, Exit, Loss, Outcome, Trap, trace_digest};
pub use pack::{Pack, PackError};
pub use partition::Partition;
pub use rank::{Rank, Ranks, level_of, levels_short};
pub use reads::{Gathered, Read, Role, Roots, bucket_of};
pub use sign::{Envelope, Keypair, Kind, Signed, SignedBody, VerifyError};
pub use stamp::{Stamp, Stamped, job_stamp_bits};
pub use step::{
    About, Abstention, Certificate, Head, Item, Leaves, Reason, Report, Seal, Shown, Slot, Step,
    StepError, Vote, proof, seal,
};
pub use tree::{Entry, Tree, TreeError};
pub use unit::{Input, InputSource, SEMANTICS, Unit, UnitLimits};
pub use wire::{Fork, Heads, Hello, Message, MessageError, Unchecked};
