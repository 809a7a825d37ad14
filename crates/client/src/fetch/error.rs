//! Why something was not fetched; no text here holds an address's query or a key.

use std::time::Duration;

use protocol::Hash;

use crate::{show_bytes, show_duration_ms};

/// Why something was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the address cannot be used: {why}")]
    Address { why: String },
    /// What the environment says does not fit together.
    #[error("{why}")]
    Environment { why: String },
    #[error("the server answers {status}")]
    Status { status: u16, is_s3: bool },
    #[error("{why}")]
    Lost { why: String },
    #[error("it broke off after {} and cannot be continued: {why}", show_bytes(*at))]
    Changed { at: u64, why: String },
    #[error("it has more than {}", show_bytes(*limit))]
    TooLarge { limit: u64 },
    #[error("it did not come within {}", show_duration_ms(within.as_millis() as u64))]
    Late { within: Duration },
    #[error("its BLAKE3 is {found}, not {wanted}")]
    OtherBytes { wanted: Hash, found: Hash },
}

impl FetchError {
    /// What to do about it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Address { .. } => "give `https://host/path`, `http://…` or `s3://bucket/key`",
            Self::Environment { .. } => {
                "s3:// reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION \
                 and AWS_ENDPOINT_URL"
            }
            Self::Status { status: 401 | 403, is_s3: true } => {
                "see whether AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY may read it; without them it \
                 is asked for as by anybody"
            }
            Self::Status { status: 300..=399, is_s3: true } => {
                "the bucket is elsewhere: set AWS_REGION, or AWS_ENDPOINT_URL"
            }
            Self::Status { status: 401 | 403, is_s3: false } => {
                "the server wants a key: use an address that is signed, or fetch it yourself"
            }
            Self::Status { status: 404 | 410, .. } => "see whether the address is right",
            Self::Status { .. } => "try again later, or fetch it yourself and give its `path`",
            Self::Lost { .. } => "see whether the host can be reached, and try again",
            Self::Changed { .. } => "try again; with `blake3 = \"…\"` any server's copy can go on",
            Self::TooLarge { .. } => "raise `limit` of the parts if so much is meant",
            Self::Late { .. } => "raise `timeout` of the parts, or fetch it yourself",
            Self::OtherBytes { .. } => "see whether the data was changed, or correct `blake3`",
        }
    }
}
