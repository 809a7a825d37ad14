//! Liars: production engines whose effects and events pass through a mask that changes them.
//!
//! Nothing here knows the simulated world, so that real processes can wear the same masks.

mod abstainer;
mod coalition;
mod contester;
mod copier;
mod equivocator;
mod garbage;
mod junk_voter;
mod mask;
mod part;
mod pen;
mod replayer;
mod squatter;
mod withholder;
mod wrong_outcome;

pub use mask::Mask;
