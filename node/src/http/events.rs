//! A job's states as server-sent events: one now, and one whenever it changes.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use client::api::JobStatus;
use futures::Stream;
use futures::stream::unfold;
use protocol::JobId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::http::jobs::find;
use crate::http::refusal::Refusal;
use crate::http::routes::Desk;
use crate::http::views;

/// Nobody reads faster, and a job may change a thousand times a second.
const EVENTS_APART: Duration = Duration::from_millis(100);
/// So that a watcher notices a node that is gone.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

pub(crate) async fn watch(
    State(desk): State<Desk>,
    Path(job): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    // Subscribed before the first look, so that no change falls between the two.
    let changes = desk.node.changes();
    let job = find(&desk, &job).await?.job;
    let watch = Watch { desk, job, changes, last: None };
    let events = unfold(watch, |mut watch| async move {
        let stop = watch.desk.stop.clone();
        let status = stop.run_until_cancelled(watch.next()).await??;
        let event = Event::default().event("job").json_data(&status).ok()?;
        watch.last = Some(status);
        Some((Ok(event), watch))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)))
}

struct Watch {
    desk: Desk,
    job: JobId,
    changes: Receiver<JobId>,
    last: Option<JobStatus>,
}

impl Watch {
    /// The next state that differs from the last one; `None` when the job is forgotten.
    async fn next(&mut self) -> Option<JobStatus> {
        loop {
            if self.last.is_some() {
                self.changed().await?;
                tokio::time::sleep(EVENTS_APART).await;
                self.drain();
            }
            let status = views::job(&self.desk.node, self.desk.node.job(self.job).await?);
            if self.last.as_ref() != Some(&status) {
                return Some(status);
            }
        }
    }

    async fn changed(&mut self) -> Option<()> {
        loop {
            match self.changes.recv().await {
                Ok(job) if job != self.job => {}
                // Whoever lags may have missed this job.
                Ok(_) | Err(RecvError::Lagged(_)) => return Some(()),
                Err(RecvError::Closed) => return None,
            }
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
