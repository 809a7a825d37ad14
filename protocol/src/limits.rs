//! Every bound of the protocol, each with its reason.

/// A signed log entry.
pub const STEP_BYTES_MAX: usize = 32 << 10;
/// A manifest's body: a million-unit job fits, because units are derived and never listed.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// An announcement travels by gossip to everybody; the manifest is fetched by hash.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 1 << 10;
/// A claim travels by gossip to a job's participants and is forgotten.
pub const CLAIM_BYTES_MAX: usize = 1 << 10;
/// One message between two peers on their kept-open stream.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Nesting of CBOR items; our deepest type has nine levels.
pub const CBOR_DEPTH_MAX: usize = 24;

/// Blobs are checked and moved in pieces of this size.
pub const CHUNK_BYTES: u64 = 1 << 20;
/// The largest blob: 1 TiB, so that the list of chaining values stays at 32 MiB.
pub const BLOB_BYTES_MAX: u64 = 1 << 40;
/// Blobs up to this size travel inside a pack or inside the store's index, not on their own.
pub const INLINE_BYTES_MAX: u64 = 16 << 10;
/// Inline outputs of one pack; what does not fit any more is a blob of its own.
pub const PACK_INLINE_BYTES_MAX: u64 = 4 << 20;
/// A pack: up to 1,024 outcomes of about 120 bytes beside the inline outputs.
pub const PACK_BYTES_MAX: usize = 8 << 20;
/// The encoding of a tree.
pub const TREE_BYTES_MAX: usize = 16 << 20;
/// Entries of one tree; larger datasets nest.
pub const TREE_ENTRIES_MAX: usize = 1 << 16;
/// A path inside a tree, in bytes.
pub const PATH_BYTES_MAX: usize = 512;

/// A WASM module; compiling a larger one costs a volunteer minutes.
pub const MODULE_BYTES_MAX: u64 = 32 << 20;
/// Arguments and environment of a unit, all together.
pub const ARGS_BYTES_MAX: usize = 16 << 10;
/// Files and trees that a stage mounts for its units.
pub const STAGE_INPUTS_MAX: usize = 64;
/// Linear memory a unit may ask for.
pub const UNIT_MEMORY_BYTES_MAX: u64 = 2 << 30;
/// Output a unit may ask for: stdout and files together.
pub const UNIT_OUTPUT_BYTES_MAX: u64 = 1 << 30;
/// Files a unit may create.
pub const UNIT_FILES_MAX: u32 = 1 << 16;
/// CPU time a unit may ask for: one day. Longer work is cut into checkpoints.
pub const UNIT_CPU_MS_MAX: u64 = 24 * 3600 * 1000;
/// What is kept of a guest's stderr, for people only.
pub const STDERR_BYTES_MAX: u64 = 64 << 10;
