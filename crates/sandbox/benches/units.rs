//! Units per second through a pool: how little a tiny unit costs beside its own work.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people at a terminal")]

use std::time::Instant;

use protocol::{BlobId, Hash, SEMANTICS, Unit, UnitLimits};
use sandbox::{FileSource, GuestUnit, Pool, PoolConfig, REQUEST_UNITS_MAX, RunRequest};

const ROUNDS: usize = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let config = PoolConfig {
        program: env!("CARGO_BIN_EXE_sandbox-worker").into(),
        args: Vec::new(),
        workers: 1,
        cache_dir: folder.path().join("cache"),
        scratch_dir: folder.path().join("scratch"),
    };
    let pool = Pool::start(config).await.unwrap();
    let empty = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    let touch = |mib: u32| {
        format!(
            "(module (memory (export \"memory\") {}) (func (export \"_start\")
                (memory.fill (i32.const 0) (i32.const 7) (i32.const {}))))",
            mib * 16,
            mib << 20
        )
    };
    let big = "(module (memory (export \"memory\") 4096) (func (export \"_start\")
        (i32.store (i32.const 200000000) (i32.const 1))))";
    let stdio = include_bytes!("../tests/guests/stdio.wasm").to_vec();
    for (name, module, units) in [
        ("nothing", wat::parse_str(empty).unwrap(), REQUEST_UNITS_MAX),
        ("C program", stdio, REQUEST_UNITS_MAX),
        ("256 MiB, one page touched", wat::parse_str(big).unwrap(), REQUEST_UNITS_MAX),
        ("1 MiB filled", wat::parse_str(touch(1)).unwrap(), 256),
        ("64 MiB filled", wat::parse_str(touch(64)).unwrap(), 4),
    ] {
        measure(&pool, name, &module, units).await;
    }
}

async fn measure(pool: &Pool, name: &str, module: &[u8], units: usize) {
    let limits = UnitLimits::default();
    let unit = Unit {
        semantics: SEMANTICS,
        module: BlobId::of(module),
        args: Vec::new(),
        env: Vec::new(),
        stdin: None,
        inputs: Vec::new(),
        limits,
        seed: Hash::ZERO,
    };
    let unit = GuestUnit { unit, stdin: None, files: Vec::new() };
    let (mut best, mut cpu_us) = (f64::INFINITY, u64::MAX);
    for _ in 0..ROUNDS {
        let request = RunRequest {
            module: FileSource::Bytes(module.to_vec()),
            shared_files: Vec::new(),
            units: vec![unit.clone(); units],
        };
        let start = Instant::now();
        let mut run = pool.run(request).unwrap();
        let mut inside = 0;
        while let Some((_, result)) = run.next().await {
            inside += result.unwrap().execution.cost.cpu_us;
        }
        best = best.min(start.elapsed().as_secs_f64());
        cpu_us = cpu_us.min(inside);
    }
    let (count, each) = (units as f64, cpu_us as f64 / units as f64);
    println!(
        "{name}: {:.0} units/s, {:.1} µs each of which {each:.1} µs CPU in the worker",
        count / best,
        best * 1e6 / count,
    );
}
