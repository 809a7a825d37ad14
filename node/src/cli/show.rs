//! Words for what the API says of jobs.

use client::api::{JobState, JobStatus, StageStatus};
use protocol::{JobId, PeerId};

use crate::cli::failure::End;

/// Enough of an id to tell jobs apart: seven letters are the same in all.
const SHORT: usize = 15;

pub(crate) fn short(job: JobId) -> String {
    job.to_string().chars().take(SHORT).collect()
}

pub(crate) fn short_peer(peer: PeerId) -> String {
    let text = peer.to_string();
    format!("…{}", &text[text.len() - 8..])
}

/// A job's state in a few words.
pub(crate) fn state(state: &JobState) -> String {
    match state {
        JobState::Seeking => "looking for it".to_owned(),
        JobState::Fetching => "fetching".to_owned(),
        JobState::Running => "running".to_owned(),
        JobState::Verified => "verified".to_owned(),
        JobState::SelfExecuted => "self-executed, not verified".to_owned(),
        JobState::Failed { stage, failed } => {
            format!("failed: {} of stage `{stage}`", units(*failed))
        }
        JobState::Stuck { units: stuck } => {
            format!("stuck, {} without an outcome", units(stuck.len() as u64))
        }
        JobState::Broken { why } => format!("broken: {why}"),
        JobState::Cancelled => "cancelled".to_owned(),
        JobState::Expired => "expired".to_owned(),
    }
}

/// The exit code that a job's state amounts to.
pub(crate) const fn end(state: &JobState) -> End {
    match state {
        JobState::Verified => End::Done,
        JobState::Failed { .. } => End::Failed,
        JobState::Broken { .. } => End::BadInput,
        JobState::Seeking | JobState::Fetching | JobState::Running | JobState::Stuck { .. } => {
            End::Undecided
        }
        JobState::SelfExecuted => End::Unverified,
        JobState::Cancelled | JobState::Expired => End::Over,
    }
}

pub(crate) fn units(count: u64) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}

/// Units with an outcome and units altogether.
pub(crate) fn done(status: &JobStatus) -> (u64, u64) {
    let sum = |count: fn(&StageStatus) -> u64| status.stages.iter().map(count).sum();
    (sum(StageStatus::done), sum(|stage| stage.units))
}

/// Who holds a job, and whether its submitter may go.
pub(crate) fn keepers(status: &JobStatus) -> String {
    let held = status.keepers.len();
    let peers = if held == 1 { "1 peer holds".to_owned() } else { format!("{held} peers hold") };
    match status.keepers_wanted {
        Some(wanted) if status.safe_to_leave => {
            let results = match status.results_kept {
                Some(kept) => format!(", {kept} with the results"),
                None => String::new(),
            };
            format!("{peers} it of {wanted} wanted{results}: safe to leave")
        }
        Some(wanted) => format!("{peers} it of {wanted} wanted: not safe to leave yet"),
        None => format!("{peers} it"),
    }
}
