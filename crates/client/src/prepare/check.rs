//! What an author should know before a job is submitted, beyond what is forbidden.

use std::fmt;

use super::Prepared;
use crate::{show_bytes, show_duration_ms};

/// Something that is allowed and may not be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// With a quorum of one and no audits, whoever answers first is believed.
    Unverified,
    /// With a quorum of one, an outcome is one peer's word until its audits.
    OneVote,
    /// Nobody looks for liars.
    NoAudits,
    /// The client chose the batch without having tried a unit.
    BatchChosen { stage: String, batch: u32, units: u64 },
    /// All units are in one batch, so one worker runs them all.
    OneBatch { stage: String, units: u64 },
    /// Metering can halve a guest's speed.
    Metered { stage: String },
    /// One execution of everything may take longer than the job lives on one processor.
    LongWork { work_ms: u64 },
    /// The data is large for a node's connection.
    LargeData { bytes: u64 },
}

/// Data that takes a household's connection about a quarter of an hour to send.
const LARGE_DATA_BYTES: u64 = 1 << 30;

/// Whatever may not be meant, in the order of the job file.
pub fn check(prepared: &Prepared) -> Vec<Warning> {
    let Prepared { draft, firsts, chosen_batches, .. } = prepared;
    let mut warnings = Vec::new();
    match (draft.policy.quorum, draft.policy.audit_ppm) {
        (1, 0) => warnings.push(Warning::Unverified),
        (1, _) => warnings.push(Warning::OneVote),
        (_, 0) => warnings.push(Warning::NoAudits),
        (_, _) => {}
    }
    let stages = draft.stages.iter().zip(draft.unit_counts());
    for (stage, units) in stages.filter(|(stage, _)| firsts.contains(&stage.name)) {
        let name = || stage.name.clone();
        let batch = stage.batch;
        if 1 < units && chosen_batches.contains(&stage.name) {
            warnings.push(Warning::BatchChosen { stage: name(), batch, units });
        }
        if 1 < units && units <= u64::from(batch) {
            warnings.push(Warning::OneBatch { stage: name(), units });
        }
        if stage.limits.fuel.is_some() {
            warnings.push(Warning::Metered { stage: name() });
        }
    }
    let work_ms = prepared.manifest().work_ms();
    if draft.expires_after_ms < work_ms {
        warnings.push(Warning::LongWork { work_ms });
    }
    if LARGE_DATA_BYTES < prepared.bytes() {
        warnings.push(Warning::LargeData { bytes: prepared.bytes() });
    }
    warnings
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified => f.write_str(
                "quorum = 1 and audit = 0 believe whoever answers first: results are not verified",
            ),
            Self::OneVote => f.write_str(
                "quorum = 1: until its voters have passed their audits, an outcome is one peer's word",
            ),
            Self::NoAudits => f.write_str("audit = 0 leaves liars unsearched for"),
            Self::BatchChosen { stage, batch, units } => write!(
                f,
                "stage `{stage}`: {units} units in batches of {batch}, chosen without a trial; \
                 `batch = …` of about two seconds of work is best"
            ),
            Self::OneBatch { stage, units } => write!(
                f,
                "stage `{stage}`: all {units} units are in one batch, which one worker runs alone"
            ),
            Self::Metered { stage } => {
                write!(f, "stage `{stage}`: a fuel limit meters the guest and can halve its speed")
            }
            Self::LongWork { work_ms } => write!(
                f,
                "one execution of every unit may take {} of processor time by its limits, longer \
                 than the job lives",
                show_duration_ms(*work_ms)
            ),
            Self::LargeData { bytes } => {
                write!(f, "{} of data go to every peer that keeps the job", show_bytes(*bytes))
            }
        }
    }
}
