//! Runs guests: a module, its inputs and its limits in, an outcome out. The only crate that knows a
//! WASM engine.
//!
//! Guests and their compilation live in worker processes that a [`Pool`] starts, watches and kills.

mod cpu;
mod determinism;
mod engine;
mod errno;
mod execute;
mod files;
mod inspect;
mod limits;
mod memory_limit;
mod modules;
mod trace;
mod wasi;

pub use inspect::{ModuleInfo, ModuleRefusal, inspect};
pub use limits::{MOUNTED_FILES_MAX, REQUEST_UNITS_MAX, WAITING_REQUESTS_MAX};
