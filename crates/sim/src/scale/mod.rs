//! Scale: thousands of production engines and one job, without faults, to count what it costs.
//!
//! A leaner world than the rehearsal's: no promises are watched, outcomes are not bytes, and links are
//! few. Gossip reaches whoever has joined after two hops; each delivery is counted once, where a real
//! mesh delivers the same message two to three times.

mod measure;
mod report;
mod swarm;

pub use measure::{
    HERD, JobSize, LATE_JOINER, Measured, ONE_JOB, THIRD_LEAVES, herd, late_joiner, one_job,
    third_leaves,
};
pub use report::{heading, per_peer, per_unit};
