//! Preparing: what is to be executed becomes a request to the sandbox, with everything it reads.

use std::collections::BTreeSet;

use protocol::limits::{INLINE_BYTES_MAX, MODULE_BYTES_MAX};
use protocol::{
    BlobId, Cost, Execution, Exit, Input, Loss, Outcome, Read, Role, Source, Unit, hash,
};
use sandbox::{FileSource, GuestUnit, REQUEST_UNITS_MAX, RunRequest};
use store::Store;

use crate::shell::kept::KeptUnit;
use crate::shell::mount::{Files, Found, Mounter};
use crate::shell::run::Order;

/// Inputs of single units that one request carries in memory, in bytes.
const OWN_BYTES_MAX: u64 = 16 << 20;

/// Some units of a run, ready to be executed.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Nothing, if no unit could be prepared.
    pub(crate) request: Option<RunRequest>,
    /// The request's units.
    pub(crate) units: Vec<u64>,
    /// Units whose inputs are not here.
    pub(crate) lost: Vec<(u64, Loss)>,
    /// Units that pass on what they read, and so have an outcome already.
    pub(crate) passed: Vec<(u64, KeptUnit)>,
    /// Where in the order the next request begins.
    pub(crate) next: usize,
}

/// A unit, and what it reads that others do not.
struct Own {
    index: u64,
    unit: Unit,
    reads: Vec<Read>,
}

/// Prepares as many units as fit one request, from number `first` of the order.
pub(crate) fn prepare(store: &Store, order: &Order, first: usize) -> Prepared {
    let mut mounter = Mounter::new(store, &order.plan, &order.reads);
    let (mut lost, mut passed, mut units) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    let mut next = first;
    for index in order.units[first..].iter().take(REQUEST_UNITS_MAX) {
        if OWN_BYTES_MAX < bytes {
            break;
        }
        next += 1;
        match look_at(&mut mounter, order, *index) {
            Ok(Look::Runs(own)) => {
                bytes += own_bytes(&own.unit, order);
                units.push(own);
            }
            Ok(Look::Passes(unit)) => passed.push((*index, unit)),
            Err(loss) => lost.push((*index, loss)),
        }
    }
    if units.is_empty() {
        return Prepared { request: None, units: Vec::new(), lost, passed, next };
    }
    let inputs = shared_inputs(&units);
    let reads = order.plan.reads(order.stage, 0..1).into_iter();
    let reads: Vec<Read> = reads.filter(|read| is_shared(order, read)).collect();
    let (module, files) = match common(&mut mounter, store, order, (&inputs, &reads)) {
        Ok(common) => common,
        Err(loss) => {
            lost.extend(units.into_iter().map(|own| (own.index, loss.clone())));
            return Prepared { request: None, units: Vec::new(), lost, passed, next };
        }
    };
    let (mut numbers, mut requests) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    let mut rest = units.into_iter();
    for unit in rest.by_ref() {
        let index = unit.index;
        match own(&mut mounter, unit, &inputs) {
            Ok(request) => {
                bytes += request.files.iter().map(|(_, file)| weight(file)).sum::<u64>();
                numbers.push(index);
                requests.push(request);
            }
            Err(loss) => lost.push((index, loss)),
        }
        if OWN_BYTES_MAX < bytes {
            break;
        }
    }
    // What became too much is looked at again with the next request.
    if let Some(unit) = rest.next() {
        let at = order.units[first..].iter().position(|index| *index == unit.index);
        next = first + at.unwrap_or(0);
        let later = |index: &u64| order.units[next..].contains(index);
        lost.retain(|(index, _)| !later(index));
        passed.retain(|(index, _)| !later(index));
    }
    let request = RunRequest { module, shared_files: files, units: requests };
    let request = (!numbers.is_empty()).then_some(request);
    Prepared { request, units: numbers, lost, passed, next }
}

/// Whether a unit is to be executed.
enum Look {
    Runs(Own),
    Passes(KeptUnit),
}

fn look_at(mounter: &mut Mounter<'_>, order: &Order, index: u64) -> Result<Look, Loss> {
    let stage = order.stage;
    if let Some(found) = mounter.passed(stage, index)? {
        return Ok(Look::Passes(passed_on(&found)));
    }
    let gathered = mounter.gathered(stage, index)?;
    let unit = order.plan.unit(stage, index, gathered);
    let unit = unit.ok_or_else(|| Loss::MissingBlob(missing(order)))?;
    let mut reads = order.plan.reads(stage, index..index + 1);
    reads.retain(|read| !is_shared(order, read));
    Ok(Look::Runs(Own { index, unit, reads }))
}

/// Another unit's outcome as one's own; its large outputs were fetched with it.
pub(crate) fn passed_on(found: &Found) -> KeptUnit {
    let small = match &found.outcome {
        Outcome::Exit(Exit { stdout, out, .. }) => [*stdout, *out]
            .into_iter()
            .filter(|blob| blob.size <= INLINE_BYTES_MAX)
            .filter_map(|blob| found.pack.inline(blob.id).map(<[u8]>::to_vec))
            .collect(),
        Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => Vec::new(),
    };
    let trace = hash("passed", &[found.outcome.digest().as_bytes()]);
    let execution = Execution { outcome: found.outcome, trace, cost: Cost::default() };
    KeptUnit { execution, small }
}

/// Whether every unit of the stage finds the very same files there.
fn is_shared(order: &Order, read: &Read) -> bool {
    let all = order.plan.partition(read.stage).units();
    match read.role {
        Role::Many => read.units == (0..all),
        Role::Single | Role::Bucket(_) | Role::Before => false,
    }
}

/// Inputs that all of these units have.
fn shared_inputs(units: &[Own]) -> Vec<Input> {
    let Some(first) = units.first() else { return Vec::new() };
    let everywhere = |input: &&Input| units.iter().all(|own| own.unit.inputs.contains(*input));
    first.unit.inputs.iter().filter(everywhere).cloned().collect()
}

/// The module, and the files that all units read.
fn common(
    mounter: &mut Mounter<'_>,
    store: &Store,
    order: &Order,
    (inputs, reads): (&[Input], &[Read]),
) -> Result<(FileSource, Files), Loss> {
    let module = order.plan.stage(order.stage).module;
    if MODULE_BYTES_MAX < module.size {
        return Err(Loss::Refused(format!("a module of {} bytes", module.size)));
    }
    if !store.contains(module.id) {
        return Err(Loss::MissingBlob(module.id));
    }
    let mut files = Vec::new();
    for input in inputs {
        files.extend(mounter.input(input)?.iter().cloned());
    }
    for read in reads {
        files.extend(mounter.read(read, 0)?.iter().cloned());
    }
    Ok((mounter.file(module)?, files))
}

/// What only this unit reads.
fn own(mounter: &mut Mounter<'_>, own: Own, shared: &[Input]) -> Result<GuestUnit, Loss> {
    let Own { index, unit, reads } = own;
    let mut files = Vec::new();
    for input in unit.inputs.iter().filter(|input| !shared.contains(input)) {
        files.extend(mounter.input(input)?.iter().cloned());
    }
    for read in &reads {
        files.extend(mounter.read(read, index)?.iter().cloned());
    }
    let stdin = unit.stdin.map(|blob| mounter.file(blob)).transpose()?;
    Ok(GuestUnit { unit, stdin, files })
}

fn weight(file: &FileSource) -> u64 {
    match file {
        FileSource::Bytes(bytes) => bytes.len() as u64,
        FileSource::Path { .. } => 0,
    }
}

fn own_bytes(unit: &Unit, order: &Order) -> u64 {
    let common: BTreeSet<BlobId> =
        order.plan.stage(order.stage).inputs.iter().filter_map(blob).map(|b| b.id).collect();
    let parts = unit.inputs.iter().filter_map(blob).filter(|blob| !common.contains(&blob.id));
    parts.chain(unit.stdin).map(|blob| blob.size.min(crate::shell::mount::BYTES_MAX)).sum()
}

fn blob(input: &Input) -> Option<protocol::BlobRef> {
    match input.source {
        protocol::InputSource::Blob(blob) => Some(blob),
        protocol::InputSource::Tree(_) | protocol::InputSource::Outcomes(..) => None,
    }
}

/// Why a unit cannot be derived: the tree of its parts is not known.
fn missing(order: &Order) -> BlobId {
    match &order.plan.stage(order.stage).source {
        Source::Parts(parts) => parts.tree.id,
        Source::Range(_)
        | Source::Grid(_)
        | Source::Each(_)
        | Source::Gather(_)
        | Source::ByName(_) => order.job.blob(),
    }
}
