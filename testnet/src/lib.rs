//! Real processes on one machine: networks to look at, to measure and to test, liars included.
//!
//! The program re-executes itself for every node, and each node re-executes it for its workers.

mod bench;
mod demo;
mod entry;
mod fleet;
mod interrupt;
mod liar;
mod procfs;
mod progress;
mod scenario;
mod table;
mod up;
mod wait;
mod work;

pub use entry::main;
pub use fleet::{Fleet, Member, Recipe};
pub use wait::Deadline;
pub use work::{FileOf, KNOWN, Known, example, hand_over, known_file, only_output, until};
