//! What a job is submitted on, in words: its policy, what that promises, and what its stamp costs.

use client::api::NodeInfo;
use client::{Prepared, Promise, show_duration_ms, show_share};
use protocol::job_stamp_bits;

use crate::cli::show;

/// What a hash of a stamp takes on an ordinary processor.
const TRY_MS: u64 = 10;
/// A share of wrong final results that is no promise any more.
const NEXT_TO_NOTHING: f64 = 0.5;
/// Stamps that are made sooner are not worth a word.
const WAIT_MS_TOLD: u64 = 2_000;

/// The policy, and how much of the results may be wrong under it.
pub(crate) fn promise(prepared: &Prepared, peers: Option<u64>) -> String {
    words(&prepared.promise(peers), prepared.draft.policy.anchors.len())
}

fn words(promise: &Promise, anchors_named: usize) -> String {
    let Promise { quorum, audit_ppm, liars, peers, are_known, ancestry, error, .. } = *promise;
    let votes = if quorum == 1 { "1 vote".to_owned() } else { format!("{quorum} votes") };
    let anchors = match anchors_named {
        0 => "this node as the anchor".to_owned(),
        1 => "1 anchor".to_owned(),
        several => format!("{several} anchors"),
    };
    let sealing = match anchors_named {
        0 => "; what this node audits before it seals comes on top",
        _ => "",
    };
    let rests = if ancestry == 1 {
        String::new()
    } else {
        format!(", each of which rests on up to {},", show::units(ancestry))
    };
    let peers = if are_known {
        format!("of the {peers} peers known here")
    } else {
        format!("of the peers (up to {peers} could vote)")
    };
    let policy = format!("policy: {votes}, audits of {}", show_share(f64::from(audit_ppm) / 1e6));
    let lie = format!("if up to {} {peers} lie together", show_share(liars));
    if NEXT_TO_NOTHING <= error {
        let units = show::units(ancestry);
        return format!(
            "{policy}, {anchors}; once final, next to nothing is promised: each final result rests on up to {units}, \
             and {lie}, some of those may well be wrong{sealing}; `target = 1e-3` in [verify] asks for a policy \
             that promises more"
        );
    }
    format!(
        "{policy}, {anchors}; once final, at most {} of the final results{rests} wrong {lie}{sealing}",
        show_share(error)
    )
}

/// What the job's stamp costs, where the network asks for one and it takes a while.
pub(crate) fn stamp_cost(node: &NodeInfo, work_ms: u64) -> Option<String> {
    let bits = job_stamp_bits(work_ms, node.job_stamp?);
    let wait_ms = (1_u64 << bits).saturating_mul(TRY_MS) / node.cores.max(1);
    (WAIT_MS_TOLD < wait_ms).then(|| {
        format!(
            "the job asks for up to {} of processor time, for which the network wants a stamp of {bits} bits: \
             making it takes the node about {}; lower `cpu` limits make it cheaper",
            show_duration_ms(work_ms),
            show_duration_ms(wait_ms)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_with_what_it_promises_and_of_whom() {
        let promise = Promise {
            quorum: 2,
            audit_ppm: 100_000,
            liars: 0.2,
            peers: 40,
            are_known: false,
            ancestry: 1,
            unit_error: 0.04,
            error: 0.04,
        };
        assert_eq!(
            words(&promise, 0),
            "policy: 2 votes, audits of 10 %, this node as the anchor; once final, at most 4 % of the final \
             results wrong if up to 20 % of the peers (up to 40 could vote) lie together; what this node audits \
             before it seals comes on top"
        );
        let gathered = Promise { are_known: true, ancestry: 65, error: 7e-4, ..promise };
        let told = words(&gathered, 2);
        for part in ["2 anchors", "0.07 %", "rests on up to 65 units", "of the 40 peers known here"]
        {
            assert!(told.contains(part), "{told}");
        }
        let told = words(&Promise { ancestry: 10_669, error: 0.9999, ..promise }, 0);
        assert!(told.contains("next to nothing is promised") && !told.contains("100 %"), "{told}");
        assert!(told.contains("up to 10669 units") && told.contains("`target = "), "{told}");
    }

    #[test]
    fn a_stamp_that_takes_a_while_is_told_beforehand() {
        let node = |job_stamp| NodeInfo {
            peer: protocol::PeerId::new([1; 32]),
            network: protocol::NetworkId::named("x"),
            version: String::new(),
            addresses: vec![],
            peers: 0,
            jobs: 0,
            network_size: 0,
            stamp_bits: 0,
            is_stamped: false,
            job_stamp,
            cores: 2,
        };
        let hours = 1000 * 3_600_000;
        assert_eq!(stamp_cost(&node(None), hours), None);
        assert_eq!(stamp_cost(&node(Some(0)), 60_000), None);
        let told = stamp_cost(&node(Some(0)), hours).unwrap();
        assert!(told.contains("18 bits") && told.contains("21.8 min"), "{told}");
    }
}
