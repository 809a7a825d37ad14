//! The table of routes.

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use axum::Json;
use tokio_util::sync::CancellationToken;

use crate::Node;
use crate::http::guard::{BLOBS, Guard, HEALTH, guard};
use crate::http::refusal::Refusal;
use crate::http::{blobs, events, jobs, node, peers};

/// What every route can reach.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) node: Node,
    /// Cancelled to end the node.
    pub(crate) stop: CancellationToken,
}

/// All routes behind the guard.
pub(crate) fn router(desk: Desk, checks: Guard) -> Router {
    Router::new()
        .route(HEALTH, get(health))
        .route("/metrics", get(metrics))
        .route("/api/v1/node", get(node::show))
        .route("/api/v1/node/pause", post(node::pause))
        .route("/api/v1/node/resume", post(node::resume))
        .route("/api/v1/node/shutdown", post(node::shutdown))
        .route("/api/v1/jobs", get(jobs::list).post(jobs::submit))
        .route("/api/v1/jobs/{job}", get(jobs::show))
        .route("/api/v1/jobs/{job}/events", get(events::watch))
        .route("/api/v1/jobs/{job}/open", post(jobs::open))
        .route("/api/v1/jobs/{job}/cancel", post(jobs::cancel))
        .route("/api/v1/jobs/{job}/results", get(jobs::results))
        .route(BLOBS, put(blobs::add).get(blobs::list))
        .route(
            "/api/v1/blobs/{blob}",
            get(blobs::show).head(blobs::size).delete(blobs::remove),
        )
        .route("/api/v1/blobs/{blob}/pin", post(blobs::pin))
        .route("/api/v1/blobs/{blob}/unpin", post(blobs::unpin))
        .route("/api/v1/peers", get(peers::list))
        .route("/api/v1/peers/{peer}/ping", post(peers::ping))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(checks, guard))
        .with_state(desk)
}

async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

async fn metrics(State(desk): State<Desk>) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], desk.node.metrics())
}

async fn unknown(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(120).collect();
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("there is no route {path}"),
        "docs/OPERATING.md lists the routes",
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(120).collect();
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{path} does not take {method}"),
        "docs/OPERATING.md lists the routes",
    )
}
