//! One run of one unit, from its mounts to its outcome.

use std::path::Path;

use protocol::limits::{ARGS_BYTES_MAX, UNIT_MEMORY_BYTES_MAX, UNIT_OUTPUT_BYTES_MAX};
use protocol::limits::{TREE_BYTES_MAX, UNIT_CPU_MS_MAX, UNIT_FILES_MAX};
use protocol::{
    BlobRef, Cost, Entry, Execution, Exit, Loss, Outcome, SEMANTICS, Trap, Tree, Unit, trace_digest,
};
use wasmtime::Store;

use crate::cpu::CpuClock;
use crate::errno::End;
use crate::files::{Content, Files, OUT};
use crate::modules::Ready;
use crate::trace::Pages;
use crate::wasi::{Guest, Mounts};

/// A finished run and what it left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) execution: Execution,
    pub(crate) outputs: Vec<(BlobRef, Content)>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs a unit to its end.
pub(crate) fn execute(
    ready: &Ready,
    unit: &Unit,
    mounts: Mounts,
    scratch: &Path,
    pages: &mut Pages,
) -> Result<Finished, Loss> {
    check(ready, unit)?;
    let clock = CpuClock::of_this_thread();
    let guest = Guest::new(unit, mounts, scratch).map_err(lost)?;
    let mut store = Store::new(ready.instance.module().engine(), guest);
    store.limiter(|guest| &mut guest.memory_limit);
    if let Some(fuel) = unit.limits.fuel {
        store.set_fuel(fuel).map_err(|error| Loss::Refused(error.to_string()))?;
    }
    let verdict = match run(ready, &mut store) {
        Ok(()) => Verdict::Exit(0),
        Err(error) => judge(&error)?,
    };
    // Taken before the store goes: only an exit leaves memory that is equal everywhere.
    let blocks = match (verdict, store.data().memory) {
        (Verdict::Exit(_), Some(memory)) => pages.blocks(memory.data(&store), ready.image_bytes),
        (Verdict::Exit(_), None) | (Verdict::End(_), _) => Vec::new(),
    };
    let left = unit.limits.fuel.map(|given| given - store.get_fuel().unwrap_or(0).min(given));
    let memory_bytes = store.data().memory_limit.peak();
    let (stdout, files, stderr) = store.into_data().into_remains();
    let (outcome, outputs) = match verdict {
        Verdict::Exit(code) => exit(code, stdout, files).map_err(lost)?,
        Verdict::End(outcome) => (outcome, Vec::new()),
    };
    let trace = trace_digest(&outcome, blocks);
    let cost = Cost { cpu_us: clock.elapsed_us(), fuel: left.unwrap_or(0), memory_bytes };
    Ok(Finished { execution: Execution { outcome, trace, cost }, outputs, stderr })
}

/// How a run ended, before its output is looked at.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Exit(u32),
    End(Outcome),
}

/// What no unit may ask for, whoever sent it.
fn check(ready: &Ready, unit: &Unit) -> Result<(), Loss> {
    let limits = &unit.limits;
    let strings = unit.args.iter().chain(unit.env.iter().flat_map(|(key, value)| [key, value]));
    let reason = if unit.semantics != SEMANTICS {
        format!("the unit is for semantics {} and this is {SEMANTICS}", unit.semantics)
    } else if limits.memory_bytes < ready.memory_bytes {
        format!(
            "the module begins with {} bytes of memory and the unit's limit is {}; raise the limit",
            ready.memory_bytes, limits.memory_bytes
        )
    } else if UNIT_MEMORY_BYTES_MAX < limits.memory_bytes
        || UNIT_OUTPUT_BYTES_MAX < limits.output_bytes
        || UNIT_FILES_MAX < limits.files
        || UNIT_CPU_MS_MAX < limits.cpu_ms
    {
        "a limit of the unit is beyond what any unit may have".to_owned()
    } else if ARGS_BYTES_MAX < strings.map(|string| string.len() + 1).sum::<usize>() {
        format!("arguments and environment are more than {ARGS_BYTES_MAX} bytes")
    } else {
        return Ok(());
    };
    Err(Loss::Refused(reason))
}

fn run(ready: &Ready, store: &mut Store<Guest>) -> wasmtime::Result<()> {
    let instance = ready.instance.instantiate(&mut *store)?;
    store.data_mut().memory = instance.get_memory(&mut *store, "memory");
    instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call(store, ())
}

fn judge(error: &wasmtime::Error) -> Result<Verdict, Loss> {
    if let Some(end) = error.downcast_ref::<End>() {
        return match end {
            End::Exit(code) => Ok(Verdict::Exit(*code)),
            End::OutputTooLarge => Ok(Verdict::End(Outcome::OutputTooLarge)),
            End::OutOfFuel => Ok(Verdict::End(Outcome::OutOfFuel)),
            End::HostMemory(_) => Err(Loss::HostMemory),
            End::Refused(why) => Err(Loss::Refused(why.clone())),
        };
    }
    let Some(trap) = error.downcast_ref::<wasmtime::Trap>() else {
        return Err(Loss::Refused(format!("the module cannot be started here: {error:#}")));
    };
    let trap = match trap {
        wasmtime::Trap::StackOverflow => return Err(Loss::StackOverflow),
        wasmtime::Trap::OutOfFuel => return Ok(Verdict::End(Outcome::OutOfFuel)),
        wasmtime::Trap::MemoryOutOfBounds => Trap::MemoryOutOfBounds,
        wasmtime::Trap::TableOutOfBounds => Trap::TableOutOfBounds,
        wasmtime::Trap::IndirectCallToNull => Trap::IndirectCallToNull,
        wasmtime::Trap::BadSignature => Trap::BadSignature,
        wasmtime::Trap::IntegerOverflow => Trap::IntegerOverflow,
        wasmtime::Trap::IntegerDivisionByZero => Trap::IntegerDivisionByZero,
        wasmtime::Trap::BadConversionToInteger => Trap::BadConversionToInteger,
        wasmtime::Trap::UnreachableCodeReached => Trap::Unreachable,
        _ => Trap::Other,
    };
    Ok(Verdict::End(Outcome::Trap(trap)))
}

/// The outcome of an exit, and every blob that it names.
fn exit(
    code: u32,
    stdout: Content,
    files: Files,
) -> Result<(Outcome, Vec<(BlobRef, Content)>), End> {
    let stdout_ref = stdout.blob()?;
    let mut outputs = vec![(stdout_ref, stdout)];
    let mut entries = Vec::new();
    for (path, content) in files.into_outputs(OUT) {
        let blob = content.blob()?;
        entries.push(Entry { path, blob, is_tree: false });
        outputs.push((blob, content));
    }
    let tree = match Tree::new(entries) {
        Ok(tree) => tree.to_bytes(),
        Err(error) => return Err(End::Refused(format!("/out is no tree: {error}"))),
    };
    if TREE_BYTES_MAX < tree.len() {
        return Ok((Outcome::OutputTooLarge, Vec::new()));
    }
    let out = BlobRef::of(&tree);
    outputs.push((out, Content::Memory(tree)));
    outputs.sort_by_key(|(blob, _)| *blob);
    outputs.dedup_by_key(|(blob, _)| *blob);
    Ok((Outcome::Exit(Exit { code, stdout: stdout_ref, out }), outputs))
}

fn lost(end: End) -> Loss {
    match end {
        End::Refused(why) => Loss::Refused(why),
        End::HostMemory(_) | End::Exit(_) | End::OutputTooLarge | End::OutOfFuel => {
            Loss::HostMemory
        }
    }
}
