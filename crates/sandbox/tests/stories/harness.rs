//! One pool on a temporary folder, and short ways to run a guest in it.

use protocol::{BlobId, Exit, Hash, Loss, Outcome, SEMANTICS, Tree, Unit, UnitLimits};
use sandbox::{FileSource, GuestUnit, Pool, PoolConfig, Ran, RunRequest};
use tempfile::TempDir;

/// A pool and the folder that it works in.
pub(crate) struct Lab {
    pub(crate) pool: Pool,
    pub(crate) folder: TempDir,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::with_workers(1).await
    }

    pub(crate) async fn with_workers(workers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::start(config(&folder, workers)).await.unwrap();
        Self { pool, folder }
    }

    /// Runs one unit.
    pub(crate) async fn run(&self, module: &[u8], unit: GuestUnit) -> Result<Ran, Loss> {
        let mut results = self.run_all(module, vec![unit]).await;
        assert_eq!(results.len(), 1);
        results.remove(0)
    }

    /// Runs units in one request.
    pub(crate) async fn run_all(
        &self,
        module: &[u8],
        units: Vec<GuestUnit>,
    ) -> Vec<Result<Ran, Loss>> {
        let mut run = self.pool.run(request(module, units)).unwrap();
        let mut results = Vec::new();
        while let Some((index, result)) = run.next().await {
            assert_eq!(index, results.len(), "results come in order");
            results.push(result);
        }
        results
    }

    /// Runs a module given as text with a default unit.
    pub(crate) async fn wat(&self, text: &str) -> Result<Ran, Loss> {
        let module = wat::parse_str(text).unwrap();
        self.run(&module, unit(&module)).await
    }

    /// The outcome of a module that is given as text.
    pub(crate) async fn outcome(&self, text: &str) -> Result<Outcome, Loss> {
        self.wat(text).await.map(|ran| ran.execution.outcome)
    }
}

pub(crate) fn config(folder: &TempDir, workers: usize) -> PoolConfig {
    PoolConfig {
        program: env!("CARGO_BIN_EXE_sandbox-worker").into(),
        args: Vec::new(),
        workers,
        cache_dir: folder.path().join("cache"),
        scratch_dir: folder.path().join("scratch"),
    }
}

pub(crate) fn request(module: &[u8], units: Vec<GuestUnit>) -> RunRequest {
    let module = FileSource::Bytes(module.to_vec());
    RunRequest { module, shared_files: Vec::new(), units }
}

/// A unit without arguments, inputs or special limits.
pub(crate) fn unit(module: &[u8]) -> GuestUnit {
    let unit = Unit {
        semantics: SEMANTICS,
        module: BlobId::of(module),
        args: Vec::new(),
        env: Vec::new(),
        stdin: None,
        inputs: Vec::new(),
        limits: UnitLimits::default(),
        seed: Hash::ZERO,
    };
    GuestUnit { unit: unit.seeded(), stdin: None, files: Vec::new() }
}

/// The same with limits changed.
pub(crate) fn limited(module: &[u8], change: impl FnOnce(&mut UnitLimits)) -> GuestUnit {
    let mut unit = unit(module);
    change(&mut unit.unit.limits);
    unit
}

pub(crate) fn bytes(text: &str) -> FileSource {
    FileSource::Bytes(text.as_bytes().to_vec())
}

/// A module whose `_start` is `body`; it has a page of memory and can exit.
pub(crate) fn start(body: &str) -> String {
    format!(
        "(module
            (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
            (memory (export \"memory\") 1)
            (func (export \"_start\") {body}))"
    )
}

/// Exit code of a run, which must have been an exit.
pub(crate) fn code(ran: &Ran) -> u32 {
    exit(ran).code
}

/// What a run wrote to stdout.
pub(crate) fn stdout(ran: &Ran) -> String {
    let blob = exit(ran).stdout;
    let output = ran.outputs.iter().find(|output| output.blob == blob).unwrap();
    let bytes = output.read().unwrap();
    assert_eq!(BlobId::of(&bytes), blob.id, "an output is what it is called");
    String::from_utf8(bytes).unwrap()
}

/// The files that a run left in `/out`, by path.
pub(crate) fn files(ran: &Ran) -> Vec<(String, Vec<u8>)> {
    let read = |blob| {
        let output = ran.outputs.iter().find(|output| output.blob == blob).unwrap();
        let bytes = output.read().unwrap();
        assert_eq!(BlobId::of(&bytes), blob.id, "an output is what it is called");
        bytes
    };
    let tree = Tree::from_bytes(&read(exit(ran).out)).unwrap();
    tree.entries().iter().map(|entry| (entry.path.clone(), read(entry.blob))).collect()
}

fn exit(ran: &Ran) -> Exit {
    match ran.execution.outcome {
        Outcome::Exit(exit) => exit,
        other @ (Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge) => {
            panic!("an exit was expected, and it was {other:?}")
        }
    }
}
