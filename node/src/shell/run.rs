//! Running: units of one stage go to the sandbox, and what they leave is kept until it is packed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{Event, Reads, RunId};
use protocol::{Execution, JobId, Loss, Plan};
use sandbox::{OutputBytes, Ran, Run, RunRequest};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span, warn};

use crate::shell::Shared;
use crate::shell::harvest::{Harvest, keep};
use crate::shell::kept::KeptUnit;
use crate::shell::order::{Prepared, prepare};

/// How often the engine hears of finished units while a run goes on.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// Outputs that may wait in memory for the next report, in bytes.
const REPORT_BYTES: usize = 8 << 20;

/// What the engine wants to have executed.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) job: JobId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) stage: u16,
    pub(crate) units: Vec<u64>,
    pub(crate) reads: Arc<Reads>,
}

/// The runs that go on, so that they can be stopped; the engine bounds their number.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    going: Arc<Mutex<BTreeMap<RunId, CancellationToken>>>,
}

impl Runs {
    /// Begins to execute; events tell how the units end.
    pub(crate) fn start(&self, shared: &Arc<Shared>, run: RunId, order: Order) {
        let stop = CancellationToken::new();
        lock(&self.going).insert(run, stop.clone());
        let span = debug_span!("run", job = %order.job, stage = order.stage, run = run.0);
        let going = Arc::clone(&self.going);
        let this = Arc::clone(shared);
        let work = async move {
            let left = order.units.len();
            debug!(units = left, "units are run");
            let mut report = Report {
                shared: this,
                run,
                order: Arc::new(order),
                harvest: vec![],
                passed: vec![],
                bytes: 0,
            };
            // Dropped in the middle, a request frees its worker within a second.
            if stop.run_until_cancelled(report.execute()).await.is_none() {
                debug!("a run was stopped");
            }
            // What was done before a stop is kept, although the engine may not want it now.
            report.flush().await;
            lock(&going).remove(&run);
        };
        shared.spawn(work.instrument(span));
    }

    /// Stops a run; what is reported of it already stands.
    pub(crate) fn stop(&self, run: RunId) {
        if let Some(stop) = lock(&self.going).get(&run) {
            stop.cancel();
        }
    }
}

/// A run that goes on, and what of it the engine has not heard yet.
#[derive(Debug)]
struct Report {
    shared: Arc<Shared>,
    run: RunId,
    order: Arc<Order>,
    harvest: Vec<(u64, Result<Ran, Loss>)>,
    /// Units that have passed on what they read.
    passed: Vec<(u64, KeptUnit)>,
    /// What its outputs take in memory.
    bytes: usize,
}

impl Report {
    async fn execute(&mut self) {
        let mut next = 0;
        while next < self.order.units.len() {
            let order = Arc::clone(&self.order);
            let prepared = self.shared.with_store(move |store| prepare(store, &order, next)).await;
            let Prepared { request, units, lost, mut passed, next: after } = prepared;
            next = after;
            self.passed.append(&mut passed);
            self.harvest.extend(lost.into_iter().map(|(unit, loss)| (unit, Err(loss))));
            if let Some(request) = request {
                self.request(request, units).await;
            }
        }
        self.flush().await;
    }

    /// Runs one request to its end.
    async fn request(&mut self, request: RunRequest, units: Vec<u64>) {
        let mut answered = vec![false; units.len()];
        let mut due = interval_at(Instant::now() + REPORT_EVERY, REPORT_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running = self.take_turn(request).await;
        loop {
            tokio::select! {
                result = running.next() => match result {
                    Some((index, result)) => {
                        answered[index] = true;
                        self.bytes += result.as_ref().map_or(0, weight);
                        self.harvest.push((units[index], result));
                        if REPORT_BYTES < self.bytes {
                            self.flush().await;
                        }
                    }
                    None => break,
                },
                _ = due.tick() => self.flush().await,
            }
        }
        let silent = units.iter().zip(&answered).filter(|(_, answered)| !**answered);
        self.harvest.extend(silent.map(|(unit, _)| (*unit, Err(Loss::WorkerCrash))));
    }

    /// The engine asks for no more runs than there are workers; others may use the pool as well.
    async fn take_turn(&self, request: RunRequest) -> Run {
        loop {
            match self.shared.pool.run(request.clone()) {
                Ok(running) => return running,
                Err(busy) => debug!(%busy, "the sandbox takes no more"),
            }
            tokio::time::sleep(REPORT_EVERY).await;
        }
    }

    /// Keeps what has come, and tells the engine.
    async fn flush(&mut self) {
        if self.harvest.is_empty() && self.passed.is_empty() {
            return;
        }
        let units = std::mem::take(&mut self.harvest);
        let passed = std::mem::take(&mut self.passed);
        self.bytes = 0;
        let this = Arc::clone(&self.shared);
        let (job, stage) = (self.order.job, self.order.stage);
        let ran = units.len();
        let kept = self
            .shared
            .with_store(move |store| keep(&this, store, Harvest { job, stage, units, passed }));
        let units = kept.await;
        // What was passed on comes after what was executed.
        self.count(&units[..ran]);
        self.shared.tell(Event::Ran { run: self.run, units }).await;
    }

    fn count(&self, units: &[(u64, Result<Execution, Loss>)]) {
        let counters = &self.shared.counters;
        for (unit, result) in units {
            match result {
                Ok(execution) => {
                    counters.units_executed.add(1);
                    counters.cpu_microseconds.add(execution.cost.cpu_us);
                }
                Err(loss) => {
                    counters.units_lost.add(1);
                    debug!(unit, ?loss, "a unit gave no outcome");
                }
            }
        }
        let refused = units.iter().find_map(|(_, result)| match result {
            Err(Loss::Refused(why)) => Some(why),
            Ok(_) | Err(_) => None,
        });
        if let Some(why) = refused {
            let (job, stage) = (self.order.job, self.order.stage);
            self.shared.refusals.note(job, stage, why);
            warn!(%job, stage, why, "this machine cannot run some units");
        }
    }
}

fn weight(ran: &Ran) -> usize {
    let here = |bytes: &OutputBytes| match bytes {
        OutputBytes::Here(bytes) => bytes.len(),
        OutputBytes::File(..) => 0,
    };
    ran.outputs.iter().map(|output| here(&output.bytes)).sum()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
