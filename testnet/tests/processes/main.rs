//! Whole networks of real processes on loopback, one at a time.

mod bad_input;
mod crashes;
mod harness;
mod leaving;
mod liars;
mod noise;
