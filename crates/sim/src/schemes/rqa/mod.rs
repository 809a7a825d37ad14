//! RQA under the production rules: modelled workers write real steps into one real ledger, and what
//! is accepted, contested, decided and who is convicted is read from its verdict.
//!
//! The one ledger stands for the union of all logs, so there is no network here: the verdict is read,
//! and what was said meanwhile becomes visible, twice in the time that a median batch takes.

mod audit;
mod base;
mod batch;
mod contest;
mod pen;
mod reading;
mod sealing;
mod town;

pub use town::{Form, Rqa};
