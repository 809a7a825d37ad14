//! The mind of a node: it decides over time, and touches nothing.
//!
//! The shell calls [`Engine::handle`] with what happened and then [`Engine::poll`] until it is empty,
//! carrying out the effects in order. An effect that expects an answer has an id, and its event brings
//! that id back. A record is answered by [`Event::Recorded`] once it is on disk, and only then does
//! the engine send what depends on it.

mod active;
mod announced;
mod audit;
mod claims;
mod config;
mod contest;
mod core;
mod effect;
mod engine;
mod event;
mod feeds;
mod holding;
mod inputs;
mod job;
mod journal;
mod keeping;
mod leaves;
mod limits;
mod lineage;
mod memory;
mod outcomes;
mod pick;
mod reads;
mod report;
mod sealing;
mod standing;
mod sync;
mod view;
mod work;

pub use config::Config;
pub use effect::{Effect, Judgement, PackWant, Record, Want};
pub use engine::Engine;
pub use event::{
    Event, FetchId, FetchLoss, Got, PackId, ProbeId, RecallId, Receipt, RecordId, RunId, Time,
};
pub use feeds::WindowView;
pub use journal::job_prefixes;
pub use reads::{ReadBatch, Reads};
pub use standing::Standing;
pub use view::{BatchResult, JobState, JobView, ResultsPart, StageView, Stuck, Unaudited};
