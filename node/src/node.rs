//! A node and its handle: what the program's doors and other Rust programs use.

mod feed;
mod handle;
mod holdings;
mod metrics;
mod proof;
mod reading;
mod results;
mod start;
mod submit;
mod terms;
mod view;

pub use feed::{FeedError, FeedView};
pub use handle::{CancelError, Node};
pub use holdings::JobBlobs;
pub use proof::ProofError;
pub use reading::BlobError;
pub use results::{ResultUnit, Results, ResultsError};
pub use start::StartError;
pub use submit::SubmitError;
pub use view::PeerView;
