//! Random worlds: honest peers, liars, colluders, copiers, junk, equivocators and latecomers, and
//! what must hold in every one of them.

use std::collections::BTreeSet;

use protocol::{Hash, Inserted, Item, PeerId, Reason, Signed, Step, Verdict, hash};

use crate::dice::Dice;
use crate::world::{BATCH, State, World, digest, guilty, names, peer, strs};

const WORLDS: u64 = 300;
const BATCHES: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// Lies alone, and posts its leaves.
    Liar,
    /// Shares one lie and one invented trace with the other colluders.
    Colluder,
    /// Copies roots, and repeats public proofs beside one of its own.
    Copier,
    /// Votes and ballots for nonsense.
    Junk,
    /// Says two things with one number.
    Equivocator,
}

pub(crate) struct Told {
    pub(crate) world: World,
    honest: BTreeSet<PeerId>,
    colluders: BTreeSet<PeerId>,
    equivocators: BTreeSet<PeerId>,
    honest_majority: bool,
}

pub(crate) fn tell(seed: u64) -> Told {
    tell_of(seed, BATCHES, BATCHES)
}

/// A random world in which so many batches, `of` those that the job has, are spoken about.
fn tell_of(seed: u64, batches: u32, of: u32) -> Told {
    let mut dice = Dice::new("world", seed);
    let mut world = World::new(seed, u64::from(of));
    let honest = names("honest", 2 + dice.below(6));
    let kinds = [Bad::Liar, Bad::Colluder, Bad::Copier, Bad::Junk, Bad::Equivocator];
    let bad: Vec<(String, Bad)> = (0..dice.below(6))
        .map(|n| {
            let kind = *dice.pick(&kinds);
            (format!("{kind:?}{n}"), kind)
        })
        .collect();
    for batch in 0..batches {
        play(&mut world, &mut dice, batch, &honest, &bad);
    }
    let of = |kind| bad.iter().filter(move |(_, k)| *k == kind).map(|(name, _)| peer(name));
    Told {
        colluders: of(Bad::Colluder).collect(),
        equivocators: of(Bad::Equivocator).collect(),
        honest_majority: bad.len() < honest.len(),
        honest: honest.iter().map(|name| peer(name)).chain([peer("late")]).collect(),
        world,
    }
}

/// One batch of a random world.
fn play(w: &mut World, dice: &mut Dice, batch: u32, honest: &[String], bad: &[(String, Bad)]) {
    let of = |kind| bad.iter().filter(move |(_, k)| *k == kind).map(|(name, _)| name.as_str());
    let slot = w.batch(batch);
    let (truth, tale) = (w.truth(batch), w.lie(batch, "tale", &[1]));
    let (root, tale_root) = (w.know(&truth), w.know(&tale));
    let trace = hash("trace", &[root.as_bytes()]);
    let voters = dice.some(&strs(honest), 60);
    let tellers: Vec<&str> = of(Bad::Colluder).filter(|_| dice.percent(70)).collect();
    for who in &voters {
        w.vote(who, slot, root, trace);
    }
    for who in &tellers {
        w.vote(who, slot, tale_root, digest("told trace"));
    }
    for who in of(Bad::Liar).filter(|_| dice.percent(70)).collect::<Vec<_>>() {
        let lie = w.lie(batch, who, &[1, 2]);
        let lie_root = w.know(&lie);
        w.vote(who, slot, lie_root, digest(who));
        w.post_leaves(who, batch, &lie);
    }
    for who in of(Bad::Copier) {
        w.vote(who, slot, root, digest(who));
    }
    for who in of(Bad::Junk) {
        w.vote(who, slot, digest("junk"), digest("junk"));
        w.lone_ballot(batch, dice.below(BATCH), who, digest("junk"));
    }
    for who in of(Bad::Equivocator) {
        let (seq, prev) = w.head(who);
        w.vote(who, slot, root, digest("equivocator"));
        let other = vec![abstention(w, batch)];
        let other = w.sign(who, seq, prev, other);
        w.steps.push(other);
    }
    for who in voters.iter().chain(&tellers) {
        w.confirm(who, slot);
    }
    replay_proofs(w, batch, root, &of(Bad::Copier).collect::<Vec<_>>());
    if let Some(who) = voters.first().filter(|_| dice.percent(80)) {
        w.post_leaves(who, batch, &truth);
    }
    if let Some(who) = tellers.first().filter(|_| dice.percent(70)) {
        w.post_leaves(who, batch, &tale);
    }
    if dice.percent(30) {
        w.vote("late", slot, root, trace);
        w.confirm("late", slot);
        for who in voters.iter().take(1) {
            w.confirm(who, slot);
        }
    }
    if dice.percent(50) {
        let who = dice.pick(honest).clone();
        w.abstain(&who, batch, 3, Reason::Timeout);
    }
    ballots(w, dice, batch, honest, bad, &tellers);
}

/// Honest audits, or everybody's ballots where something is in question; and what liars answer.
fn ballots(
    w: &mut World,
    dice: &mut Dice,
    batch: u32,
    honest: &[String],
    bad: &[(String, Bad)],
    tellers: &[&str],
) {
    let of = |kind| bad.iter().filter(move |(_, k)| *k == kind).map(|(name, _)| name.as_str());
    let conflict = !tellers.is_empty() || of(Bad::Liar).next().is_some();
    let mut auditors = if conflict { strs(honest) } else { dice.some(&strs(honest), 30) };
    if conflict {
        auditors.push("late");
    }
    let unit = if conflict { 1 } else { dice.below(BATCH) };
    w.ballots(batch, unit, &auditors, w.true_outcome(batch, unit));
    for who in of(Bad::Liar).filter(|_| dice.percent(60)).collect::<Vec<_>>() {
        let unit = 1 + dice.below(2);
        w.lone_ballot(batch, unit, who, w.lie(batch, who, &[2])[2]);
    }
    if conflict && dice.percent(50) {
        w.ballots(batch, 2, &auditors, w.true_outcome(batch, 2));
    }
    if conflict {
        let tale = w.lie(batch, "tale", &[1]);
        w.ballots(batch, 1, &of(Bad::Colluder).collect::<Vec<_>>(), tale[1]);
    }
}

fn abstention(w: &World, batch: u32) -> Item {
    let (slot, unit) = (w.batch(batch), w.number(batch, 0));
    Item::Abstention(protocol::Abstention { slot, unit, reason: Reason::HostMemory })
}

fn replay_proofs(w: &mut World, batch: u32, root: Hash, copiers: &[&str]) {
    let slot = w.batch(batch);
    let public =
        w.steps.iter().flat_map(|step| step.value().items.clone()).find_map(|item| match item {
            Item::Certificate(c) if c.slot == slot && c.root == root => Some(c.proofs[0]),
            _ => None,
        });
    for who in copiers {
        let own = protocol::Shown { voter: peer(who), proof: w.proof(&slot, who, digest(who)) };
        let proofs = public.into_iter().chain([own]).collect();
        w.emit(who, vec![Item::Certificate(protocol::Certificate { slot, root, proofs })]);
    }
}

/// Steps in another order, some of them twice, read by a ledger that is asked after every one.
fn read_along(told: &Told, dice: &mut Dice, steps: &[Signed<Step>]) -> Verdict {
    let mut steps = steps.to_vec();
    let again: Vec<Signed<Step>> = (0..5).map(|_| dice.pick(&steps).clone()).collect();
    steps.extend(again);
    dice.shuffle(&mut steps);
    let looks = [dice.below(steps.len()), dice.below(steps.len())];
    let mut ledger = told.world.ledger(&[]);
    for (at, step) in steps.iter().enumerate() {
        ledger.insert(step.clone()).unwrap();
        let verdict = ledger.verdict().clone();
        if looks.contains(&at) {
            assert_eq!(verdict, told.world.judge(&steps[..=at]), "after {at} steps");
        }
    }
    ledger.verdict().clone()
}

#[test]
fn any_order_repetition_or_partition_gives_the_same_verdict() {
    for seed in 0..WORLDS {
        let told = tell(seed);
        let mut dice = Dice::new("order", seed);
        let verdict = told.world.verdict();
        for _ in 0..2 {
            assert_eq!(read_along(&told, &mut dice, &told.world.steps), verdict, "seed {seed}");
        }
        let (mut left, mut right) = (vec![], vec![]);
        for step in &told.world.steps {
            if dice.percent(50) { &mut left } else { &mut right }.push(step.clone());
        }
        dice.shuffle(&mut left);
        dice.shuffle(&mut right);
        for (own, others) in [(&left, &right), (&right, &left)] {
            let mut ledger = told.world.ledger(own);
            ledger.verdict();
            for step in others {
                ledger.insert(step.clone()).unwrap();
            }
            assert_eq!(*ledger.verdict(), verdict, "seed {seed}");
        }
    }
}

#[test]
fn ten_thousand_statements_give_the_same_bytes_in_any_order() {
    // A world with bad peers of several kinds.
    let told = tell_of(5, 400, 500);
    let mut steps = told.world.steps.clone();
    let statements: usize = steps.iter().map(|step| step.value().items.len()).sum();
    assert!(10_000 <= statements, "{statements} statements");
    let verdict = told.world.verdict();
    assert!(!verdict.convicted.is_empty() && !verdict.equivocators.is_empty());
    let bytes = format!("{verdict:?}");
    let mut dice = Dice::new("permutation", 1);
    for looks in [0, 7] {
        dice.shuffle(&mut steps);
        let look_after: BTreeSet<usize> = (0..looks).map(|_| dice.below(steps.len())).collect();
        let mut ledger = told.world.ledger(&[]);
        // Steps far beyond a gap are not kept: they come again, as in a reconciliation.
        let (mut coming, mut again) = (steps.clone(), vec![]);
        while !coming.is_empty() {
            for (at, step) in coming.drain(..).enumerate() {
                if ledger.insert(step.clone()).unwrap() == Inserted::TooFarAhead {
                    again.push(step);
                }
                if look_after.contains(&at) {
                    ledger.verdict();
                }
            }
            coming.append(&mut again);
        }
        assert!(format!("{:?}", ledger.verdict()) == bytes, "another verdict after {looks} looks");
    }
}

#[test]
fn a_wrong_outcome_stands_only_where_a_quorum_of_colluders_signed_it() {
    let (mut wrong, mut right) = (0, 0);
    for_every_view(|seed, told, steps, verdict, _| {
        let said = told.world.statements(steps);
        for (batch, i) in units() {
            let (State::Accepted(outcome) | State::Decided(outcome)) =
                told.world.at(verdict, batch, i)
            else {
                continue;
            };
            right += 1;
            if outcome != told.world.true_outcome(batch, i) {
                wrong += 1;
                let unit = told.world.number(batch, i);
                let who = said.get(&(unit, outcome)).cloned().unwrap_or_default();
                let together = who.intersection(&told.colluders).count();
                assert!(2 <= together, "seed {seed}: batch {batch}, unit {i}");
            }
        }
    });
    assert!(0 < wrong && wrong < right / 10, "the worlds must have successful liars, but few");
}

#[test]
fn no_honest_peer_is_convicted_by_fewer_than_two_colluders_or_by_a_minority() {
    let mut caught = 0;
    for_every_view(|seed, told, _, verdict, is_whole| {
        caught += verdict.convicted.len();
        let framed = guilty(verdict).intersection(&told.honest).count();
        if told.colluders.len() < 2 || (is_whole && told.honest_majority) {
            assert_eq!(framed, 0, "seed {seed}");
        }
        if is_whole {
            assert_eq!(verdict.equivocators, told.equivocators, "seed {seed}");
        }
    });
    assert!(WORLDS as usize / 4 < caught, "{caught} liars were caught");
}

#[test]
fn with_an_honest_majority_and_all_steps_no_unit_ends_wrong() {
    for_every_view(|seed, told, _, verdict, is_whole| {
        if !is_whole || !told.honest_majority {
            return;
        }
        for (batch, i) in units() {
            if let State::Accepted(outcome) | State::Decided(outcome) =
                told.world.at(verdict, batch, i)
            {
                assert_eq!(
                    outcome,
                    told.world.true_outcome(batch, i),
                    "seed {seed}: batch {batch}, unit {i}"
                );
            }
        }
    });
}

fn units() -> impl Iterator<Item = (u32, usize)> {
    (0..BATCHES).flat_map(|batch| (0..BATCH).map(move |i| (batch, i)))
}

/// Every world as seen by who has all steps, lacks the ends of some logs, or lacks steps anywhere.
fn for_every_view(mut check: impl FnMut(u64, &Told, &[Signed<Step>], &Verdict, bool)) {
    for seed in 0..WORLDS {
        let told = tell(seed);
        let mut dice = Dice::new("view", seed);
        let all = told.world.steps.clone();
        check(seed, &told, &all, &told.world.verdict(), true);
        let known = dice.below(30) as u64;
        let spread = |step: &Signed<Step>| u64::from(step.author().as_bytes()[0] % 8);
        let cut: Vec<Signed<Step>> =
            all.iter().filter(|step| step.value().seq < known + spread(step)).cloned().collect();
        let holes = dice.some(&all, 80);
        for view in [cut, holes] {
            check(seed, &told, &view, &told.world.judge(&view), false);
        }
    }
}
