//! Routes about jobs.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use client::Draft;
use client::api::{Done, JobStatus, ResultsPage, Submitted};
use engine::JobView;
use protocol::JobId;
use serde::Deserialize;

use crate::http::body::Asked;
use crate::http::refusal::Refusal;
use crate::http::routes::Desk;
use crate::http::views;

/// Results on one page; about 8 MiB of JSON.
const PAGE_MAX: u64 = 1 << 14;

pub(crate) async fn list(State(desk): State<Desk>) -> Json<Vec<JobStatus>> {
    Json(desk.node.jobs().await.into_iter().map(|view| views::job(&desk.node, view)).collect())
}

pub(crate) async fn submit(
    State(desk): State<Desk>,
    Asked(draft): Asked<Draft>,
) -> Result<(StatusCode, Json<Submitted>), Refusal> {
    match desk.node.submit(draft).await {
        Ok(job) => Ok((StatusCode::CREATED, Json(Submitted { job }))),
        Err(error) => Err(Refusal::of(StatusCode::UNPROCESSABLE_ENTITY, &error)),
    }
}

pub(crate) async fn show(
    State(desk): State<Desk>,
    Path(job): Path<String>,
) -> Result<Json<JobStatus>, Refusal> {
    find(&desk, &job).await.map(|view| Json(views::job(&desk.node, view)))
}

pub(crate) async fn open(
    State(desk): State<Desk>,
    Path(job): Path<String>,
) -> Result<Json<Done>, Refusal> {
    let job: JobId = job.parse().map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "a job that this node does not know is opened by its whole id",
            "copy the id that `dugnad job submit` has printed",
        )
    })?;
    desk.node.open(job).await;
    Ok(Json(Done { done: true }))
}

pub(crate) async fn cancel(
    State(desk): State<Desk>,
    Path(job): Path<String>,
) -> Result<Json<Done>, Refusal> {
    let job = find(&desk, &job).await?.job;
    match desk.node.cancel(job).await {
        Ok(()) => Ok(Json(Done { done: true })),
        Err(error) => Err(Refusal::of(StatusCode::CONFLICT, &error)),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    #[serde(default)]
    offset: u64,
    #[serde(default = "page_default")]
    limit: u64,
}

pub(crate) async fn results(
    State(desk): State<Desk>,
    Path(job): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<ResultsPage>, Refusal> {
    let job = find(&desk, &job).await?.job;
    let numbers = page.offset..page.offset.saturating_add(page.limit.min(PAGE_MAX));
    let results = desk.node.results(job, numbers).await;
    let results = results.map_err(|error| Refusal::of(StatusCode::CONFLICT, &error))?;
    let units = results.units.into_iter().map(views::unit).collect();
    Ok(Json(ResultsPage { total: results.total, units }))
}

/// The job with this id, or the only one whose id begins so.
pub(crate) async fn find(desk: &Desk, text: &str) -> Result<JobView, Refusal> {
    let unknown = || {
        let shown: String = text.chars().take(80).collect();
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("this node knows no job `{shown}`"),
            "`dugnad job list` shows those it knows; `dugnad job get` with a whole id looks for it",
        )
    };
    if let Ok(job) = text.parse::<JobId>() {
        return desk.node.job(job).await.ok_or_else(unknown);
    }
    let all = desk.node.jobs().await;
    let mut found = all.into_iter().filter(|view| view.job.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(view), None) => Ok(view),
        (None, _) => Err(unknown()),
        (Some(_), Some(_)) => Err(Refusal::new(
            StatusCode::CONFLICT,
            "the ids of several jobs begin so",
            "write more of the id",
        )),
    }
}

const fn page_default() -> u64 {
    PAGE_MAX
}
