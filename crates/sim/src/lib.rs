//! The rehearsal: N production engines, one clock, one seed, liars included.
//!
//! One seed gives everything and the same seed the same trace. First comes chaos; then the faults stop,
//! and every job must finish. The promises in `promise` are looked after all the time.

mod autopsy;
mod carry;
mod chance;
mod chronicle;
mod contact;
mod crew;
mod disk;
mod draw;
mod faults;
mod finish;
mod inspect;
mod liar;
mod liars;
mod links;
mod marks;
mod node;
mod plot;
mod promise;
mod recount;
mod rehearse;
mod rules;
mod scale;
mod scenario;
mod schemes;
mod show;
mod trust;
mod truth;
mod votes;
mod watch;
mod work;
mod world;

pub use chance::Chance;
pub use liar::{Gang, Mask};
pub use liars::{LiarKind, Liars};
pub use marks::{SEEDS_ENOUGH, WANTED};
pub use node::Node;
pub use plot::{Axis, Plot, Point, Scale, Series};
pub use promise::{Promise, Violation};
pub use rehearse::{Rehearsal, rehearse};
pub use scale::{
    HERD, JobSize, LATE_JOINER, Measured, ONE_JOB, THIRD_LEAVES, heading, herd, late_joiner,
    one_job, per_peer, per_unit, third_leaves,
};
pub use scenario::{
    Disk, Faults, Job, Network, Planned, Scenario, ScenarioError, SourceKind, What,
};
pub use schemes::{
    Adversary, Cell, Effort, Extent, Form, Mean, Outcome, Rqa, Scheme, Setting, Size, Stop, Sum,
    Survey, Threat, Trial, of_so_many, open_lying, silent_lying,
};
pub use truth::Truth;
pub use world::World;
