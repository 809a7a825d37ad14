//! Convictions: who stated something else on decided units, peeled off until nothing changes.
//!
//! Greedy peeling with ties broken by hash. Identities that share one wrong digest are convicted
//! together, since chance cannot do that; a lone dissenter only when its losses exceed one plus one
//! per `loss_div` confirmed units.

use std::collections::{BTreeMap, BTreeSet};

use super::verdict::Conviction;
use crate::{Hash, JobId, PeerId, hash};

/// A decided unit: where, what won, what everybody stated who counts, and what the convicted did.
pub(super) type Decision = ((u16, u64), Hash, BTreeMap<PeerId, Hash>, BTreeSet<Hash>);

/// The next identities to convict, with their evidence; empty when there are none.
pub(super) fn next(
    job: JobId,
    decisions: &[Decision],
    immune: &[PeerId],
    may_lose: impl Fn(PeerId) -> u64,
) -> BTreeMap<PeerId, Conviction> {
    let (mut shared, mut alone) = (BTreeMap::new(), BTreeMap::new());
    for (_, winner, claims, echoes) in decisions {
        for (peer, claim) in claims.iter().filter(|(_, claim)| *claim != winner) {
            let same = claims.values().filter(|other| *other == claim).count();
            *if 2 <= same + usize::from(echoes.contains(claim)) {
                &mut shared
            } else {
                &mut alone
            }
            .entry(*peer)
            .or_insert(0u64) += 1;
        }
    }
    let peers: BTreeSet<PeerId> =
        shared.keys().chain(alone.keys()).copied().filter(|p| !immune.contains(p)).collect();
    let count = |losses: &BTreeMap<PeerId, u64>, peer| losses.get(&peer).copied().unwrap_or(0);
    let guilty =
        |peer: &PeerId| shared.contains_key(peer) || may_lose(*peer) < count(&alone, *peer);
    let weight = |peer: &PeerId| count(&shared, *peer) + count(&alone, *peer);
    let tie = |peer: &PeerId| hash("peel", &[job.blob().as_bytes(), peer.as_bytes()]);
    let Some(worst) =
        peers.iter().copied().filter(guilty).max_by_key(|peer| (weight(peer), tie(peer)))
    else {
        return BTreeMap::new();
    };
    let mut convicted =
        BTreeMap::from([(worst, Conviction { units: BTreeSet::new(), colluded: false })]);
    // And whoever shares a wrong claim with one of them, and so on.
    let mut found = true;
    while std::mem::take(&mut found) {
        for (_, winner, claims, _) in decisions {
            let wrong: BTreeSet<Hash> = claims
                .iter()
                .filter(|(peer, claim)| *claim != winner && convicted.contains_key(peer))
                .map(|(_, claim)| *claim)
                .collect();
            let partners = claims
                .iter()
                .filter(|(peer, claim)| wrong.contains(claim) && !immune.contains(peer));
            for (peer, _) in partners {
                found |= !convicted.contains_key(peer);
                convicted
                    .entry(*peer)
                    .or_insert(Conviction { units: BTreeSet::new(), colluded: true });
            }
        }
    }
    let together = 1 < convicted.len();
    for (peer, conviction) in &mut convicted {
        conviction.colluded |= together;
        let lost = decisions
            .iter()
            .filter(|(_, winner, claims, _)| claims.get(peer).is_some_and(|claim| claim != winner));
        conviction.units = lost.map(|(at, ..)| *at).collect();
    }
    convicted
}
