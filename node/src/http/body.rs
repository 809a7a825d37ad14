//! Bodies: JSON that is read as a whole within its bound, and bytes that stream by.

use std::io::{self, Read};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::http::refusal::Refusal;

/// A draft holds a manifest of at most 64 KiB, in a roomier encoding.
pub(crate) const JSON_BYTES_MAX: u64 = 1 << 20;
/// Pieces between the network and a thread that blocks.
const PIECES_BETWEEN: usize = 4;

/// A request's JSON.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let bytes = to_bytes(request.into_body(), JSON_BYTES_MAX as usize).await;
        let bytes = bytes.map_err(|_| too_large())?;
        match serde_json::from_slice(&bytes) {
            Ok(asked) => Ok(Self(asked)),
            Err(error) => Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("the body is not what this route takes: {error}"),
                "client::api in the source describes every body",
            )),
        }
    }
}

pub(crate) fn too_large() -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body did not arrive whole within 1 MiB",
        "put data into blobs; a job names them",
    )
}

/// Hands a body to a thread that reads it; an end that was not announced is an error to it.
pub(crate) async fn read_body<T: Send + 'static>(
    body: Body,
    read: impl FnOnce(BodyReader) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let (pieces, receiver) = mpsc::channel(PIECES_BETWEEN);
    let reader = BodyReader { pieces: receiver, piece: Bytes::new(), ended: false };
    let done = tokio::task::spawn_blocking(move || read(reader));
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let failed = piece.is_err();
        // Who reads may have had enough: its result says why. The rest is passed over all the same,
        // for who sends it will not look at the answer before the end.
        let _ = pieces.send(Some(piece.map_err(io::Error::other))).await;
        if failed {
            break;
        }
    }
    // None is the announced end. If the request is dropped on the way, it never comes.
    let _ = pieces.send(None).await;
    done.await.map_err(|error| Refusal::internal(&error))
}

/// A body as a thread reads it.
#[derive(Debug)]
pub(crate) struct BodyReader {
    pieces: mpsc::Receiver<Option<io::Result<Bytes>>>,
    piece: Bytes,
    ended: bool,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.piece = piece?,
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let len = buffer.len().min(self.piece.len());
        buffer[..len].copy_from_slice(&self.piece.split_to(len));
        Ok(len)
    }
}
