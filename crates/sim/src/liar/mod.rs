//! Liars: production engines whose effects and events pass through a mask that changes them.
//!
//! Nothing here knows the simulated world, so that real processes can wear the same masks.

mod abstainer;
mod cast;
mod coalition;
mod contester;
mod copier;
mod crowd;
mod equivocator;
mod gang;
mod garbage;
mod impostor;
mod junk_voter;
mod late_equivocator;
mod leaker;
mod mask;
mod mutual_auditor;
mod part;
mod patient;
mod pen;
mod puppet;
mod replayer;
mod sleeper;
mod spammer;
mod squatter;
mod stager;
mod swarm;
mod withholder;
mod wrong_outcome;

pub use gang::Gang;
pub use mask::Mask;
