//! Routes about peers.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use client::api::{PeerInfo, Pong};
use protocol::PeerId;

use crate::http::refusal::Refusal;
use crate::http::routes::Desk;
use crate::http::views;

pub(crate) async fn list(State(desk): State<Desk>) -> Json<Vec<PeerInfo>> {
    Json(desk.node.peers().await.iter().map(views::peer).collect())
}

pub(crate) async fn ping(
    State(desk): State<Desk>,
    Path(peer): Path<String>,
) -> Result<Json<Pong>, Refusal> {
    let peer: PeerId =
        peer.parse().map_err(|error| Refusal::of(StatusCode::BAD_REQUEST, &error))?;
    match desk.node.ping(peer).await {
        Ok(round_trip) => Ok(Json(Pong {
            round_trip_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
        })),
        Err(error) => Err(Refusal::of(StatusCode::BAD_GATEWAY, &error)),
    }
}
