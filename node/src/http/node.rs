//! Routes about the node itself.

use axum::Json;
use axum::extract::State;
use client::api::{Done, NodeInfo};
use tracing::info;

use crate::http::routes::Desk;

pub(crate) async fn show(State(desk): State<Desk>) -> Json<NodeInfo> {
    let node = &desk.node;
    Json(NodeInfo {
        peer: node.me(),
        network: node.network(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: node.addresses(),
        peers: node.peers().await.len() as u64,
        jobs: node.jobs().await.len() as u64,
        network_size: node.network_size(),
        stamp_bits: node.config().stamp_bits,
        is_stamped: node.is_stamped(),
        job_stamp: node.config().job_stamp,
        cores: node.config().cores as u64,
    })
}

pub(crate) async fn pause(State(desk): State<Desk>) -> Json<Done> {
    desk.node.set_working(false).await;
    Json(Done { done: true })
}

pub(crate) async fn resume(State(desk): State<Desk>) -> Json<Done> {
    desk.node.set_working(true).await;
    Json(Done { done: true })
}

pub(crate) async fn shutdown(State(desk): State<Desk>) -> Json<Done> {
    info!("asked to stop");
    desk.stop.cancel();
    Json(Done { done: true })
}
