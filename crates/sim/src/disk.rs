//! A node's disk: what is durable, and what a crash would lose.

use std::collections::{BTreeMap, VecDeque};

use engine::Record;
use protocol::{Execution, JobId};

/// A unit's place: its job, stage and number.
pub(crate) type Place = (JobId, u16, u64);

const LATEST: usize = 64;

/// The journal and the executions that are in no pack yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    journal: BTreeMap<Vec<u8>, Vec<u8>>,
    executions: BTreeMap<Place, Execution>,
    /// Written in this order and durable in this order.
    waiting: VecDeque<Write>,
    /// Keys that became durable last: what is looked for is usually there.
    latest: VecDeque<Vec<u8>>,
    written: u64,
    durable: u64,
}

#[derive(Clone, Debug)]
enum Write {
    Record(Record),
    Execution(Place, Execution),
}

impl Disk {
    /// Writes a record and returns its number, to be passed to [`Disk::sync`].
    pub(crate) fn record(&mut self, record: Record) -> u64 {
        self.push(Write::Record(record))
    }

    pub(crate) fn keep(&mut self, place: Place, execution: Execution) -> u64 {
        self.push(Write::Execution(place, execution))
    }

    /// The executions are in a pack, which is durable.
    pub(crate) fn packed(&mut self, job: JobId, stage: u16, units: &[u64]) {
        for unit in units {
            self.executions.remove(&(job, stage, *unit));
        }
        self.waiting.iter_mut().for_each(|write| {
            if let Write::Execution((j, s, unit), _) = write
                && (*j, *s) == (job, stage)
                && units.contains(unit)
            {
                *write = Write::Record(Record { key: Vec::new(), value: None });
            }
        });
    }

    pub(crate) fn forget(&mut self, job: JobId) {
        self.executions.retain(|(of, _, _), _| *of != job);
    }

    /// Everything up to write number `through` is durable.
    pub(crate) fn sync(&mut self, through: u64) {
        while self.durable < through {
            let Some(write) = self.waiting.pop_front() else { break };
            self.durable += 1;
            match write {
                Write::Record(Record { key, value: Some(value) }) => {
                    self.latest.push_front(key.clone());
                    self.latest.truncate(LATEST);
                    self.journal.insert(key, value);
                }
                Write::Record(Record { key, value: None }) => {
                    self.journal.remove(&key);
                }
                Write::Execution(place, execution) => {
                    self.executions.insert(place, execution);
                }
            }
        }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What was not durable is lost; the number of lost writes.
    pub(crate) fn crash(&mut self) -> usize {
        let lost = self.waiting.len();
        self.waiting.clear();
        self.durable = self.written;
        lost
    }

    pub(crate) fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.journal.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn executions(&self) -> Vec<(JobId, u16, u64, Execution)> {
        let row = |((job, stage, unit), execution): (&Place, &Execution)| {
            (*job, *stage, *unit, execution.clone())
        };
        self.executions.iter().map(row).collect()
    }

    /// Whether some durable value contains these bytes.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let mut latest = self.latest.iter().filter_map(|key| self.journal.get(key));
        latest.any(|value| contains(value, bytes))
            || self.journal.values().any(|value| contains(value, bytes))
    }

    fn push(&mut self, write: Write) -> u64 {
        self.waiting.push_back(write);
        self.written += 1;
        self.written
    }
}

fn contains(value: &[u8], bytes: &[u8]) -> bool {
    let (Some(first), true) = (bytes.first(), bytes.len() <= value.len()) else { return false };
    let last_start = value.len() - bytes.len();
    (0..=last_start).any(|at| value[at] == *first && value[at..].starts_with(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: Option<&str>) -> Record {
        Record { key: key.into(), value: value.map(Into::into) }
    }

    #[test]
    fn a_crash_loses_what_was_not_synced_and_nothing_else() {
        let mut disk = Disk::default();
        let one = disk.record(record("a", Some("1")));
        disk.record(record("b", Some("2")));
        disk.sync(one);
        assert_eq!(disk.crash(), 1);
        assert!(disk.holds(b"1") && !disk.holds(b"2"));
        let remove = disk.record(record("a", None));
        disk.sync(remove);
        assert!(disk.records().is_empty() && disk.is_clean());
    }
}
