//! Runs guests: a module, its inputs and its limits in, an outcome out. The only crate that knows a
//! WASM engine.
//!
//! Guests and their compilation live in worker processes that a [`Pool`] starts, watches and kills.

mod limits;

mod errno;
mod files;
mod wasi;

mod cpu;
mod determinism;
mod engine;
mod execute;
mod inspect;
mod memory_limit;
mod modules;
mod trace;

mod pool;
mod wire;
mod worker;

pub use inspect::{ModuleInfo, ModuleRefusal, inspect};
pub use limits::{MOUNTED_FILES_MAX, REQUEST_UNITS_MAX, WAITING_REQUESTS_MAX};
pub use pool::{
    Busy, FileSource, GuestUnit, Output, OutputBytes, OutputFile, Pool, PoolConfig, Ran, Run,
    RunRequest, StartError, run_local,
};
pub use worker::worker_main;
