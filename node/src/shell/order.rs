//! Preparing: what is to be executed becomes a request to the sandbox, with everything it reads.

use std::collections::BTreeSet;

use protocol::limits::MODULE_BYTES_MAX;
use protocol::{BlobId, Input, Loss, Source, Unit};
use sandbox::{FileSource, GuestUnit, REQUEST_UNITS_MAX, RunRequest};
use store::Store;

use crate::shell::mount::{Files, Mounter};
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
    /// Where in the order the next request begins.
    pub(crate) next: usize,
}

/// Prepares as many units as fit one request, from number `first` of the order.
pub(crate) fn prepare(store: &Store, order: &Order, first: usize) -> Prepared {
    let mut mounter = Mounter::new(store, order.gathered, &order.packs);
    let mut lost = Vec::new();
    let mut units: Vec<(u64, Unit)> = Vec::new();
    let mut bytes = 0;
    let mut next = first;
    for index in order.units[first..].iter().take(REQUEST_UNITS_MAX) {
        if OWN_BYTES_MAX < bytes {
            break;
        }
        next += 1;
        match order.plan.unit(order.stage, *index, order.gathered) {
            Some(unit) => {
                bytes += own_bytes(&unit, order);
                units.push((*index, unit));
            }
            None => lost.push((*index, Loss::MissingBlob(missing(order)))),
        }
    }
    let shared = shared_inputs(&units);
    let (module, files) = match common(&mut mounter, store, order, &shared) {
        Ok(common) => common,
        Err(loss) => {
            lost.extend(units.into_iter().map(|(index, _)| (index, loss.clone())));
            return Prepared { request: None, units: Vec::new(), lost, next };
        }
    };
    let (mut numbers, mut requests) = (Vec::new(), Vec::new());
    for (index, unit) in units {
        match own(&mut mounter, unit, &shared) {
            Ok(request) => {
                numbers.push(index);
                requests.push(request);
            }
            Err(loss) => lost.push((index, loss)),
        }
    }
    let request = RunRequest { module, shared_files: files, units: requests };
    let request = (!numbers.is_empty()).then_some(request);
    Prepared { request, units: numbers, lost, next }
}

/// Inputs that all of these units have.
fn shared_inputs(units: &[(u64, Unit)]) -> Vec<Input> {
    let Some((_, first)) = units.first() else { return Vec::new() };
    let everywhere = |input: &&Input| units.iter().all(|(_, unit)| unit.inputs.contains(*input));
    first.inputs.iter().filter(everywhere).cloned().collect()
}

/// The module, and the files that all units read.
fn common(
    mounter: &mut Mounter<'_>,
    store: &Store,
    order: &Order,
    shared: &[Input],
) -> Result<(FileSource, Files), Loss> {
    let module = order.plan.stage(order.stage).module;
    if MODULE_BYTES_MAX < module.size {
        return Err(Loss::Refused(format!("a module of {} bytes", module.size)));
    }
    if !store.contains(module.id) {
        return Err(Loss::MissingBlob(module.id));
    }
    let mut files = Vec::new();
    for input in shared {
        files.extend(mounter.input(input)?.iter().cloned());
    }
    Ok((mounter.file(module)?, files))
}

/// What only this unit reads.
fn own(mounter: &mut Mounter<'_>, unit: Unit, shared: &[Input]) -> Result<GuestUnit, Loss> {
    let mut files = Vec::new();
    for input in unit.inputs.iter().filter(|input| !shared.contains(input)) {
        files.extend(mounter.input(input)?.iter().cloned());
    }
    let stdin = unit.stdin.map(|blob| mounter.file(blob)).transpose()?;
    Ok(GuestUnit { unit, stdin, files })
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
