//! The verdict's safety: what liars cannot do, however they go about it.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{About, Hash, Ledger, PeerId, Standing, UnitVerdict, Verdict};

use crate::choices::{Chance, Choices};
use crate::places::{Place, Places};
use crate::world::{Spoken, World};

const ACTS: usize = 64;

/// A world of honest and dishonest peers, seen by readers who have all of it or parts: nothing wrong
/// stands without a quorum of colluders, nobody honest is convicted without two of them, and what is
/// sealed stays as it is.
pub fn verdict(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut chance = Chance::new(u64::from(choices.byte()));
    let world = World::play(&mut choices, ACTS);
    let mut shuffled = world.steps.clone();
    chance.shuffle(&mut shuffled);
    let mut places = Places::new(world.plan.clone());
    for steps in [&world.steps, &shuffled] {
        let mut ledger = Ledger::new(world.plan.clone());
        let mut sealed = BTreeMap::new();
        let mut before = Verdict::default();
        for step in steps {
            let _ = ledger.insert(step.clone());
            let verdict = ledger.verdict();
            if *verdict != before {
                check(&world, &mut places, verdict);
                stays_sealed(&world, verdict, &mut sealed);
                before.clone_from(verdict);
            }
        }
    }
}

fn check(world: &World, places: &mut Places, verdict: &Verdict) {
    for stage in world.plan.stages() {
        for batch in 0..world.plan.partition(stage).batches() {
            let _ = verdict.assurance(&world.plan, stage, batch);
            if world.setup.has_honest_anchors() {
                check_batch(world, places, verdict, (stage, batch));
            }
        }
    }
    let _ = verdict.weakest(&world.plan);
    for stage in world.plan.stages() {
        let tally = verdict.tally(&world.plan, stage);
        let sum = tally.open + tally.self_executed + tally.accepted + tally.contested;
        assert_eq!(sum, tally.units, "{tally:?} does not add up");
    }
    let honest = |peer: &PeerId| world.setup.number_of(*peer).is_some_and(|n| !world.setup.bad[n]);
    assert!(!verdict.equivocators.iter().any(honest), "an honest peer counts as an equivocator");
    let framed = verdict.convicted.keys().any(honest);
    if framed && world.setup.has_honest_anchors() {
        assert!(2 <= world.coalition().len(), "an honest peer is convicted without two colluders");
    }
    let anchors = &world.setup.manifest.policy.anchors;
    assert!(!anchors.iter().any(|a| verdict.convicted.contains_key(a)), "an anchor is convicted");
}

/// No wrong outcome stands unless a quorum of colluders, who share a trace, has stated it.
fn check_batch(world: &World, places: &mut Places, verdict: &Verdict, (stage, batch): (u16, u32)) {
    let of = verdict.batch(stage, batch);
    let Some(place) = places.at(stage, About::Batch(batch), verdict) else { return };
    if of.is_sealed {
        assert_eq!(of.effective, Some(place.truth), "honest anchors have sealed something wrong");
    }
    let quorum = usize::from(world.setup.manifest.policy.quorum);
    let mut wrong_root = None;
    if let Standing::Quorum { root, voters } = &of.standing {
        assert!(quorum <= voters.len(), "{} voters are no quorum", voters.len());
        if *root != place.truth {
            wrong_root = Some(*root);
            check_liars(world, voters, quorum, "a wrong root stands");
        }
    }
    let first = world.plan.partition(stage).units_of(batch).start;
    for (unit, state) in &of.units {
        let right = place.right[(unit - first) as usize];
        let (digest, how) = match state {
            UnitVerdict::Accepted(digest) => (*digest, "a wrong outcome is accepted"),
            UnitVerdict::Decided(digest) => (*digest, "a contest is decided for a wrong outcome"),
            UnitVerdict::Contested => continue,
        };
        // Under a wrong root whose voters were counted, a path may show whatever they put there.
        let by_path = wrong_root.is_some() && matches!(state, UnitVerdict::Accepted(_));
        if digest != right && !by_path {
            let ballots = ballots_for(world, places.at(stage, About::Unit(*unit), verdict), digest);
            check_liars(world, &ballots, quorum, how);
        }
    }
}

fn ballots_for(world: &World, place: Option<Place>, digest: Hash) -> BTreeSet<PeerId> {
    let said = |vote: &&Spoken| {
        place.as_ref().is_some_and(|place| vote.slot == place.slot) && vote.root == digest
    };
    world.votes.iter().filter(said).map(|vote| vote.author).collect()
}

fn check_liars(world: &World, who: &BTreeSet<PeerId>, quorum: usize, what: &str) {
    // Where one vote is enough, nobody needs help to lie.
    let coalition = world.coalition();
    let liars = if quorum == 1 { who.len() } else { who.intersection(&coalition).count() };
    assert!(quorum <= liars, "{what} by {liars} colluders where {quorum} are needed");
}

/// What an anchor has sealed, on inputs that are sealed themselves, is never taken back or changed.
fn stays_sealed(world: &World, verdict: &Verdict, sealed: &mut BTreeMap<(u16, u32), Hash>) {
    let anchors = &world.setup.manifest.policy.anchors;
    if anchors.iter().any(|anchor| verdict.equivocators.contains(anchor)) {
        return;
    }
    for ((stage, batch), root) in &*sealed {
        let of = verdict.batch(*stage, *batch);
        assert!(of.is_sealed, "a seal on batch {batch} of stage {stage} is gone");
        let effective = of.effective.expect("what is sealed has an outcome");
        if anchors.len() == 1 {
            assert_eq!(effective, *root, "what is sealed has changed");
        } else {
            // Of anchors that differ the lower root stands.
            assert!(effective <= *root, "what is sealed has changed");
        }
    }
    let all_sealed = |stage: u16| verdict.batches(stage).iter().all(|batch| batch.is_sealed);
    let mut is_firm = BTreeMap::new();
    for stage in world.plan.stages() {
        let mut upstreams = world.plan.stage(stage).upstreams();
        let firm = upstreams.all(|s| anchors.len() == 1 && is_firm[&s] && all_sealed(s));
        is_firm.insert(stage, firm);
        for (batch, of) in (0..).zip(verdict.batches(stage)).filter(|(_, of)| firm && of.is_sealed)
        {
            sealed.insert((stage, batch), of.effective.expect("what is sealed has an outcome"));
        }
    }
}
