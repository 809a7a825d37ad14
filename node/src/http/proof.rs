//! Routes for whoever wants to check a job: its proof bundle, and the bytes that its units run on.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use client::api::{Blob, Done};
use protocol::BlobRef;

use crate::ProofError;
use crate::http::body::Asked;
use crate::http::jobs::find;
use crate::http::refusal::Refusal;
use crate::http::routes::Desk;

pub(crate) async fn show(
    State(desk): State<Desk>,
    Path(job): Path<String>,
) -> Result<Response, Refusal> {
    let job = find(&desk, &job).await?.job;
    let bytes = desk.node.proof(job).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

pub(crate) async fn fetch(
    State(desk): State<Desk>,
    Path(job): Path<String>,
    Asked(blobs): Asked<Vec<Blob>>,
) -> Result<Json<Done>, Refusal> {
    let job = find(&desk, &job).await?.job;
    let blobs = blobs.into_iter().map(BlobRef::from).collect();
    match desk.node.fetch(job, blobs).await {
        Ok(()) => Ok(Json(Done { done: true })),
        Err(error) => Err(Refusal::of(StatusCode::CONFLICT, &error)),
    }
}

impl From<ProofError> for Refusal {
    fn from(error: ProofError) -> Self {
        let status = match &error {
            ProofError::Unknown { .. } => StatusCode::NOT_FOUND,
            ProofError::NotYet { .. } => StatusCode::CONFLICT,
            ProofError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            ProofError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::of(status, &error)
    }
}
