//! A trial: one unit of a prepared job runs here, derived and executed as every peer would do it.

use std::collections::BTreeMap;
use std::io::Read;

use client::{BlobSource, Prepared};
use protocol::{BlobId, BlobRef, Execution, InputSource, Loss, Manifest, Plan, Tree, Unit};
use sandbox::{FileSource, GuestUnit, PoolConfig, Ran, run_local};
use tokio::runtime::Runtime;

use crate::cli::failure::{End, Failure, Outcome};
use crate::config::Config;

/// Parts of files are read into memory for a trial; larger ones have to be cut smaller first.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// A job whose units can be tried.
#[derive(Debug)]
pub(crate) struct Trial<'p> {
    blobs: BTreeMap<BlobId, &'p BlobSource>,
    plan: Plan,
    pool: PoolConfig,
    runtime: Runtime,
}

impl<'p> Trial<'p> {
    pub(crate) fn new(prepared: &'p Prepared, config: &Config) -> Outcome<Self> {
        let blobs: BTreeMap<BlobId, &BlobSource> =
            prepared.blobs.iter().map(|source| (source.blob().id, source)).collect();
        let mut trial = Self {
            blobs,
            plan: Plan::new(prepared.manifest()),
            pool: PoolConfig {
                program: config.worker.path.clone(),
                args: config.worker.args.clone(),
                workers: 1,
                cache_dir: config.data_dir.join("modules"),
                scratch_dir: config.data_dir.join("scratch"),
            },
            runtime: Runtime::new()?,
        };
        for tree in trial.plan.missing_parts() {
            let parsed = trial.tree(tree)?;
            trial.plan.add_parts(tree.id, parsed);
        }
        Ok(trial)
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        self.plan.manifest()
    }

    /// Looks at a stage's module without running it.
    pub(crate) fn inspect(&self, stage: u16) -> Outcome<()> {
        let stage = self.plan.stage(stage);
        let refuse = |why: &dyn std::fmt::Display, hint: &str| {
            let error = format!("the module of stage `{}`: {why}", stage.name);
            Err(Failure::new(End::BadInput, error, hint))
        };
        match sandbox::inspect(&self.bytes(stage.module)?) {
            Ok(info) if stage.limits.memory_bytes < info.memory_bytes => {
                let why = format!("it begins with {} bytes of memory", info.memory_bytes);
                refuse(&why, "raise the stage's limit `memory`")
            }
            Ok(_) => Ok(()),
            Err(refusal) => refuse(&refusal, "peers would refuse it, too"),
        }
    }

    /// A stage's first unit; `None` if it reads what another stage has yet to compute.
    pub(crate) fn unit(&self, stage: u16) -> Option<Unit> {
        self.plan.unit(stage, 0, None)
    }

    /// Runs a unit in a sandbox of its own.
    pub(crate) fn run(&self, unit: Unit) -> Outcome<Result<Ran, Loss>> {
        let module = self.named(unit.module)?;
        let module = self.source(module.blob())?;
        let stdin = unit.stdin.map(|blob| self.source(blob)).transpose()?;
        let mut files = Vec::new();
        for input in &unit.inputs {
            match input.source {
                InputSource::Blob(blob) => files.push((input.path.clone(), self.source(blob)?)),
                InputSource::Tree(tree) => {
                    for entry in self.tree(tree)?.entries() {
                        let path = match input.path.as_str() {
                            "" => entry.path.clone(),
                            place => format!("{place}/{}", entry.path),
                        };
                        files.push((path, self.source(entry.blob)?));
                    }
                }
                InputSource::Outcomes(..) => {}
            }
        }
        let guest = GuestUnit { unit, stdin, files };
        let ran = self.runtime.block_on(run_local(self.pool.clone(), module, guest));
        ran.map_err(|error| Failure::of(End::NoNode, &error))
    }

    fn tree(&self, tree: BlobRef) -> Outcome<Tree> {
        let bytes = self.bytes(tree)?;
        Tree::from_bytes(&bytes).map_err(|error| Failure::of(End::BadInput, &error))
    }

    fn source(&self, blob: BlobRef) -> Outcome<FileSource> {
        let source = self.named(blob.id)?;
        match source.path() {
            Some(path) if source.is_whole_file() => {
                Ok(FileSource::Path { path: path.to_owned(), size: blob.size })
            }
            Some(_) | None => self.bytes(blob).map(FileSource::Bytes),
        }
    }

    fn bytes(&self, blob: BlobRef) -> Outcome<Vec<u8>> {
        if MEMORY_BYTES_MAX < blob.size {
            let error = format!("a part of {} bytes is too large to try", blob.size);
            return Err(Failure::new(End::BadInput, error, "make parts smaller, or use --no-run"));
        }
        let mut bytes = Vec::new();
        self.named(blob.id)?.reader()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn named(&self, id: BlobId) -> Outcome<&'p BlobSource> {
        self.blobs.get(&id).copied().ok_or_else(|| {
            Failure::new(End::BadInput, format!("{id} is not part of the job"), "check it again")
        })
    }
}

/// Why a run gave nothing to compare, and what to do about it.
pub(crate) fn lost(loss: &Loss) -> Failure {
    let (why, hint) = match loss {
        Loss::Timeout => {
            ("its CPU time was used up", "raise the limit `cpu`, or do less in a unit")
        }
        Loss::HostMemory => ("this machine has no memory left", "lower the limit `memory`"),
        Loss::StackOverflow => ("its stack overflowed", "recurse less deeply"),
        Loss::MissingBlob(_) => ("an input could not be read", "check the files it is given"),
        Loss::WorkerCrash => ("the sandbox's process died", "see the log: --log sandbox=debug"),
        Loss::Refused(why) => (why.as_str(), "peers would refuse it, too"),
        Loss::Cancelled => ("it was stopped", "run it again"),
    };
    Failure::new(End::Undecided, format!("the unit has no outcome: {why}"), hint)
}

/// What a run has used, in one line.
pub(crate) fn cost(execution: &Execution) -> String {
    let cost = execution.cost;
    let millis = format!("{}.{:03} ms of CPU", cost.cpu_us / 1000, cost.cpu_us % 1000);
    let memory = client::show_bytes(cost.memory_bytes);
    match cost.fuel {
        0 => format!("{millis}, {memory} of memory"),
        fuel => format!("{millis}, {memory} of memory, {fuel} fuel"),
    }
}
