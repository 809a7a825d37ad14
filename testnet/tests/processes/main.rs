//! Whole networks of real processes on loopback, one at a time.

#![expect(clippy::unwrap_used, reason = "a test may end at any surprise")]

mod bad_input;
mod colluding;
mod crashes;
mod harness;
mod leaving;
mod liars;
mod noise;
mod stages;
