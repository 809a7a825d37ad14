//! The verdict, attacked: every known attack and a few hundred random worlds of liars.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod assurance;
mod bounds;
mod bundle;
mod copying;
mod dice;
mod hiding;
mod logs;
mod lying;
mod random;
mod reconcile;
mod stages;
mod stalling;
mod world;
