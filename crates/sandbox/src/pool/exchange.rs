//! One request with one worker after the other: what was sent, what came back, whose fault a death is.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use protocol::Loss;
use serde_bytes::ByteBuf;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::folders::Folders;
use super::link::Turn;
use super::process::Worker;
use super::request::Prepared;
use super::run::Ran;
use crate::limits::{COMPILE_CPU, FRAME_BYTES, FRAME_BYTES_MAX, GRACE, WINDOW_BYTES, wall_limit};
use crate::wire::{Done, EXIT_COMPILE_TIMEOUT, EXIT_TIMEOUT, Open, Order, Report, frame, parse};

type Results = Sender<(usize, Result<Ran, Loss>)>;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    request: Prepared,
    folders: Arc<Folders>,
    /// Units that have their result: always the first ones.
    answered: usize,
    /// Units that the present worker has been given.
    sent: usize,
    /// Bytes of those given and not answered.
    window: VecDeque<usize>,
    /// Whether units are announced one by one, because a worker died among many.
    is_cautious: bool,
    phase: Phase,
    /// Workers that died while they compiled the module.
    compile_deaths: u32,
}

/// What the present worker last said that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Compiling,
    /// Running units; the one that it named last.
    Running(Option<usize>),
}

/// How an exchange with one worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Every unit has its result; the worker can take another request.
    Done,
    Died,
    /// It is alive and beyond every limit, or talks nonsense.
    Stuck,
    /// Nobody waits for the results any more.
    Unwanted,
}

impl Exchange {
    pub(super) fn new(request: Prepared, folders: Arc<Folders>) -> Self {
        Self {
            request,
            folders,
            answered: 0,
            sent: 0,
            window: VecDeque::new(),
            is_cautious: false,
            phase: Phase::Compiling,
            compile_deaths: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.answered == self.request.jobs.len()
    }

    /// Goes on with a worker until there is nothing left to do with it.
    pub(super) async fn with(&mut self, worker: &mut Worker, results: &Results) -> Ending {
        self.sent = self.answered;
        self.window.clear();
        self.phase = Phase::Compiling;
        worker.link.send(&frame(&Order::Open(Open {
            module: self.request.module,
            bytes: self.request.bytes.clone(),
            plain: self.request.plain,
            metered: self.request.metered,
            shared: self.request.shared.clone(),
            cautious: self.is_cautious,
        })));
        let mut heard = Instant::now();
        loop {
            self.fill(worker);
            let deadline = heard + self.patience();
            let turn = tokio::select! {
                biased;
                turn = timeout_at(deadline, worker.link.turn()) => turn,
                () = results.closed() => return Ending::Unwanted,
            };
            let report = match turn {
                Ok(Ok(Turn::Said(report))) => report,
                Ok(Ok(Turn::Drained)) => continue,
                Ok(Ok(Turn::Closed) | Err(_)) => return Ending::Died,
                Err(_) => return Ending::Stuck,
            };
            if let Some(ending) = self.take(report, results).await {
                return ending;
            }
            heard = Instant::now();
        }
    }

    /// What the death of the worker means.
    pub(super) async fn died(&mut self, status: Option<ExitStatus>, results: &Results) {
        let code = status.and_then(|status| status.code());
        debug!(?code, signal = ?status.and_then(|s| s.signal()), phase = ?self.phase, "worker died");
        if code == Some(EXIT_TIMEOUT.into()) {
            return self.lose(Loss::Timeout, results).await;
        }
        if code == Some(EXIT_COMPILE_TIMEOUT.into()) {
            return self.give_up(&Loss::Timeout, results).await;
        }
        match self.phase {
            Phase::Compiling => {
                self.compile_deaths += 1;
                if 1 < self.compile_deaths {
                    self.give_up(&Loss::WorkerCrash, results).await;
                }
            }
            Phase::Running(named) if named == Some(self.answered) || self.is_cautious => {
                self.lose(Loss::WorkerCrash, results).await;
            }
            // Results may have been on their way: another worker goes one step at a time.
            Phase::Running(_) => self.is_cautious = true,
        }
    }

    /// What it means that the worker had to be killed.
    pub(super) async fn stuck(&mut self, results: &Results) {
        match self.phase {
            Phase::Compiling => self.give_up(&Loss::Timeout, results).await,
            Phase::Running(_) => self.lose(Loss::Timeout, results).await,
        }
    }

    /// All units that are left are lost for the same reason.
    pub(super) async fn give_up(&mut self, loss: &Loss, results: &Results) {
        while !self.is_done() {
            self.lose(loss.clone(), results).await;
        }
    }

    async fn lose(&mut self, loss: Loss, results: &Results) {
        // An error means that nobody waits any more, which the next exchange notices.
        let _ = results.send((self.answered, Err(loss))).await;
        self.answered += 1;
    }

    /// Sends units as long as the worker need not hold too many bytes of them.
    fn fill(&mut self, worker: &mut Worker) {
        loop {
            let (mut jobs, mut bytes) = (Vec::new(), 0);
            let held: usize = self.window.iter().sum();
            while self.sent < self.request.jobs.len()
                && bytes < FRAME_BYTES
                && held + bytes < WINDOW_BYTES
            {
                let job = protocol::encode(&self.request.jobs[self.sent]);
                if FRAME_BYTES_MAX / 2 < job.len() + bytes && !jobs.is_empty() {
                    break;
                }
                bytes += job.len();
                self.window.push_back(job.len());
                self.sent += 1;
                jobs.push(ByteBuf::from(job));
            }
            if jobs.is_empty() {
                return;
            }
            worker.link.send(&frame(&Order::Units(jobs)));
        }
    }

    /// How long the worker may be silent: its own watch should have ended what takes longer.
    fn patience(&self) -> Duration {
        let limit = match self.phase {
            Phase::Compiling => 4 * COMPILE_CPU,
            Phase::Running(_) => {
                let job = self.request.jobs.get(self.answered);
                wall_limit(job.map_or(0, |job| job.unit.limits.cpu_ms))
            }
        };
        limit + GRACE
    }

    async fn take(&mut self, report: Report, results: &Results) -> Option<Ending> {
        match report {
            Report::Ready(_) => Some(Ending::Stuck),
            Report::Module(None) => {
                self.phase = Phase::Running(None);
                None
            }
            Report::Module(Some(loss)) => {
                self.give_up(&loss, results).await;
                Some(Ending::Done)
            }
            Report::Running(index) => {
                self.phase = Phase::Running(Some(index as usize));
                None
            }
            Report::Done(done) => self.take_results(done, results).await,
        }
    }

    async fn take_results(&mut self, done: Vec<ByteBuf>, results: &Results) -> Option<Ending> {
        for done in done {
            let Ok(Done { index, result }) = parse(&done) else { return Some(Ending::Stuck) };
            if index as usize != self.answered || self.sent <= self.answered {
                return Some(Ending::Stuck);
            }
            let result = match result {
                Ok(ran) => match Ran::from_wire(ran, &self.folders) {
                    Some(ran) => Ok(ran),
                    None => return Some(Ending::Stuck),
                },
                Err(loss) => Err(loss),
            };
            self.window.pop_front();
            if results.send((self.answered, result)).await.is_err() {
                return Some(Ending::Unwanted);
            }
            self.answered += 1;
        }
        self.is_done().then_some(Ending::Done)
    }
}
