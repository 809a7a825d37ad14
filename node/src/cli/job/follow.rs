//! Following a job, or a feed: its states as they come, and the person's interruptions between them.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use client::api::{FeedStatus, JobState, JobStatus};
use client::{Client, ClientError, Events};
use protocol::{FeedId, JobId, PeerId};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::args::Until;
use crate::cli::assurance::{is_enough, until_by_default};
use crate::cli::failure::{End, Outcome};

/// After a loss of connection, how often to look whether the node is back.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often, before the node counts as gone.
const LOOKS_MAX: u32 = 3;
/// A job that one peer has computed alone may still be verified when others are there.
const OTHERS_WITHIN: Duration = Duration::from_secs(20);

/// What can happen while a job is followed.
#[derive(Debug)]
pub(crate) enum News<T = JobStatus> {
    Status(Box<T>),
    /// The person wants to go, or somebody has told this process to end.
    Interrupted,
    /// The node is gone.
    Lost(ClientError),
    /// Nothing, within the time that was given.
    Silence,
}

/// The news of one job or feed.
#[derive(Debug)]
pub(crate) struct Follow<T = JobStatus> {
    news: Receiver<News<T>>,
}

impl Follow {
    pub(crate) fn start(client: &Client, job: JobId) -> Outcome<Self> {
        let client = client.clone();
        Self::of(move || client.events(job))
    }
}

impl Follow<FeedStatus> {
    pub(crate) fn feed(client: &Client, feed: FeedId) -> Outcome<Self> {
        let client = client.clone();
        Self::of(move || client.feed_events(feed))
    }
}

impl<T: DeserializeOwned + Send + 'static> Follow<T> {
    fn of(open: impl Fn() -> Result<Events<T>, ClientError> + Send + 'static) -> Outcome<Self> {
        let (sender, news) = mpsc::channel();
        let for_signals = sender.clone();
        // From here on an interruption is news, however early it comes.
        let (runtime, signals) = signals()?;
        std::thread::spawn(move || listen(&runtime, signals, &for_signals));
        std::thread::spawn(move || watch(&open, &sender));
        Ok(Self { news })
    }

    pub(crate) fn next(&self, within: Option<Duration>) -> News<T> {
        let next = match within {
            Some(within) => self.news.recv_timeout(within),
            None => self.news.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        next.unwrap_or(News::Silence)
    }
}

/// Tells when nothing more is to be expected of a job.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    /// How sure the outcomes must be, if somebody has said it.
    until: Option<Until>,
    /// The node that is asked.
    me: Option<PeerId>,
    /// Since when the job has been computed, but not verified.
    alone: Option<Instant>,
}

impl Settled {
    pub(crate) fn new(client: &Client, until: Option<Until>) -> Self {
        Self { until, me: client.node().ok().map(|node| node.peer), alone: None }
    }

    /// Whether the job is over, and as sure as it is to be.
    pub(crate) fn look(&mut self, client: &Client, status: &JobStatus) -> Next {
        match &status.state {
            JobState::Seeking | JobState::Fetching | JobState::Running => {
                self.alone = None;
                Next::Wait(None)
            }
            JobState::SelfExecuted | JobState::Stuck { .. } => {
                let since = *self.alone.get_or_insert_with(Instant::now);
                let others = client.node().is_ok_and(|node| 0 < node.peers);
                match OTHERS_WITHIN.checked_sub(since.elapsed()) {
                    Some(left) if others && !left.is_zero() => Next::Wait(Some(left)),
                    Some(_) | None => Next::Over,
                }
            }
            JobState::Verified => {
                let until = self.until.unwrap_or_else(|| until_by_default(status, self.me));
                if is_enough(status.assurance, until) { Next::Over } else { Next::Wait(None) }
            }
            JobState::Failed { .. }
            | JobState::Broken { .. }
            | JobState::Cancelled
            | JobState::Expired => Next::Over,
        }
    }
}

/// What a job's follower should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Over,
    /// Wait for news, and look again after this time without any.
    Wait(Option<Duration>),
}

fn watch<T: DeserializeOwned>(
    open: &impl Fn() -> Result<Events<T>, ClientError>,
    sender: &Sender<News<T>>,
) {
    let mut looks = 0;
    loop {
        let lost = match open() {
            Ok(events) => {
                let mut lost = None;
                for event in events {
                    match event {
                        Ok(status) => {
                            looks = 0;
                            if sender.send(News::Status(Box::new(status))).is_err() {
                                return;
                            }
                        }
                        Err(error) => lost = Some(error),
                    }
                }
                lost
            }
            Err(error) => Some(error),
        };
        looks += 1;
        if LOOKS_MAX < looks {
            let gone = || ClientError::Malformed { why: "the stream of events ended".into() };
            // Whoever does not listen any more needs no news.
            let _ = sender.send(News::Lost(lost.unwrap_or_else(gone)));
            return;
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

/// SIGINT and SIGTERM, which do not end the process from now on.
fn signals() -> io::Result<(Runtime, [Signal; 2])> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _inside = runtime.enter();
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
    };
    Ok((runtime, signals))
}

/// Every signal becomes news.
fn listen<T>(
    runtime: &Runtime,
    [mut interrupt, mut terminate]: [Signal; 2],
    sender: &Sender<News<T>>,
) {
    runtime.block_on(async {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(News::Interrupted).is_err() {
                // Nobody follows any more: what is done now can be broken off.
                std::process::exit(End::Interrupted as i32);
            }
        }
    });
}
