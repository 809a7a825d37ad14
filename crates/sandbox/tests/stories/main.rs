//! Guests, good and bad, told through one harness: real worker processes, a real engine.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod bad_modules;
mod bad_units;
mod deaths;
mod determinism;
mod harness;
mod outputs;
mod programs;
mod requests;
mod wasi;
