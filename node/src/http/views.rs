//! What the engine and the node show, in the words of the API.

use client::api::{
    Assurance, Convicted, Ending, FileResult, JobState, JobStatus, PeerInfo, PeerReason, PeerUnits,
    StageStatus, StuckUnit, Unaudited, UnitResult,
};
use engine::{JobView, StageView};
use protocol::{Outcome, PeerId, Reason};

use crate::{Node, PeerView, ResultUnit};

pub(crate) fn job(node: &Node, view: JobView) -> JobStatus {
    let state = state(node, &view);
    JobStatus {
        job: view.job,
        name: view.name,
        submitter: view.submitter,
        created_ms: view.created_ms,
        expires_ms: view.expires_ms,
        state,
        assurance: assurance(view.assurance),
        unaudited: view.unaudited.iter().map(unaudited).collect(),
        anchors: view.anchors,
        stages: view.stages.into_iter().map(stage).collect(),
        executions: view.executions,
        audits: view.audits,
        disputed: view.disputed,
        recalled: view.recalled,
        convicted: view.convicted.into_iter().map(|(peer, why)| Convicted { peer, why }).collect(),
        outvoted: peer_units(view.outvoted),
        workers: peer_units(view.workers),
        keepers: view.keepers,
        keepers_wanted: view.keepers_wanted.map(|wanted| wanted as u64),
        safe_to_leave: view.safe_to_leave,
        idle_reason: view.idle_reason,
    }
}

pub(crate) fn unit(unit: ResultUnit) -> UnitResult {
    let exit = match &unit.outcome {
        Outcome::Exit(exit) => Some(exit),
        Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => None,
    };
    let stdout = exit.map(|exit| exit.stdout.into());
    let files = unit.files.into_iter().filter(|entry| !entry.is_tree);
    UnitResult {
        stage: unit.stage,
        index: unit.index,
        count: unit.count,
        ending: Ending::from(&unit.outcome),
        digest: unit.outcome.digest(),
        stdout,
        files: files.map(|e| FileResult { path: e.path, blob: e.blob.into() }).collect(),
        verified: unit.verified,
    }
}

pub(crate) fn peer(view: &PeerView) -> PeerInfo {
    PeerInfo {
        peer: view.peer,
        addresses: view.addresses.clone(),
        agent: view.agent.clone(),
        connected_ms: u64::try_from(view.connected.as_millis()).unwrap_or(u64::MAX),
        round_trip_us: view.round_trip.and_then(|time| u64::try_from(time.as_micros()).ok()),
        jobs: view.jobs.clone(),
        shared_units: view.standing.shared_units,
        lapsed_claims: view.standing.lapsed,
    }
}

fn state(node: &Node, view: &JobView) -> JobState {
    let name = |stage: u16| {
        let known = view.stages.get(usize::from(stage));
        known.map_or_else(|| format!("number {stage}"), |stage| stage.name.clone())
    };
    match &view.state {
        engine::JobState::Seeking => JobState::Seeking,
        engine::JobState::Fetching => JobState::Fetching,
        engine::JobState::Running => JobState::Running,
        engine::JobState::Verified => JobState::Verified,
        engine::JobState::SelfExecuted => JobState::SelfExecuted,
        engine::JobState::Failed { stage, failed } => {
            JobState::Failed { stage: name(*stage), failed: *failed }
        }
        engine::JobState::Stuck(stuck) => {
            let unit = |stuck: &engine::Stuck| {
                // A step carries only the kind of reason; the words of our own are still here.
                let words = |peer| {
                    let own = peer == node.me();
                    own.then(|| node.refusal(view.job, stuck.stage)).flatten()
                };
                let reason = |(peer, why): &(PeerId, Reason)| reason(*peer, why, words(*peer));
                StuckUnit {
                    stage: name(stuck.stage),
                    unit: stuck.unit,
                    reasons: stuck.reasons.iter().map(reason).collect(),
                }
            };
            JobState::Stuck { units: stuck.iter().map(unit).collect() }
        }
        engine::JobState::Broken { why } => JobState::Broken { why: why.clone() },
        engine::JobState::Cancelled => JobState::Cancelled,
        engine::JobState::Expired => JobState::Expired,
    }
}

fn stage(view: StageView) -> StageStatus {
    let StageView {
        name,
        mount: _,
        units,
        open,
        running,
        self_executed,
        accepted,
        contested,
        finals,
        sealed,
    } = view;
    StageStatus { name, units, open, running, self_executed, accepted, contested, finals, sealed }
}

fn assurance(assurance: protocol::Assurance) -> Assurance {
    match assurance {
        protocol::Assurance::Provisional => Assurance::Provisional,
        protocol::Assurance::Final => Assurance::Final,
        protocol::Assurance::Sealed => Assurance::Sealed,
    }
}

fn unaudited(of: &engine::Unaudited) -> Unaudited {
    let engine::Unaudited { peer, audits, wanted, auditors, auditors_wanted } = *of;
    Unaudited { peer, audits, wanted, auditors, auditors_wanted }
}

fn peer_units(peers: Vec<(PeerId, u64)>) -> Vec<PeerUnits> {
    peers.into_iter().map(|(peer, units)| PeerUnits { peer, units }).collect()
}

/// `words` are what is known of a refusal beyond its name.
fn reason(peer: PeerId, reason: &Reason, words: Option<String>) -> PeerReason {
    let text = match reason {
        Reason::Timeout => "the CPU limit was used up",
        Reason::HostMemory => "the machine had no memory left",
        Reason::StackOverflow => "the stack overflowed",
        Reason::MissingBlob => "an input could not be had",
        Reason::WorkerCrash => "the sandbox's process died",
        Reason::Refused => "the machine cannot run the module",
    };
    let reason = match (reason, words) {
        (Reason::Refused, Some(words)) => format!("{text}: {words}"),
        (_, _) => text.to_owned(),
    };
    PeerReason { peer, reason }
}
