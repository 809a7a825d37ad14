//! The door: job files, the cutting of datasets, and the HTTP API's types and client.

pub mod api;

mod draft;

pub use draft::{
    Draft, DraftAxis, DraftInput, DraftLimits, DraftPolicy, DraftSource, DraftStage, DraftStdin,
};
