//! Executions that are not packed yet: in memory for speed, in the journal for a crash.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::limits::INLINE_BYTES_MAX;
use protocol::{Execution, JobId, decode, encode};
use serde_bytes::ByteBuf;
use store::{Batch, Store, StoreError};
use tracing::warn;

/// Under this key lie executions; in it job, stage and unit in big-endian order.
const EXECUTION: &[u8] = b"x/";
/// Under this key lies what guests said on stderr.
const LOG: &[u8] = b"l/";
/// An execution with the two outputs that may travel inside a pack.
const RECORD_BYTES_MAX: usize = 2 * INLINE_BYTES_MAX as usize + 1024;
/// Outputs in memory, in bytes; older ones are read from the journal again.
const MEMORY_MAX: usize = 32 << 20;

/// What is kept of one job's stderr, in bytes.
const LOGS_BYTES_MAX: usize = 16 << 20;

/// Which unit of which job.
pub(crate) type Place = (JobId, u16, u64);

/// One execution, and those of its outputs that may travel inside a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptUnit {
    pub(crate) execution: Execution,
    pub(crate) small: Vec<Vec<u8>>,
}

/// What is in memory. Until it is packed it is in the journal, too, or on its way there.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    units: BTreeMap<Place, (u64, KeptUnit)>,
    /// The same in order of arrival.
    order: BTreeMap<u64, Place>,
    next: u64,
    bytes: usize,
    /// What guests said on stderr since the start, in bytes.
    logged: BTreeMap<JobId, usize>,
}

impl Kept {
    /// Keeps an execution in memory; the caller journals it.
    pub(crate) fn add(&self, place: Place, unit: KeptUnit) {
        let mut state = self.lock();
        state.remove(&place);
        let number = state.next;
        state.next += 1;
        state.bytes += unit.weight();
        state.order.insert(number, place);
        state.units.insert(place, (number, unit));
    }

    /// Whether the journal must be flushed and the oldest units let go.
    pub(crate) fn is_full(&self) -> bool {
        MEMORY_MAX < self.lock().bytes
    }

    /// Lets the oldest units go, which must be on disk by now.
    pub(crate) fn shrink(&self) {
        let mut state = self.lock();
        while MEMORY_MAX / 2 < state.bytes
            && let Some((_, oldest)) = state.order.pop_first()
        {
            state.remove(&oldest);
        }
    }

    /// An execution from memory or from the journal.
    pub(crate) fn get(&self, store: &Store, place: Place) -> Option<KeptUnit> {
        let here = self.lock().units.get(&place).map(|(_, unit)| unit.clone());
        here.or_else(|| {
            let record = store.record(&key(EXECUTION, place)).ok().flatten()?;
            KeptUnit::read(&record)
        })
    }

    /// Whether there is room for so much more of a job's stderr.
    pub(crate) fn may_log(&self, job: JobId, bytes: usize) -> bool {
        let mut state = self.lock();
        let logged = state.logged.entry(job).or_default();
        let fits = *logged + bytes <= LOGS_BYTES_MAX;
        *logged += if fits { bytes } else { 0 };
        fits
    }

    /// Forgets a job in memory.
    pub(crate) fn remove_job(&self, job: JobId) {
        let mut state = self.lock();
        state.logged.remove(&job);
        let range = (job, 0, 0)..=(job, u16::MAX, u64::MAX);
        let places: Vec<Place> = state.units.range(range).map(|(place, _)| *place).collect();
        for place in places {
            state.remove(&place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, place: &Place) {
        if let Some((number, unit)) = self.units.remove(place) {
            self.order.remove(&number);
            self.bytes -= unit.weight();
        }
    }
}

impl KeptUnit {
    /// Adds the record that a crash leaves.
    pub(crate) fn write(&self, place: Place, batch: &mut Batch) {
        let small: Vec<ByteBuf> = self.small.iter().cloned().map(ByteBuf::from).collect();
        batch.write(key(EXECUTION, place), encode(&(&self.execution, small)));
    }

    fn read(record: &[u8]) -> Option<Self> {
        let (execution, small): (Execution, Vec<ByteBuf>) =
            decode(record, RECORD_BYTES_MAX).ok()?;
        Some(Self { execution, small: small.into_iter().map(ByteBuf::into_vec).collect() })
    }

    fn weight(&self) -> usize {
        256 + self.small.iter().map(Vec::len).sum::<usize>()
    }
}

/// Erases the records of packed units.
pub(crate) fn erase(batch: &mut Batch, places: impl IntoIterator<Item = Place>) {
    for place in places {
        batch.erase(key(EXECUTION, place));
    }
}

/// Erases everything of a job.
pub(crate) fn erase_job(batch: &mut Batch, job: JobId) {
    for kind in [EXECUTION, LOG] {
        batch.erase_prefix([kind, job.blob().as_bytes()].concat());
    }
}

/// Adds what a guest said on stderr.
pub(crate) fn write_log(batch: &mut Batch, place: Place, text: Vec<u8>) {
    batch.write(key(LOG, place), text);
}

/// What a guest said on stderr here, as far as it was kept.
pub(crate) fn read_log(store: &Store, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
    store.record(&key(LOG, place))
}

/// The executions that an earlier process had not packed.
pub(crate) fn left_over(store: &Store) -> Result<Vec<(JobId, u16, u64, Execution)>, StoreError> {
    let mut found = Vec::new();
    store.scan_each(EXECUTION, |key, record| {
        match (place(key), KeptUnit::read(record)) {
            (Some((job, stage, unit)), Some(kept)) => {
                found.push((job, stage, unit, kept.execution));
            }
            (Some(_) | None, Some(_) | None) => warn!("an execution in the journal is unreadable"),
        }
        true
    })?;
    Ok(found)
}

fn key(kind: &[u8], (job, stage, unit): Place) -> Vec<u8> {
    [kind, job.blob().as_bytes(), &stage.to_be_bytes(), &unit.to_be_bytes()].concat()
}

fn place(key: &[u8]) -> Option<Place> {
    let (job, rest) = key.strip_prefix(EXECUTION)?.split_first_chunk::<32>()?;
    let (stage, rest) = rest.split_first_chunk::<2>()?;
    let unit = rest.try_into().ok()?;
    Some((JobId::new(*job), u16::from_be_bytes(*stage), u64::from_be_bytes(unit)))
}

#[cfg(test)]
mod tests {
    use protocol::{Cost, Hash, Outcome};

    use super::*;

    fn unit(byte: u8, len: usize) -> KeptUnit {
        let outcome = Outcome::OutOfFuel;
        let execution = Execution { outcome, trace: Hash::new([byte; 32]), cost: Cost::default() };
        KeptUnit { execution, small: vec![vec![byte; len]] }
    }

    #[test]
    fn an_execution_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), store::Options::new(1 << 30)).unwrap().store;
        let place = (JobId::new([3; 32]), 7, 1 << 40);
        let mut batch = Batch::default();
        unit(9, 100).write(place, &mut batch);
        store.commit(batch).unwrap();
        assert_eq!(Kept::default().get(&store, place), Some(unit(9, 100)));
        let left = left_over(&store).unwrap();
        assert_eq!(left, [(place.0, 7, 1 << 40, unit(9, 100).execution)]);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let kept = Kept::default();
        let job = JobId::new([3; 32]);
        let mut unit_number = 0;
        while !kept.is_full() {
            kept.add((job, 0, unit_number), unit(1, 1 << 20));
            unit_number += 1;
        }
        kept.shrink();
        assert!(!kept.is_full());
        let state = kept.lock();
        assert!(state.units.contains_key(&(job, 0, unit_number - 1)));
        assert!(!state.units.contains_key(&(job, 0, 0)));
        assert_eq!(state.units.len(), state.order.len());
    }
}
