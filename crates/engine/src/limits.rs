//! The engine's own bounds and spans, each with its reason. Spans are in milliseconds.

/// Jobs known at the same time; the oldest announcements are not taken in any more.
pub(crate) const JOBS_MAX: usize = 4096;
/// Authors whose announcements of one job are held until its manifest tells which is true.
pub(crate) const ANNOUNCERS_MAX: usize = 4;
/// Steps held for a job whose manifest is still on its way.
pub(crate) const EARLY_STEPS_MAX: usize = 4096;
/// Peers that a fetch may ask.
pub(crate) const FETCH_FROM_MAX: usize = 24;
/// Voters that are named as holders of a pack.
pub(crate) const HOLDERS_MAX: usize = 8;
/// First pause after a fetch that failed; doubled each time.
pub(crate) const RETRY_MS_MIN: u64 = 500;
pub(crate) const RETRY_MS_MAX: u64 = 30_000;
/// How long a claim is honoured before any batch was timed.
pub(crate) const LEASE_MS_FIRST: u64 = 30_000;
/// The shortest lease: shorter ones only measure jitter.
pub(crate) const LEASE_MS_MIN: u64 = 2_000;
/// A lease is this many median batch times.
pub(crate) const LEASE_BATCHES: u64 = 3;
/// Batch times that the median is taken over.
pub(crate) const BATCH_TIMES_KEPT: usize = 15;
/// How long a peer that is not among a batch's first k waits for those, per place.
pub(crate) const PLACE_MS: u64 = 100;
/// How long votes may lack their certificates before another peer executes the batch, too.
pub(crate) const UNJOINED_MS: u64 = 3_000;
/// A submitter without any peer executes its own job after this time.
pub(crate) const ALONE_MS: u64 = 10_000;
/// A submitter with some peers, but fewer than the quorum, helps after this time.
pub(crate) const FEW_PEERS_MS: u64 = 1_500;
/// An anchor helps after nobody has said anything new, nor claimed to be at work, for so long.
pub(crate) const STALLED_MS: u64 = 60_000;
/// How long a log may have a gap before others are asked for what is missing, and more for each author.
pub(crate) const GAP_MS: u64 = 1_000;
pub(crate) const GAP_MS_PER_AUTHOR: u64 = 10;
/// First and longest pause between reconciliations while a job makes no progress.
pub(crate) const SYNC_MS_MIN: u64 = 1_000;
pub(crate) const SYNC_MS_MAX: u64 = 30_000;
/// How long a newcomer waits for the first answer before it executes anything.
pub(crate) const NEWCOMER_MS: u64 = 500;
/// Comparisons after a job is over: late words may re-open it.
pub(crate) const SYNC_ROUNDS_AFTER: u32 = 4;
/// How long a contest waits for ballots before an anchor decides it.
pub(crate) const ANCHOR_MS: u64 = 2_000;
/// How long others wait for the leaves that the lowest-ranked voter should post.
pub(crate) const LEAVES_MS: u64 = 1_000;
/// How long a keeper may take to answer before another is asked.
pub(crate) const KEEPER_MS: u64 = 30_000;
/// How often a keeper that has answered is challenged again.
pub(crate) const KEEPER_CHECK_MS: u64 = 300_000;
/// How soon one is that is out of sight or has not answered.
pub(crate) const KEEPER_DOUBT_MS: u64 = 15_000;
/// So many challenges in a row are not answered by who is gone.
pub(crate) const KEEPER_MISSES: u32 = 2;
/// How long a keeper may take for the results once they are there.
pub(crate) const KEEPER_RESULTS_MS: u64 = 600_000;
/// How long whoever has failed is not asked again.
pub(crate) const KEEPER_REST_MS: u64 = 600_000;
/// How long a request to keep is looked into, if it is not the submitter's.
pub(crate) const KEEP_DOUBT_MS: u64 = 60_000;
/// Batches of results that a keeper brings at the same time.
pub(crate) const HOLDINGS_MAX: usize = 4;
/// So often in a row nobody can deliver outcomes before they are made again.
pub(crate) const REMADE_AFTER: u32 = 3;
/// Batches that are made again, at most, at one time.
pub(crate) const REMADE_MAX: usize = 64;
/// How often that is tried.
pub(crate) const REMADE_TRIES: u32 = 3;
/// The pause after the first try; doubled each time.
pub(crate) const REMADE_REST_MS: u64 = 10_000;
/// How long a peer leaves it to each one of lower rank.
pub(crate) const REMADE_TURN_MS: u64 = 3_000;
/// What was not missed for so long was found elsewhere.
pub(crate) const REMADE_STALE_MS: u64 = 2 * RETRY_MS_MAX;
/// Keepers that make it safe to leave, if there are that many peers that keep.
pub(crate) const KEEPERS_WANTED: usize = 3;
/// How long a unit or batch rests after it gave no outcome here.
pub(crate) const LOSS_MS: u64 = 20_000;
/// Abstentions that make a unit poison here.
pub(crate) const POISON: usize = 3;
/// How long poison rests before it is tried again; doubled each time.
pub(crate) const POISON_MS: u64 = 60_000;
pub(crate) const POISON_MS_MAX: u64 = 3_600_000;
/// Units that are audited in one run.
pub(crate) const AUDITS_AT_ONCE: usize = 64;
/// How long what agrees may wait for a step to travel with, at most and at least.
pub(crate) const PATIENCE_MS_MIN: u64 = 1_000;
pub(crate) const PATIENCE_MS_MAX: u64 = 60_000;
/// So many patient items make a step of their own.
pub(crate) const PATIENT_MAX: usize = 48;
/// How long a batch's voter leaves it to each one of lower rank to confirm an auditor's ballot.
pub(crate) const CONFIRM_MS: u64 = 1_000;
/// Units that an anchor audits before it seals, if that many sets of voters stand together: in small jobs
/// every one of them is looked at.
pub(crate) const ANCHOR_AUDITS_MIN: u64 = 64;
/// How long a peer that is not eligible waits for each level that it is short.
pub(crate) const LEVEL_MS: u64 = 120_000;
/// Units of finished batches whose digests are remembered for ballots.
pub(crate) const KEPT_UNITS_MAX: usize = 1 << 16;
/// Bytes of items in one step, below the limit by what surrounds them.
pub(crate) const ITEMS_BYTES_MAX: usize = 38 << 10;
/// Bytes of steps in one message of a reconciliation.
pub(crate) const STEPS_BYTES_MAX: usize = 256 << 10;
/// Live claims that are honoured from one peer.
pub(crate) const CLAIMS_PER_PEER_MAX: usize = 64;
/// Peers whose standing is remembered.
pub(crate) const STANDINGS_MAX: usize = 4096;

/// Batches and units whose inputs are on their way before they run.
pub(crate) const COMING_MAX: usize = 4;
/// Batches and units whose inputs are remembered, before those that need none any more are looked for.
pub(crate) const READINGS_KEPT: usize = 64;
/// Batches that a batch may read for a worker to look whether it has made them all.
pub(crate) const LOCAL_BATCHES_MAX: usize = 16;

/// Packs on their way at the same time of which only the outcomes are looked at.
pub(crate) const LOOKS_MAX: usize = 16;

/// Batches that are looked up in memory at the same time.
pub(crate) const RECALLS_MAX: usize = 64;

/// How long a job is told to nobody while memory is asked about it: whatever the memory is doing then, others
/// can begin.
pub(crate) const HELD_MS_MAX: u64 = 30_000;
