//! The table of routes.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, head, post, put};
use client::api;
use tokio_util::sync::CancellationToken;

use crate::Node;
use crate::http::guard::{BLOBS, Guard, HEALTH, guard};
use crate::http::refusal::Refusal;
use crate::http::{blobs, events, feeds, jobs, node, peers, proof};

/// What every route can reach.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) node: Node,
    /// Cancelled to end the node.
    pub(crate) stop: CancellationToken,
}

type Route = (&'static str, &'static str, MethodRouter<Desk>);

/// Every route there is: method, path, and who answers.
fn table() -> Vec<Route> {
    vec![
        ("GET", HEALTH, get(health)),
        ("GET", "/metrics", get(metrics)),
        ("GET", "/api/v1", get(list)),
        ("GET", "/api/v1/node", get(node::show)),
        ("POST", "/api/v1/node/pause", post(node::pause)),
        ("POST", "/api/v1/node/resume", post(node::resume)),
        ("POST", "/api/v1/node/shutdown", post(node::shutdown)),
        ("GET", "/api/v1/jobs", get(jobs::list)),
        ("POST", "/api/v1/jobs", post(jobs::submit)),
        ("GET", "/api/v1/jobs/{job}", get(jobs::show)),
        ("GET", "/api/v1/jobs/{job}/events", get(events::watch)),
        ("POST", "/api/v1/jobs/{job}/open", post(jobs::open)),
        ("POST", "/api/v1/jobs/{job}/cancel", post(jobs::cancel)),
        ("GET", "/api/v1/jobs/{job}/results", get(jobs::results)),
        ("GET", "/api/v1/jobs/{job}/proof", get(proof::show)),
        ("POST", "/api/v1/jobs/{job}/fetch", post(proof::fetch)),
        ("GET", "/api/v1/feeds", get(feeds::list)),
        ("POST", "/api/v1/feeds", post(feeds::open)),
        ("GET", "/api/v1/feeds/{feed}", get(feeds::show)),
        ("GET", "/api/v1/feeds/{feed}/events", get(feeds::watch)),
        ("POST", "/api/v1/feeds/{feed}/windows", post(feeds::add)),
        ("GET", BLOBS, get(blobs::list)),
        ("PUT", BLOBS, put(blobs::add)),
        ("HEAD", "/api/v1/blobs/{blob}", head(blobs::size)),
        ("GET", "/api/v1/blobs/{blob}", get(blobs::show)),
        ("DELETE", "/api/v1/blobs/{blob}", delete(blobs::remove)),
        ("POST", "/api/v1/blobs/{blob}/pin", post(blobs::pin)),
        ("POST", "/api/v1/blobs/{blob}/unpin", post(blobs::unpin)),
        ("GET", "/api/v1/peers", get(peers::list)),
        ("POST", "/api/v1/peers/{peer}/ping", post(peers::ping)),
    ]
}

/// All routes behind the guard, and with it whatever is no route.
pub(crate) fn router(desk: Desk, checks: Guard) -> Router {
    table()
        .into_iter()
        .fold(Router::new(), |router, (_, path, route)| router.route(path, route))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(checks, guard))
        .with_state(desk)
}

/// The table, for whoever explores the API or tests it.
async fn list() -> Json<Vec<api::Route>> {
    let route =
        |(method, path, _): Route| api::Route { method: method.to_owned(), path: path.to_owned() };
    Json(table().into_iter().map(route).collect())
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
        "GET /api/v1 lists the routes",
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(120).collect();
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{path} does not take {method}"),
        "GET /api/v1 lists the routes",
    )
}
