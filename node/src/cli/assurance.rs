//! Words for how sure a job's outcomes are, and for what would make them surer.

use client::api::{Assurance, JobState, JobStatus, StageStatus, Unaudited};
use protocol::PeerId;

use crate::cli::args::Until;
use crate::cli::show;

/// Peers whose audits are told one by one.
const PEERS_TOLD: usize = 5;

/// A job's state in a few words. What a quorum stands behind and nobody has audited is never called more
/// than provisional.
pub(crate) fn outcome(status: &JobStatus) -> String {
    let state = show::state(&status.state);
    match status.state {
        JobState::Verified | JobState::Failed { .. } => {
            format!("{state}, {}", word(status.assurance))
        }
        JobState::Seeking
        | JobState::Fetching
        | JobState::Running
        | JobState::SelfExecuted
        | JobState::Stuck { .. }
        | JobState::Broken { .. }
        | JobState::Cancelled
        | JobState::Expired => state,
    }
}

pub(crate) const fn word(assurance: Assurance) -> &'static str {
    match assurance {
        Assurance::Provisional => "provisional",
        Assurance::Final => "final",
        Assurance::Sealed => "sealed",
    }
}

/// What to wait for if nobody says: an anchor's node seals by itself, others may never see a seal.
pub(crate) fn until_by_default(status: &JobStatus, me: Option<PeerId>) -> Until {
    if me.is_some_and(|me| status.anchors.contains(&me)) { Until::Sealed } else { Until::Accepted }
}

/// Whether verified outcomes are as sure as somebody wants them.
pub(crate) fn is_enough(assurance: Assurance, until: Until) -> bool {
    let least = match until {
        Until::Accepted => Assurance::Provisional,
        Until::Final => Assurance::Final,
        Until::Sealed => Assurance::Sealed,
    };
    least <= assurance
}

/// Accepted units by how sure they are: provisional, final and not sealed, sealed.
pub(crate) fn counts(status: &JobStatus) -> [u64; 3] {
    let sum = |count: fn(&StageStatus) -> u64| status.stages.iter().map(count).sum();
    let (accepted, finals, sealed): (u64, u64, u64) =
        (sum(|stage| stage.accepted), sum(|stage| stage.finals), sum(|stage| stage.sealed));
    [accepted.saturating_sub(finals + sealed), finals, sealed]
}

/// What is sure already, for a line of progress while audits go on.
pub(crate) fn progress(status: &JobStatus) -> Option<String> {
    if status.state != JobState::Verified || status.assurance == Assurance::Sealed {
        return None;
    }
    let [_, finals, sealed] = counts(status);
    let audits =
        if status.audits == 1 { "1 audit".to_owned() } else { format!("{} audits", status.audits) };
    Some(match (finals, sealed) {
        (0, 0) => format!("{audits} so far"),
        (finals, sealed) => format!("{finals} final and {sealed} sealed, {audits} so far"),
    })
}

/// Which units wait for audits or for an anchor, and why: a sentence each.
pub(crate) fn waits(status: &JobStatus, me: PeerId) -> Vec<String> {
    let [provisional, finals, _] = counts(status);
    let mut told = Vec::new();
    if 0 < provisional {
        let are = if provisional == 1 { "is" } else { "are" };
        told.push(format!("{} {are} provisional: {}", show::units(provisional), audits(status)));
    }
    if 0 < finals {
        let are = if finals == 1 { "is" } else { "are" };
        told.push(format!(
            "{} {are} final: late evidence could still revoke that",
            show::units(finals)
        ));
    }
    if 0 < provisional + finals {
        told.push(seal(status, me));
    }
    told
}

fn audits(status: &JobStatus) -> String {
    let mut peers: Vec<String> = status.unaudited.iter().take(PEERS_TOLD).map(audited).collect();
    if PEERS_TOLD < status.unaudited.len() {
        peers.push(format!("{} more peers lack audits, too", status.unaudited.len() - PEERS_TOLD));
    }
    match peers.as_slice() {
        [] => "what they were made from is not surer".to_owned(),
        peers => peers.join("; "),
    }
}

fn audited(of: &Unaudited) -> String {
    let Unaudited { peer, audits, wanted, auditors, auditors_wanted } = *of;
    format!(
        "{} has {audits} of {wanted} audits, by {auditors} of {auditors_wanted} different peers",
        show::short_peer(peer)
    )
}

fn seal(status: &JobStatus, me: PeerId) -> String {
    let is_over = match &status.state {
        JobState::Verified => true,
        JobState::Seeking
        | JobState::Fetching
        | JobState::Running
        | JobState::SelfExecuted
        | JobState::Failed { .. }
        | JobState::Stuck { .. }
        | JobState::Broken { .. }
        | JobState::Cancelled
        | JobState::Expired => false,
    };
    let anchors: Vec<String> = status.anchors.iter().map(|peer| show::short_peer(*peer)).collect();
    match (status.anchors.contains(&me), is_over) {
        _ if anchors.is_empty() => "no anchor is named that could seal them".to_owned(),
        (true, true) => "this node is an anchor: it audits them and seals them then".to_owned(),
        (_, false) => {
            "they are sealed once every unit has an outcome and an anchor has audited them"
                .to_owned()
        }
        (false, true) => {
            format!(
                "sealed as soon as an anchor ({}) is back and has audited them",
                anchors.join(" or ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: JobState, assurance: Assurance) -> JobStatus {
        let stage = StageStatus {
            name: "map".to_owned(),
            units: 100,
            accepted: 100,
            finals: 5,
            sealed: 30,
            ..StageStatus::default()
        };
        JobStatus {
            job: protocol::JobId::new([1; 32]),
            name: "x".to_owned(),
            submitter: PeerId::new([2; 32]),
            created_ms: 0,
            expires_ms: 0,
            state,
            assurance,
            unaudited: vec![Unaudited {
                peer: PeerId::new([9; 32]),
                audits: 2,
                wanted: 6,
                auditors: 2,
                auditors_wanted: 6,
            }],
            anchors: vec![PeerId::new([2; 32])],
            stages: vec![stage],
            executions: 210,
            audits: 10,
            disputed: 0,
            recalled: 0,
            convicted: vec![],
            outvoted: vec![],
            workers: vec![],
            keepers: vec![],
            keepers_wanted: None,
            safe_to_leave: false,
            idle_reason: None,
        }
    }

    #[test]
    fn verified_is_never_said_without_how_sure_that_is() {
        for (assurance, want) in [
            (Assurance::Provisional, "verified, provisional"),
            (Assurance::Final, "verified, final"),
            (Assurance::Sealed, "verified, sealed"),
        ] {
            assert_eq!(outcome(&status(JobState::Verified, assurance)), want);
        }
        let alone = status(JobState::SelfExecuted, Assurance::Provisional);
        assert_eq!(outcome(&alone), "self-executed, not verified");
    }

    #[test]
    fn what_is_waited_for_is_said_with_names_and_numbers() {
        let status = status(JobState::Verified, Assurance::Provisional);
        let [voter, anchor] = [9, 2].map(|key| show::short_peer(PeerId::new([key; 32])));
        let told = waits(&status, PeerId::new([7; 32]));
        assert_eq!(
            told,
            [
                format!(
                    "65 units are provisional: {voter} has 2 of 6 audits, by 2 of 6 different peers"
                ),
                "5 units are final: late evidence could still revoke that".to_owned(),
                format!("sealed as soon as an anchor ({anchor}) is back and has audited them"),
            ]
        );
        let at_home = waits(&status, PeerId::new([2; 32]));
        assert!(at_home[2].starts_with("this node is an anchor"), "{at_home:?}");
        let nobody = JobStatus { anchors: vec![], ..status.clone() };
        assert!(waits(&nobody, PeerId::new([7; 32]))[2].starts_with("no anchor"));
        assert_eq!(progress(&status).unwrap(), "5 final and 30 sealed, 10 audits so far");
    }

    #[test]
    fn an_anchors_node_waits_for_its_seal_and_others_for_a_quorum() {
        let status = status(JobState::Verified, Assurance::Final);
        assert_eq!(until_by_default(&status, Some(PeerId::new([2; 32]))), Until::Sealed);
        assert_eq!(until_by_default(&status, Some(PeerId::new([3; 32]))), Until::Accepted);
        assert_eq!(until_by_default(&status, None), Until::Accepted);
        let enough = [Until::Accepted, Until::Final, Until::Sealed]
            .map(|until| is_enough(Assurance::Final, until));
        assert_eq!(enough, [true, true, false]);
    }
}
