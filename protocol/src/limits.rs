//! Every bound of the protocol, each with its reason.

/// A signed log entry: the 1,024 leaves of the largest batch take 34 KiB.
pub const STEP_BYTES_MAX: usize = 40 << 10;
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

/// Units of one job, all stages together: every per-unit number fits 32 bits.
pub const UNITS_MAX: u64 = 1 << 24;
/// Batches of one job: what a ledger keeps of each that nobody has voted on takes a participant 360 bytes.
pub const BATCHES_MAX: u64 = 1 << 18;
/// Units of one batch: its leaves fit one step.
pub const BATCH_UNITS_MAX: u32 = 1024;
/// Stages of one job: rounds of loops and segments of long units are stages of their own.
pub const STAGES_MAX: usize = 256;
/// Stages that one stage reads beside its source.
pub const STAGE_READS_MAX: usize = 8;
/// Batches that batches read, over all of a job whose units read whole stages: whoever executes one of them has to
/// look at each pack that it reads.
pub const WHOLE_READS_MAX: u64 = 1 << 24;
/// Outcomes that one unit of a reducing tree reads: every word about it costs a look at as many roots.
pub const FAN_IN_MAX: u32 = 1 << 12;
/// Buckets into which names are sorted: every unit of a shuffle looks into every outcome.
pub const BUCKETS_MAX: u32 = 1 << 12;
/// Windows of one feed: one every second for a hundred years.
pub const FEED_WINDOWS_MAX: u64 = 1 << 32;
/// The name of a job, stage or parameter, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Votes that a policy may demand.
pub const QUORUM_MAX: u8 = 9;
/// Levels of eligibility: of more peers than there can be, none has a higher one.
pub const LEVEL_MAX: u8 = 32;

/// Items of one step.
pub const STEP_ITEMS_MAX: usize = 64;
/// Proofs of one certificate.
pub const PROOFS_MAX: usize = 64;
/// Siblings on the way from a leaf to the root of 1,024.
pub const MERKLE_PATH_MAX: usize = 10;
/// Engine and processor names in a report.
pub const REPORT_BYTES_MAX: usize = 128;
/// Batches of one seal: two hashes each, so that a step has room for it.
pub const SEALED_MAX: usize = 512;
/// Bits that a stamp may claim: 2^32 tries would take one core a year and more.
pub const STAMP_BITS_MAX: u8 = 32;
/// Bits of the cheap hash: making a junk stamp that has to be looked at costs about what looking costs.
pub const STAMP_CHEAP_BITS: u8 = 14;
/// How long an epoch of stamps is: thirty days.
pub const STAMP_EPOCH_MS: u64 = 30 * 86_400_000;
/// Memory of one try: it fits every volunteer, and makes special hardware expensive.
pub const STAMP_MEMORY_KIB: u32 = 16 << 10;
/// Keepers that a submitter names in one step.
pub const KEEPERS_MAX: usize = 16;
/// Batches of one claim.
pub const CLAIM_BATCHES_MAX: usize = 16;
/// How long a claim may ask others to wait.
pub const CLAIM_MS_MAX: u64 = 24 * 3600 * 1000;
/// Steps of one author in one job: a vote and a certificate for every unit of the largest job that
/// one peer could execute alone, and room for disputes.
pub const LOG_STEPS_MAX: u64 = 1 << 20;
/// What the bodies of one author's steps may weigh in a job, in bytes, and how much more for each of its units: it may
/// vote on each alone, certify others, audit and argue; in a job of few units, certify very many voters.
pub const LOG_BYTES_MIN: u64 = 1 << 20;
pub const LOG_BYTES_PER_UNIT: u64 = 1 << 10;
/// What all logs of one job may weigh together, and how much more for each unit: several times what a bundle of
/// all of them takes ([`BUNDLE_BYTES_MAX`]).
pub const LEDGER_BYTES_MIN: u64 = 256 << 20;
pub const LEDGER_BYTES_PER_UNIT: u64 = 2 << 10;
/// What steps of one log may weigh that are kept although earlier ones are missing.
pub const GAP_BYTES_MAX: u64 = 1 << 20;
/// Authors of one job whose logs are kept.
pub const AUTHORS_MAX: usize = 1 << 14;

/// Jobs in one list of known or wanted jobs.
pub const JOBS_LISTED_MAX: usize = 4096;
/// Steps in one message.
pub const STEPS_SENT_MAX: usize = 512;
/// Logs in one message of heads.
pub const HEADS_MAX: usize = 8192;
/// Steps of one log that are kept although earlier ones are missing.
pub const LOG_GAP_MAX: u64 = 1024;

/// A file of proof bundles. A batch of 1,024 units with two voters, a tenth of it audited and its leaves
/// posted takes 168 KiB, a job of a million such units 161 MiB (`protocol/tests/verdict/bundle.rs`).
pub const BUNDLE_BYTES_MAX: usize = 512 << 20;
