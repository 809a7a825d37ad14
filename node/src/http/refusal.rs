//! Every answer that is not a success: a status, what is wrong, and what to do about it, as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use client::api;
use store::StoreError;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
    pub(crate) hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>, hint: &str) -> Self {
        Self { status, error: error.into(), hint: Some(hint.to_owned()) }
    }

    /// From an error whose text may end with a line `hint: …`.
    pub(crate) fn of(status: StatusCode, error: &impl std::fmt::Display) -> Self {
        let text = error.to_string();
        match text.split_once("\nhint: ") {
            Some((error, hint)) => {
                Self { status, error: error.to_owned(), hint: Some(hint.to_owned()) }
            }
            None => Self { status, error: text, hint: None },
        }
    }

    pub(crate) fn internal(error: &impl std::fmt::Display) -> Self {
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Missing { .. } => StatusCode::NOT_FOUND,
            StoreError::Pinned { .. } | StoreError::Receiving { .. } => StatusCode::CONFLICT,
            StoreError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            StoreError::QuotaExceeded { .. } | StoreError::DiskLow { .. } => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            StoreError::Source { .. }
            | StoreError::WrongContent { .. }
            | StoreError::NotAPiece { .. }
            | StoreError::NoSubtrees { .. }
            | StoreError::Incomplete { .. } => StatusCode::BAD_REQUEST,
            StoreError::Corrupt { .. } | StoreError::Io { .. } | StoreError::Stopped { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let refusal = Self::of(status, &error);
        match error {
            // The store does not know what its owner calls the quota.
            StoreError::QuotaExceeded { .. } => {
                let hint = "raise the setting `storage`, or cancel jobs and unpin blobs";
                Self { hint: Some(hint.to_owned()), ..refusal }
            }
            StoreError::Missing { .. }
            | StoreError::Pinned { .. }
            | StoreError::Receiving { .. }
            | StoreError::TooLarge { .. }
            | StoreError::DiskLow { .. }
            | StoreError::Source { .. }
            | StoreError::WrongContent { .. }
            | StoreError::NotAPiece { .. }
            | StoreError::NoSubtrees { .. }
            | StoreError::Incomplete { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Io { .. }
            | StoreError::Stopped { .. } => refusal,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = api::Refusal { error: self.error, hint: self.hint };
        (self.status, Json(body)).into_response()
    }
}
