//! The engine's journal entries: their keys and bytes, written and read back here.

use protocol::{Envelope, Hash, JobId, PeerId, Signed, Slot, Step, StepId, decode, encode};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::Record;

/// What must survive of a job beside its logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(crate) struct JobEntry {
    pub(crate) job: JobId,
    pub(crate) announcement: Option<Envelope>,
    pub(crate) submitted: bool,
    pub(crate) opened: bool,
    pub(crate) kept_for: Option<PeerId>,
}

/// A step, and for one of our own the trace roots that its votes are sealed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(crate) struct StepEntry {
    pub(crate) job: JobId,
    pub(crate) step: Envelope,
    pub(crate) traces: Vec<(Slot, Hash)>,
}

/// One entry as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Job(JobEntry),
    Step(StepEntry),
}

const ENTRY_BYTES_MAX: usize = 128 << 10;

impl JobEntry {
    pub(crate) fn record(&self) -> Record {
        Record { key: job_key(self.job), value: Some(encode(self)) }
    }
}

impl StepEntry {
    pub(crate) fn new(step: &Signed<Step>, traces: Vec<(Slot, Hash)>) -> Self {
        Self { job: step.value().job, step: step.envelope().clone(), traces }
    }

    pub(crate) fn record(&self, seq: u64, id: StepId) -> Record {
        let mut key = b"s/".to_vec();
        key.extend(self.job.blob().as_bytes());
        key.extend(self.step.author.as_bytes());
        key.extend(seq.to_be_bytes());
        key.extend(id.as_bytes());
        Record { key, value: Some(encode(self)) }
    }
}

impl Entry {
    /// Reads an entry back; `None` for what this version does not know.
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        match key.get(..2)? {
            b"j/" => decode(value, ENTRY_BYTES_MAX).ok().map(Self::Job),
            b"s/" => decode(value, ENTRY_BYTES_MAX).ok().map(Self::Step),
            _ => None,
        }
    }
}

fn job_key(job: JobId) -> Vec<u8> {
    [b"j/".as_slice(), job.blob().as_bytes()].concat()
}

/// The prefixes of everything that the journal has of a job.
pub fn job_prefixes(job: JobId) -> [Vec<u8>; 2] {
    [job_key(job), [b"s/".as_slice(), job.blob().as_bytes()].concat()]
}
