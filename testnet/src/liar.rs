//! Liars as real processes: a production node whose engine wears one of the rehearsal's masks.

mod process;
mod tamper;

pub(crate) use process::{LiarArgs, run};
