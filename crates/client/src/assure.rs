//! How far results can be trusted: from a policy to the share that liars may get wrong, and back.
//!
//! The model is measured, not proved. A coalition of a share *f* of the peers that lies only where it
//! holds the whole quorum leaves, at the end of a job of *U* units and *N* peers that vote,
//!
//! > e = min(f^k, c · √N/U · 0.1/p)
//!
//! of the units wrong: f^k is what a quorum of k gives alone (and all there is without audits, p = 0);
//! beside audits of 10 % about √N wrong units survive in a job however long it is, at the worst of all
//! rates of lying up to twice that, and twice the audits halve it. Single jobs scatter around that mean, so
//! that c = 3 is promised; with a single vote (k = 1) about ten times as many survive, and c = 16. Fitted to
//! simulations of the protocol for N = 50 to 1,000, U = 2,000 to 200,000, f up to 30 % and p from 2 % to
//! 40 %, in which silent coalitions knew all assignments and chose the worst rate of lying; docs/TRUST.md
//! has them.
//! Beyond f = 30 % nothing is promised.
//!
//! Errors compose: a result that n units lead to is wrong if any of them is, with 1 − (1 − e)^n.

use protocol::Partition;
use protocol::limits::QUORUM_MAX;
use serde::{Deserialize, Serialize};

use crate::{Draft, DraftPolicy, DraftSource};

/// The most that a policy may ask of volunteers.
pub(crate) const AUDIT_PPM_MAX: u32 = 500_000;
/// Above this share of liars nothing was measured.
pub(crate) const LIARS_MAX: f64 = 0.3;
/// The share of liars that is reckoned with if the author says nothing.
pub(crate) const LIARS_DEFAULT: f64 = 0.2;

/// The smallest network of which the model is known to hold: smaller ones promise no more.
const PEERS_MEASURED_MIN: u64 = 50;
/// Audits at which about √N wrong units survive.
const AUDITS_MEASURED: f64 = 0.1;
/// How many times as many are reckoned with, and where a single vote is accepted.
const MARGIN: f64 = 3.0;
const SINGLE_VOTE: f64 = 16.0;
/// What is tried for a target: audits from 10 % up. Quorums of one have a floor at honest errors.
const AUDITS_TRIED: [u32; 9] =
    [100_000, 150_000, 200_000, 250_000, 300_000, 350_000, 400_000, 450_000, AUDIT_PPM_MAX];
const QUORUM_TRIED_MIN: u8 = 2;

/// What an author wants of the final results.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The share of final results that may be wrong, if the policy is to be derived.
    pub target: Option<f64>,
    /// The share of peers that lie together.
    pub liars: f64,
    /// Whether the author has set the quorum, and the share of audits: then they stay.
    pub keeps_quorum: bool,
    pub keeps_audit: bool,
}

/// What the shape of a job says about how errors add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Units of all stages.
    pub units: u64,
    /// Batches of all stages.
    pub batches: u64,
    /// The most units that one final result rests on, itself among them.
    pub ancestry: u64,
}

/// What a policy promises of one job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promise {
    pub quorum: u8,
    pub audit_ppm: u32,
    pub liars: f64,
    /// Peers that are reckoned with.
    pub peers: u64,
    /// Whether that many are known, or could at most vote.
    pub are_known: bool,
    pub ancestry: u64,
    /// The share of units, and of final results, that may be wrong once they are final.
    pub unit_error: f64,
    pub error: f64,
}

/// A target that no allowed policy reaches.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "a target error of {} cannot be promised: a final result rests on {ancestry} units, and quorum {} with audits of {} leaves up to {} of the final results wrong if {} of the peers lie together",
    show_share(*target), best.quorum, show_share(ppm(best.audit_ppm)), show_share(best.error), show_share(best.liars)
)]
pub struct Unreachable {
    pub target: f64,
    pub ancestry: u64,
    /// The best that the policy could have promised.
    pub best: Promise,
    /// The best without what the author has fixed, if that is enough.
    pub free: Option<Promise>,
}

impl Default for Goal {
    fn default() -> Self {
        Self { target: None, liars: LIARS_DEFAULT, keeps_quorum: false, keeps_audit: false }
    }
}

impl Shape {
    /// The shape of a draft whose units can all be counted.
    pub fn of(draft: &Draft) -> Self {
        let counts = draft.unit_counts();
        let mut ancestry: Vec<u64> = Vec::new();
        let mut is_read = vec![false; counts.len()];
        let count = |stage: u16| counts.get(usize::from(stage)).copied().unwrap_or(0);
        for stage in &draft.stages {
            // A stage, and how many of its outcomes one unit reads.
            let from_source = match stage.source {
                DraftSource::Range { .. }
                | DraftSource::Grid { .. }
                | DraftSource::Parts { .. } => None,
                DraftSource::Each { stage } => Some((stage, 1)),
                DraftSource::Gather { stage, fan_in: None } => Some((stage, count(stage))),
                DraftSource::Gather { stage, fan_in: Some(n) } => {
                    Some((stage, count(stage).min(n.into())))
                }
                DraftSource::ByName { stage, .. } => Some((stage, count(stage))),
            };
            let all = stage.links.reads.iter().map(|stage| (*stage, count(*stage)));
            let before = stage.links.continues.map(|stage| (stage, 1));
            let mut above = 0_u64;
            for (upstream, units) in from_source.into_iter().chain(all).chain(before) {
                let upstream = usize::from(upstream);
                if let Some(read) = is_read.get_mut(upstream) {
                    *read = true;
                }
                let each = ancestry.get(upstream).copied().unwrap_or(1);
                above = above.saturating_add(units.saturating_mul(each));
            }
            // No unit has more ancestors than there are units before it, however often it reads each.
            let before: u64 = counts[..ancestry.len()].iter().sum();
            ancestry.push(above.min(before).saturating_add(1));
        }
        let finals = ancestry.iter().zip(&is_read).filter(|(_, read)| !**read);
        let batches = |(stage, units): (&crate::DraftStage, &u64)| {
            u64::from(Partition::new((*units).max(1), stage.batch.max(1)).batches())
        };
        Self {
            units: counts.iter().sum(),
            batches: draft.stages.iter().zip(&counts).map(batches).sum(),
            ancestry: finals.map(|(ancestry, _)| *ancestry).max().unwrap_or(1),
        }
    }
}

impl Promise {
    /// What a policy promises if a share of `liars` of the `peers` lie together. Without a known number of
    /// peers, as many are reckoned with as could vote.
    pub fn of(shape: &Shape, policy: &DraftPolicy, liars: f64, peers: Option<u64>) -> Self {
        let voters = shape.batches.saturating_mul(u64::from(policy.quorum)).max(1);
        let known = peers.filter(|peers| 0 < *peers && *peers < voters);
        let reckoned = known.unwrap_or(voters);
        let unit_error = unit_error(policy.quorum, policy.audit_ppm, liars, reckoned, shape.units);
        Self {
            quorum: policy.quorum,
            audit_ppm: policy.audit_ppm,
            liars,
            peers: reckoned,
            are_known: known.is_some(),
            ancestry: shape.ancestry,
            unit_error,
            error: composed(unit_error, shape.ancestry),
        }
    }
}

/// The share of units that may be wrong once all audits are made.
pub(crate) fn unit_error(quorum: u8, audit_ppm: u32, liars: f64, peers: u64, units: u64) -> f64 {
    let by_quorum = liars.powi(i32::from(quorum));
    if audit_ppm == 0 {
        return by_quorum;
    }
    let times = if quorum < QUORUM_TRIED_MIN { SINGLE_VOTE } else { MARGIN };
    let survivors =
        times * (peers.max(PEERS_MEASURED_MIN) as f64).sqrt() * AUDITS_MEASURED / ppm(audit_ppm);
    by_quorum.min(survivors / units.max(1) as f64)
}

/// The chance that something is wrong of which each of `n` parts is with a chance of `error`.
pub(crate) fn composed(error: f64, n: u64) -> f64 {
    // ln_1p and exp_m1 keep what 1 - (1 - e)^n would round away.
    if 1.0 <= error { 1.0 } else { -(n as f64 * (-error).ln_1p()).exp_m1() }
}

/// The policy that reaches a goal with the fewest executions; without a target, the policy as it is.
///
/// # Errors
/// [`Unreachable`] if quorums up to 9 and audits up to 50 % are not enough.
pub(crate) fn settle(
    shape: &Shape,
    policy: DraftPolicy,
    goal: &Goal,
    peers: Option<u64>,
) -> Result<DraftPolicy, Box<Unreachable>> {
    let Some(target) = goal.target else { return Ok(policy) };
    let tried = |keeps_quorum, keeps_audit| {
        candidates(&policy, keeps_quorum, keeps_audit)
            .map(|candidate| Promise::of(shape, &candidate, goal.liars, peers))
            .collect::<Vec<_>>()
    };
    let all = tried(goal.keeps_quorum, goal.keeps_audit);
    if let Some(cheapest) = cheapest(&all, target) {
        let Promise { quorum, audit_ppm, .. } = cheapest;
        return Ok(DraftPolicy { quorum, audit_ppm, ..policy });
    }
    let best = all.into_iter().min_by(|a, b| a.error.total_cmp(&b.error));
    let best = best.unwrap_or_else(|| Promise::of(shape, &policy, goal.liars, peers));
    let free = cheapest(&tried(false, false), target);
    Err(Box::new(Unreachable { target, ancestry: shape.ancestry, best, free }))
}

impl Unreachable {
    /// What could be done instead.
    pub fn hint(&self) -> String {
        let policy = match self.free {
            Some(Promise { quorum, audit_ppm, .. }) => {
                format!("quorum = {quorum} with audit = {} reaches it; or ", ppm(audit_ppm))
            }
            None => String::new(),
        };
        format!(
            "{policy}ask for `target = {}`, gather fewer units, seal it with `anchors` of your own that stay \
             online, or take a sample of the results afterwards: `dugnad job get --sample`",
            show_up(self.best.error)
        )
    }
}

fn candidates(
    policy: &DraftPolicy,
    keeps_quorum: bool,
    keeps_audit: bool,
) -> impl Iterator<Item = DraftPolicy> + '_ {
    let quorums =
        if keeps_quorum { policy.quorum..=policy.quorum } else { QUORUM_TRIED_MIN..=QUORUM_MAX };
    let audits = if keeps_audit { vec![policy.audit_ppm] } else { AUDITS_TRIED.to_vec() };
    quorums.flat_map(move |quorum| {
        let with = move |audit_ppm| DraftPolicy { quorum, audit_ppm, ..policy.clone() };
        audits.clone().into_iter().map(with)
    })
}

/// Of those that reach the target, the one with the fewest executions per unit.
fn cheapest(all: &[Promise], target: f64) -> Option<Promise> {
    let executions = |of: &Promise| u64::from(of.quorum) * 1_000_000 + u64::from(of.audit_ppm);
    all.iter().copied().filter(|of| of.error <= target).min_by_key(executions)
}

fn ppm(share: u32) -> f64 {
    f64::from(share) / 1e6
}

/// A share for people: percent with two digits, or powers of ten where percents get long.
pub fn show_share(share: f64) -> String {
    if share == 0.0 {
        return "0 %".to_owned();
    }
    if share < 1e-4 {
        return format!("{share:.1e}");
    }
    let percent = share * 100.0;
    let digits = (1 - percent.log10().floor() as i32).max(0) as usize;
    let text = format!("{percent:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// A target that is certainly reached where `share` is: rounded up to two digits.
fn show_up(share: f64) -> String {
    let scale = 10_f64.powi(share.log10().floor() as i32 - 1);
    format!("{:.1e}", (share / scale).ceil() * scale)
}

#[cfg(test)]
mod tests;
