//! The door: job files, the cutting of datasets, and the HTTP API's types and client.

pub mod api;

mod assure;
mod draft;
mod feed;
mod fetch;
mod http;
mod jobfile;
mod prepare;
mod quantity;

pub use assure::{Goal, Promise, Shape, Unreachable, show_share};
pub use draft::{
    Draft, DraftAxis, DraftInput, DraftLimits, DraftLinks, DraftPolicy, DraftSource, DraftStage,
    DraftStdin,
};
pub use feed::{COUNT_MAX, FeedError, Filled, Lines, Template};
pub use http::{ApiFile, Client, ClientError, Events, api_file, token_file};
pub use jobfile::{
    Amount, Cut, DataSpec, Fill, Form, JobFile, JobFileError, PartsSpec, RepeatSpec, SourceSpec,
    StageSpec, StdinSpec, UrlSpec,
};
pub use prepare::{
    BlobSource, Packed, PrepareError, Prepared, Warning, check, default_batch, pack, prepare,
};
pub use quantity::{QuantityError, parse_bytes, parse_duration_ms, show_bytes, show_duration_ms};
