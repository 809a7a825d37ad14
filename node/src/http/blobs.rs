//! Routes about blobs: in and out as they stream, kept and removed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use client::api::{Blob, Done, HeldBlob, KeptAs, Role};
use futures::{StreamExt, stream};
use protocol::{BlobId, JobId, chunk_count};
use store::{Pin, Store, StoreError};

use crate::http::body::read_body;
use crate::http::refusal::Refusal;
use crate::http::routes::Desk;
use crate::{BlobError, JobBlobs};

pub(crate) async fn add(State(desk): State<Desk>, request: Request) -> Result<Json<Blob>, Refusal> {
    let store = Arc::clone(desk.node.store());
    if let Err(error) = check_room(&store, request.headers()) {
        pass_over(request);
        return Err(error.into());
    }
    let stored = read_body(request.into_body(), move |reader| store.put_reader(reader)).await?;
    Ok(Json(stored?.into()))
}

/// What cannot fit is refused before it is sent; the store itself counts what arrives.
fn check_room(store: &Store, headers: &HeaderMap) -> Result<(), StoreError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    store.check_room(length.unwrap_or(0))
}

/// Reads the body of a request that is already answered: whoever does not wait to be asked for it
/// looks at the answer only when all is sent.
fn pass_over(request: Request) {
    if request.headers().contains_key(EXPECT) {
        return;
    }
    let mut pieces = request.into_body().into_data_stream();
    // Ends with the connection at the latest.
    tokio::spawn(async move { while let Some(Ok(_)) = pieces.next().await {} });
}

pub(crate) async fn list(State(desk): State<Desk>) -> Result<Json<Vec<HeldBlob>>, Refusal> {
    let (held, jobs) = desk.node.holdings().await;
    let show = |held: store::Held| HeldBlob {
        id: held.blob.id,
        size: held.blob.size,
        pinned: !held.pins.is_empty(),
        kept: held.pins.iter().map(|pin| kept_as(held.blob.id, *pin, &jobs)).collect(),
    };
    Ok(Json(held.into_iter().map(show).collect()))
}

/// Why a pin keeps a blob.
fn kept_as(blob: BlobId, pin: Pin, jobs: &BTreeMap<JobId, JobBlobs>) -> KeptAs {
    let Pin::Job(job) = pin else {
        return KeptAs { role: Role::Pinned, job: None, expires_ms: None, keeper_for: None };
    };
    let of_job = jobs.get(&job);
    let role = of_job.map_or(Role::Output, |of_job| of_job.role(blob));
    let view = of_job.and_then(|of_job| of_job.view.as_ref());
    KeptAs {
        role,
        job: Some(job),
        expires_ms: view.map(|view| view.expires_ms),
        keeper_for: view.and_then(|view| view.kept_for),
    }
}

pub(crate) async fn show(
    State(desk): State<Desk>,
    Path(blob): Path<String>,
) -> Result<Response, Refusal> {
    let id = parse(&blob)?;
    let size = desk.node.blob_size(id).await?;
    let node = desk.node;
    // One mebibyte in memory at a time, each checked; one that is not whole breaks the answer off.
    let pieces = stream::iter(0..chunk_count(size)).then(move |index| {
        let node = node.clone();
        async move { node.read_chunk(id, index).await.map_err(io::Error::other) }
    });
    let headers =
        [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_LENGTH, size.to_string())];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// The answer to HEAD, which reads nothing.
pub(crate) async fn size(
    State(desk): State<Desk>,
    Path(blob): Path<String>,
) -> Result<Response, Refusal> {
    let id = parse(&blob)?;
    let size = desk.node.blob_size(id).await?;
    Ok(([(CONTENT_LENGTH, size.to_string())], Body::empty()).into_response())
}

pub(crate) async fn remove(
    State(desk): State<Desk>,
    Path(blob): Path<String>,
) -> Result<Json<Done>, Refusal> {
    let id = parse(&blob)?;
    change(&desk, id, move |store| store.remove(id)).await
}

pub(crate) async fn pin(
    State(desk): State<Desk>,
    Path(blob): Path<String>,
) -> Result<Json<Done>, Refusal> {
    let id = parse(&blob)?;
    change(&desk, id, move |store| store.pin(id, Pin::User)).await
}

pub(crate) async fn unpin(
    State(desk): State<Desk>,
    Path(blob): Path<String>,
) -> Result<Json<Done>, Refusal> {
    let id = parse(&blob)?;
    change(&desk, id, move |store| store.unpin(id, Pin::User)).await
}

fn parse(blob: &str) -> Result<BlobId, Refusal> {
    blob.parse().map_err(|error| Refusal::of(StatusCode::BAD_REQUEST, &error))
}

async fn change(
    desk: &Desk,
    id: BlobId,
    change: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static,
) -> Result<Json<Done>, Refusal> {
    with_store(desk, move |store| match store.contains(id) {
        true => change(store),
        false => Err(StoreError::Missing { id }),
    })
    .await?;
    Ok(Json(Done { done: true }))
}

async fn with_store<T: Send + 'static>(
    desk: &Desk,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let store = Arc::clone(desk.node.store());
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    Ok(done.map_err(|error| Refusal::internal(&error))??)
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Missing { .. } => Self::of(StatusCode::NOT_FOUND, &error),
            BlobError::TooLarge { .. } => Self::of(StatusCode::PAYLOAD_TOO_LARGE, &error),
            BlobError::Store(error) => error.into(),
            BlobError::Stopped => Self::of(StatusCode::SERVICE_UNAVAILABLE, &error),
        }
    }
}
