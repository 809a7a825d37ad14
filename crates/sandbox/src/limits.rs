//! Every bound of the sandbox that is not part of the protocol, each with its reason.

use std::time::Duration;

use protocol::limits::{PATH_BYTES_MAX, TREE_ENTRIES_MAX};

/// Descriptors a guest may have open: each can hold one of the worker's own 1,024.
pub(crate) const DESCRIPTORS_MAX: usize = 512;
/// A path as a guest passes it, before it is resolved.
pub(crate) const GUEST_PATH_BYTES_MAX: u32 = 4096;
/// One part of a path.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// A resolved path from the root: what lies below `/out` must fit into a tree.
pub(crate) const PLACE_BYTES_MAX: usize = "out/".len() + PATH_BYTES_MAX;
/// Buffers in one scattered read or write, as `IOV_MAX` elsewhere.
pub(crate) const BUFFERS_MAX: u32 = 1024;
/// Subscriptions of one poll.
pub(crate) const SUBSCRIPTIONS_MAX: u32 = 4096;
/// Names held for half-read folders, over all descriptors: 16 MiB of pointers.
pub(crate) const LISTED_NAMES_MAX: usize = 1 << 20;

/// A guest's file beyond this size lives in a scratch file.
pub(crate) const SPILL_BYTES: u64 = 8 << 20;
/// The same once the unit's files together fill [`CROWDED_BYTES`].
pub(crate) const SPILL_BYTES_CROWDED: u64 = 2 << 20;
/// Files of one unit in memory from which on smaller ones spill, too.
pub(crate) const CROWDED_BYTES: u64 = 64 << 20;
/// Small reads of an input are served from a window of this size.
pub(crate) const READ_WINDOW_BYTES: usize = 64 << 10;

/// Stack of a guest. Generous, since an overflow gives no outcome.
pub(crate) const GUEST_STACK_BYTES: usize = 16 << 20;
/// Stack of the thread that runs guests: theirs, and as much again for the host's side.
pub(crate) const THREAD_STACK_BYTES: usize = 2 * GUEST_STACK_BYTES;
/// Tables of a module, and elements of each: a table's place is reserved beforehand.
pub(crate) const TABLES_MAX: u32 = 8;
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// Compiled modules that a worker keeps ready.
pub(crate) const READY_MODULES_MAX: usize = 8;
/// Compiled modules on disk; the oldest go first.
pub(crate) const CACHE_BYTES_MAX: u64 = 1 << 30;
/// CPU time for compiling one module: 32 MiB of it take about 20 s.
pub(crate) const COMPILE_CPU: Duration = Duration::from_secs(120);

/// Units of one request.
pub const REQUEST_UNITS_MAX: usize = 1024;
/// Requests that wait for a worker; beyond it the pool refuses.
pub const WAITING_REQUESTS_MAX: usize = 1024;
/// Files mounted for one unit, its own and the shared ones each.
pub const MOUNTED_FILES_MAX: usize = TREE_ENTRIES_MAX;
/// Bytes of an input that travel to the worker in a frame; larger ones go by a scratch file.
pub(crate) const FRAME_INPUT_BYTES: usize = 256 << 10;
/// Bytes of one output, and of all outputs of one unit, that come back in a frame.
pub(crate) const FRAME_OUTPUT_BYTES: usize = 64 << 10;
pub(crate) const FRAME_OUTPUTS_BYTES: usize = 1 << 20;
/// One frame between parent and worker.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;
/// A frame is sent once it is this large: several tiny units share one.
pub(crate) const FRAME_BYTES: usize = 64 << 10;
/// Units sent and not yet answered, in bytes: what a worker has to hold beside its own work.
pub(crate) const WINDOW_BYTES: usize = 1 << 20;
/// Results that wait for whoever asked for them.
pub(crate) const WAITING_RESULTS_MAX: usize = 64;

/// How often a worker looks after the unit that it runs.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// A worker that has not said a word by then is no worker.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(30);
/// What a parent grants beyond a worker's own watch before it steps in.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// What is kept of a worker's own stderr, for the log.
pub(crate) const WORKER_TALK_BYTES_MAX: usize = 4 << 10;

/// The wall time after which a unit counts as stuck, given its CPU limit.
pub(crate) fn wall_limit(cpu_ms: u64) -> Duration {
    Duration::from_millis(cpu_ms.saturating_mul(4).max(cpu_ms.saturating_add(10_000)))
}
