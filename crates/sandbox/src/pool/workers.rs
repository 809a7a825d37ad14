//! The pool: a fixed number of workers, and requests that take turns with them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::Loss;
use tokio::sync::{Semaphore, mpsc};
use tracing::error;

use super::exchange::{Ending, Exchange};
use super::folders::Folders;
use super::process::{Recipe, StartError, Worker};
use super::request::{FileSource, GuestUnit, Prepared, RunRequest};
use super::run::{Ran, Run};
use crate::limits::{REQUEST_UNITS_MAX, WAITING_REQUESTS_MAX, WAITING_RESULTS_MAX};

/// How a pool's workers are started and where they may write.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// A program whose `main` is [`crate::worker_main`] when it is given `args`.
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// At least one; each runs one unit at a time.
    pub workers: usize,
    /// Compiled modules, kept over restarts. Only this user may have access to it.
    pub cache_dir: PathBuf,
    /// Large files of guests. On a disk with room: up to 2 GiB for each worker.
    pub scratch_dir: PathBuf,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    #[error("{WAITING_REQUESTS_MAX} requests wait for a sandbox worker already")]
    Full,
    #[error("a request of {units} units, where at most {REQUEST_UNITS_MAX} are taken")]
    TooManyUnits { units: usize },
}

/// Worker processes that run units.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    recipe: Recipe,
    /// Workers that have nothing to do.
    idle: Mutex<Vec<Worker>>,
    /// One permit for each worker there may be; whoever waited longest gets the next.
    places: Semaphore,
    waiting: AtomicUsize,
    serial: AtomicU64,
    missing: Vec<String>,
}

impl Pool {
    /// Starts all workers. Needs a tokio runtime, which must outlive the pool.
    ///
    /// # Errors
    /// [`StartError`] if the folders or the first worker do not come up.
    pub async fn start(config: PoolConfig) -> Result<Self, StartError> {
        let folder = |path: &PathBuf, source| StartError::Folder { path: path.clone(), source };
        let folders =
            Folders::new(&config.scratch_dir).map_err(|e| folder(&config.scratch_dir, e))?;
        let cache =
            std::path::absolute(&config.cache_dir).map_err(|e| folder(&config.cache_dir, e))?;
        let program = std::path::absolute(&config.program)
            .map_err(|source| StartError::Spawn { program: config.program.clone(), source })?;
        let folders = Arc::new(folders);
        let recipe = Recipe { program, args: config.args, cache, folders };
        let workers = config.workers.max(1);
        let mut idle = Vec::with_capacity(workers);
        for serial in 0..workers {
            idle.push(recipe.start(serial as u64).await?);
        }
        let missing = idle[0].missing.clone();
        let shared = Shared {
            recipe,
            idle: Mutex::new(idle),
            places: Semaphore::new(workers),
            waiting: AtomicUsize::new(0),
            serial: AtomicU64::new(workers as u64),
            missing,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Has units run, all by one worker. The request waits its turn when all workers are busy.
    ///
    /// # Errors
    /// [`Busy`] if there are too many units, or requests that wait.
    pub fn run(&self, request: RunRequest) -> Result<Run, Busy> {
        let units = request.units.len();
        if REQUEST_UNITS_MAX < units {
            return Err(Busy::TooManyUnits { units });
        }
        let more = |waiting| (waiting < WAITING_REQUESTS_MAX).then_some(waiting + 1);
        let counted = self.shared.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        counted.map_err(|_| Busy::Full)?;
        let (to_run, results) = mpsc::channel(WAITING_RESULTS_MAX);
        tokio::spawn(self.shared.clone().carry_out(request, to_run));
        Ok(Run { results })
    }

    /// Layers of isolation that this machine does not offer to workers.
    pub fn missing_isolation(&self) -> &[String] {
        &self.shared.missing
    }

    /// Processes of workers that have nothing to do.
    pub fn idle_pids(&self) -> Vec<u32> {
        self.shared.idle().iter().map(|worker| worker.pid).collect()
    }
}

type Results = mpsc::Sender<(usize, Result<Ran, Loss>)>;

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry_out(self: Arc<Self>, request: RunRequest, results: Results) {
        let place = tokio::select! {
            place = self.places.acquire() => Some(place),
            () = results.closed() => None,
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let Some(Ok(_place)) = place else { return };
        let units = request.units.len();
        let folders = self.recipe.folders.clone();
        let prepared = tokio::task::spawn_blocking(move || Prepared::new(request, &folders)).await;
        match prepared {
            Ok(Ok(Some(prepared))) => self.drive(prepared, &results).await,
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => {
                error!(units, "inputs cannot be written to the sandbox's scratch folder");
                for index in 0..units {
                    let _ = results.send((index, Err(Loss::HostMemory))).await;
                }
            }
        }
    }

    /// Carries a request out, with as many workers one after the other as it takes.
    async fn drive(&self, prepared: Prepared, results: &Results) {
        let mut exchange = Exchange::new(prepared, self.recipe.folders.clone());
        while !exchange.is_done() {
            let Some(mut worker) = self.worker().await else {
                exchange.give_up(&Loss::WorkerCrash, results).await;
                return;
            };
            match exchange.with(&mut worker, results).await {
                Ending::Done => self.idle().push(worker),
                Ending::Died => {
                    let status = worker.end().await;
                    exchange.died(status.ok(), results).await;
                }
                Ending::Stuck => {
                    let _ = worker.kill().await;
                    exchange.stuck(results).await;
                }
                Ending::Unwanted => {
                    let _ = worker.kill().await;
                    return;
                }
            }
        }
    }

    /// A worker that is idle and alive, or a new one.
    async fn worker(&self) -> Option<Worker> {
        loop {
            let Some(mut worker) = self.idle().pop() else { break };
            if worker.is_alive() {
                return Some(worker);
            }
        }
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        match self.recipe.start(serial).await {
            Ok(worker) => Some(worker),
            Err(error) => {
                error!(%error, "no sandbox worker can be started");
                None
            }
        }
    }
}

/// Runs one unit in a worker of its own: what a person does to test a module.
///
/// # Errors
/// [`StartError`] if no worker comes up; what becomes of the unit is in the result.
pub async fn run_local(
    config: PoolConfig,
    module: FileSource,
    unit: GuestUnit,
) -> Result<Result<Ran, Loss>, StartError> {
    let pool = Pool::start(PoolConfig { workers: 1, ..config }).await?;
    let request = RunRequest { module, shared_files: Vec::new(), units: vec![unit] };
    let mut run = pool.run(request).expect("a new pool has room for one unit");
    let result = run.next().await;
    Ok(result.map_or(Err(Loss::WorkerCrash), |(_, result)| result))
}
