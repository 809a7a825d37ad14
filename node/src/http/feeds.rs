//! Routes about feeds, and a feed's states as server-sent events: while somebody reads them, its windows are
//! looked for and opened.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use client::api::{
    AddedWindow, Assurance, FeedFork, FeedStatus, JobState, NewWindow, OpenFeed, OpenedFeed,
    WindowStatus,
};
use futures::Stream;
use futures::stream::unfold;
use protocol::{Chain, FeedId, JobId, Window};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, timeout_at};

use crate::http::body::Asked;
use crate::http::refusal::Refusal;
use crate::http::routes::Desk;
use crate::http::views;
use crate::{FeedError, FeedView};

/// Nobody reads faster, and windows may change a thousand times a second.
const EVENTS_APART: Duration = Duration::from_millis(100);
/// So that a watcher notices a node that is gone.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How often the network is asked for peers that have windows.
const SEEK_EVERY: Duration = Duration::from_secs(30);

pub(crate) async fn open(
    State(desk): State<Desk>,
    Asked(OpenFeed { template }): Asked<OpenFeed>,
) -> Result<(StatusCode, Json<OpenedFeed>), Refusal> {
    let feed = desk.node.open_feed(template).await.map_err(refuse)?;
    Ok((StatusCode::CREATED, Json(OpenedFeed { feed })))
}

pub(crate) async fn add(
    State(desk): State<Desk>,
    Path(feed): Path<String>,
    Asked(NewWindow { draft, lines, is_last }): Asked<NewWindow>,
) -> Result<(StatusCode, Json<AddedWindow>), Refusal> {
    let feed = find(&desk, &feed).await?;
    let added = desk.node.add_window(feed, draft, lines, is_last).await;
    let (job, window) = added.map_err(refuse)?;
    let Window { number, lines, .. } = window;
    Ok((StatusCode::CREATED, Json(AddedWindow { number, job, lines })))
}

pub(crate) async fn list(State(desk): State<Desk>) -> Result<Json<Vec<FeedStatus>>, Refusal> {
    let mut all = Vec::new();
    for feed in desk.node.feeds().await {
        let status = Known::default().look(&desk, feed).await?;
        all.push(FeedStatus { windows: Vec::new(), template: None, ..status });
    }
    Ok(Json(all))
}

pub(crate) async fn show(
    State(desk): State<Desk>,
    Path(feed): Path<String>,
) -> Result<Json<FeedStatus>, Refusal> {
    let feed = find(&desk, &feed).await?;
    if !desk.node.feeds().await.contains(&feed) {
        return Err(unknown(&feed.to_string()));
    }
    Known::default().look(&desk, feed).await.map(Json)
}

pub(crate) async fn watch(
    State(desk): State<Desk>,
    Path(feed): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    // Subscribed before the first look, so that no change falls between the two.
    let changes = desk.node.changes();
    let feed = find(&desk, &feed).await?;
    let known = Known { follows: true, ..Known::default() };
    let watch = Watch { desk, feed, changes, known, seek_at: Instant::now(), last: None };
    let events = unfold(watch, |mut watch| async move {
        let stop = watch.desk.stop.clone();
        let status = stop.run_until_cancelled(watch.next()).await??;
        let event = Event::default().event("feed").json_data(&status).ok()?;
        Some((Ok(event), watch))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)))
}

struct Watch {
    desk: Desk,
    feed: FeedId,
    changes: Receiver<JobId>,
    known: Known,
    seek_at: Instant,
    /// What was told last, without windows.
    last: Option<FeedStatus>,
}

impl Watch {
    /// The next state in which something has changed; `None` when the node stops.
    async fn next(&mut self) -> Option<FeedStatus> {
        loop {
            if self.seek_at <= Instant::now() {
                self.desk.node.seek_feed(self.feed);
                self.seek_at = Instant::now() + SEEK_EVERY;
            }
            if self.last.is_some() {
                self.changed().await?;
                tokio::time::sleep(EVENTS_APART).await;
                self.drain();
            }
            let status = self.known.look(&self.desk, self.feed).await.ok()?;
            let status = FeedStatus { template: None, ..status };
            let head = FeedStatus { windows: Vec::new(), ..status.clone() };
            if !status.windows.is_empty() || self.last.as_ref() != Some(&head) {
                self.last = Some(head);
                return Some(status);
            }
        }
    }

    /// Waits for a change of any job, as a new window is one; not longer than until it is time to seek.
    async fn changed(&mut self) -> Option<()> {
        match timeout_at(self.seek_at, self.changes.recv()).await {
            Ok(Ok(_)) | Ok(Err(RecvError::Lagged(_))) | Err(_) => Some(()),
            Ok(Err(RecvError::Closed)) => None,
        }
    }

    /// What happened up to now is told by one look.
    fn drain(&mut self) {
        loop {
            match self.changes.try_recv() {
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }
}

/// What somebody has been told of a feed's windows.
#[derive(Default)]
struct Known {
    /// Whether windows are opened and looked for.
    follows: bool,
    chain: Chain,
    told: BTreeMap<JobId, WindowStatus>,
    /// Windows of which nothing will change any more.
    settled: BTreeSet<JobId>,
    opened: BTreeSet<JobId>,
}

impl Known {
    /// The feed as it is now, with those windows that have changed.
    async fn look(&mut self, desk: &Desk, feed: FeedId) -> Result<FeedStatus, Refusal> {
        let node = &desk.node;
        let view = node.feed(feed, self.settled.clone()).await.map_err(refuse)?;
        let submitter = view.submitter(node.me());
        let FeedView { own, last, windows, .. } = view;
        let kept = last.and_then(|last| Some((last.job(), last.window?)));
        let own_last = kept.filter(|(job, _)| !self.told.contains_key(job));
        own_last.into_iter().for_each(|(job, window)| self.chain.add(job, window));
        let (mut changed, mut wanted) = (Vec::new(), BTreeSet::new());
        for engine::WindowView { job, window } in windows {
            if job.submitter != node.me() {
                wanted.insert(job.job);
            }
            let Some(window) = window else { continue };
            self.chain.add(job.job, window);
            let Window { number, previous, lines, is_last, .. } = window;
            let job = views::job(node, job);
            let is_settled = job.state == JobState::Verified && job.assurance == Assurance::Sealed;
            if is_settled {
                self.settled.insert(job.job);
            }
            let status = WindowStatus { number, previous, lines, is_last, job };
            if self.told.get(&status.job.job) != Some(&status) {
                self.told.insert(status.job.job, status.clone());
                changed.push(status);
            }
        }
        if self.follows {
            wanted.extend(self.chain.missing());
            for job in wanted {
                if self.opened.insert(job) {
                    node.open(job).await;
                }
            }
        }
        changed.sort_by_key(|window| window.number);
        let last = self.chain.last().map(|(_, window)| window);
        let name = self.told.values().next().map(|window| window.job.name.clone());
        let forks = self.chain.forks().into_iter();
        Ok(FeedStatus {
            feed,
            name: own.as_ref().map(|own| own.draft.name.clone()).or(name.filter(|n| !n.is_empty())),
            submitter: submitter.or_else(|| self.told.values().next().map(|w| w.job.submitter)),
            template: own,
            next: last.map_or(0, |last| last.number + 1),
            lines: last.map_or(0, |last| last.lines),
            is_closed: last.is_some_and(|last| last.is_last),
            forks: forks.map(|(number, jobs)| FeedFork { number, jobs }).collect(),
            windows: changed,
        })
    }
}

/// A feed by its whole id, or the only known one whose id begins so.
async fn find(desk: &Desk, text: &str) -> Result<FeedId, Refusal> {
    if let Ok(feed) = text.parse::<FeedId>() {
        return Ok(feed);
    }
    let all = desk.node.feeds().await;
    let mut found = all.into_iter().filter(|feed| feed.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(feed), None) => Ok(feed),
        (None, _) => Err(unknown(text)),
        (Some(_), Some(_)) => Err(Refusal::new(
            StatusCode::CONFLICT,
            "the ids of several feeds begin so",
            "write more of the id",
        )),
    }
}

fn unknown(text: &str) -> Refusal {
    let shown: String = text.chars().take(80).collect();
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("this node knows no feed `{shown}`"),
        "`dugnad feed list` shows those it knows; `dugnad feed follow` with a whole id looks for it",
    )
}

fn refuse(error: FeedError) -> Refusal {
    let status = match &error {
        FeedError::Unknown { .. } => StatusCode::NOT_FOUND,
        FeedError::Closed { .. } | FeedError::Forked { .. } => StatusCode::CONFLICT,
        FeedError::Name { .. } | FeedError::Template(_) | FeedError::Submit(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        FeedError::Store(_) | FeedError::Corrupt { .. } | FeedError::Stopped => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    Refusal::of(status, &error)
}
