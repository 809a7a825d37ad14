//! Room: nobody says more than is kept, whatever the order in which it comes.

use super::*;
use crate::limits::STEP_BYTES_MAX;
use crate::{
    BlobRef, Certificate, Keypair, Manifest, NetworkId, PROTOCOL, Policy, Range, SEMANTICS, Shown,
    Source, Stage, Stdin, UnitLimits, hash,
};

fn key(name: &str) -> Keypair {
    Keypair::from_secret(hash("key of a test", &[name.as_bytes()]).as_bytes())
}

fn digest(number: u64) -> Hash {
    hash("digest of a test", &[&number.to_le_bytes()])
}

/// The ledger of a job of one unit.
fn ledger() -> Ledger {
    let submitter = key("submitter").peer();
    let stage = Stage {
        name: "units".to_owned(),
        source: Source::Range(Range { from: 0, to: 1, block: 1 }),
        module: BlobRef::of(b"module"),
        args: vec![],
        env: vec![],
        stdin: Stdin::Nothing,
        inputs: vec![],
        limits: UnitLimits::default(),
        batch: 1,
        links: crate::Links::default(),
    };
    Ledger::new(Arc::new(Plan::new(Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "room".to_owned(),
        description: String::new(),
        submitter,
        created_ms: 0,
        expires_ms: 1,
        nonce: digest(0),
        stages: vec![stage],
        policy: Policy::standard(submitter),
        priority: 0,
        window: None,
    })))
}

/// A log of steps that are nearly as long as a step may be, and say nothing of use.
fn long_steps(ledger: &Ledger, name: &str, count: u64) -> Vec<Signed<Step>> {
    let key = key(name);
    let slot = Slot { stage: 0, about: About::Batch(0), units: digest(1) };
    let mut prev = StepId::new([0; 32]);
    let step = |seq| {
        let shown = |n| Shown { voter: key.peer(), proof: digest(n) };
        let certificate = |n: u64| Certificate {
            slot,
            root: digest(seq),
            proofs: (0..60).map(|proof| shown(60 * n + proof)).collect(),
        };
        let items = (0..9).map(|n| Item::Certificate(certificate(n))).collect();
        let (shard, level) = (0, 0);
        let job = ledger.job;
        let step = Step { job, shard, seq, prev, level, stamp: None, report: None, items };
        let step = key.sign(NetworkId::named("room"), step);
        prev = step.id();
        step
    };
    (0..count).map(step).collect()
}

#[test]
fn an_author_says_as_much_as_is_kept_and_no_more_in_any_order() {
    let mut in_order = ledger();
    let steps = long_steps(&in_order, "x", 40);
    let weight = weight(&steps[0]);
    assert!(STEP_BYTES_MAX as u64 * 3 / 4 < weight, "{weight}");
    let kept = in_order.room_of_one / weight;
    let taken: Vec<_> = steps.iter().map(|step| in_order.insert(step.clone())).collect();
    for (seq, taken) in (0..).zip(taken) {
        // The first that has no room is not read, but kept, for a twin of it would show a fork.
        let want = if seq <= kept { Ok(Inserted::New) } else { Err(Refusal::Full) };
        assert_eq!(taken, want, "{seq}");
    }
    assert_eq!(in_order.next_step(steps[0].author()).0, kept);
    assert_eq!(in_order.steps().count() as u64, kept + 1);
    assert!(!in_order.has_gaps());
    // Backwards: what lies behind the gap is kept up to a bound, and what has no room goes when the gap closes.
    let mut backwards = ledger();
    for step in steps.iter().take(kept as usize + 2).rev() {
        let _ = backwards.insert(step.clone());
        assert!(backwards.held_bytes <= 2 * backwards.room_of_one);
    }
    for step in &steps {
        let _ = backwards.insert(step.clone());
    }
    assert_eq!(backwards.heads(false), in_order.heads(false));
    assert_eq!(backwards.held_bytes, in_order.held_bytes);
    assert_eq!(in_order.insert(steps[0].clone()), Ok(Inserted::Known));

    // A shorter twin of the step that had no room is read by whoever hears it first, until the fork is known.
    let mut twin = steps[kept as usize].value().clone();
    twin.items.truncate(1);
    let twin = key("x").sign(NetworkId::named("room"), twin);
    let mut other = ledger();
    for step in steps.iter().take(kept as usize).chain([&twin]) {
        other.insert(step.clone()).unwrap();
    }
    assert_eq!(other.next_step(twin.author()).0, kept + 1);
    assert_eq!(in_order.insert(twin), Ok(Inserted::Fork));
    let (evidence, _) = in_order.compare(&other.heads(false));
    assert!(evidence.into_iter().any(|step| other.insert(step) == Ok(Inserted::Fork)));
    assert_eq!(other.heads(false), in_order.heads(false));
}

#[test]
fn a_job_keeps_no_more_than_its_room_and_those_whose_turn_comes_first() {
    let mut ledger = ledger();
    let logs: Vec<_> = (0..12).map(|n| long_steps(&ledger, &format!("x{n}"), 4)).collect();
    let weight = weight(&logs[0][0]);
    ledger.room = 20 * weight;
    let mut rounds = 0..3;
    for log in rounds.by_ref().flat_map(|_| &logs) {
        for step in log {
            let _ = ledger.insert(step.clone());
            assert!(ledger.held_bytes <= ledger.room);
            assert_eq!(ledger.held_bytes, ledger.steps().map(super::weight).sum::<u64>());
        }
    }
    // Those stay whose turn comes first, whole.
    let mut turns: Vec<_> = logs.iter().map(|log| log[0].author()).collect();
    turns.sort_by_key(|author| ledger.turn(*author));
    for author in &turns[..5] {
        assert_eq!(ledger.next_step(*author).0, 4);
    }
    // Whom the job names comes in all the same.
    for step in long_steps(&ledger, "submitter", 4) {
        assert_eq!(ledger.insert(step), Ok(Inserted::New));
    }
    assert!(ledger.held_bytes <= ledger.room);
}

#[test]
fn a_fork_leaves_the_room_that_it_cuts_off() {
    let mut ledger = ledger();
    let steps = long_steps(&ledger, "x", 8);
    for step in &steps {
        ledger.insert(step.clone()).unwrap();
    }
    let mut twin = steps[2].value().clone();
    twin.items.truncate(1);
    assert_eq!(ledger.insert(key("x").sign(NetworkId::named("room"), twin)), Ok(Inserted::Fork));
    assert_eq!(ledger.held_bytes, ledger.steps().map(weight).sum::<u64>());
    assert!(ledger.held_bytes < 5 * weight(&steps[0]));
}

// Who hears of it before the log is full must not call somebody an equivocator whom others cannot convict.
#[test]
fn a_fork_behind_a_step_without_room_counts_nowhere() {
    let mut early = ledger();
    let steps = long_steps(&early, "x", 40);
    let kept = early.room_of_one / weight(&steps[0]);
    let mut twin = steps[kept as usize + 3].value().clone();
    twin.items.truncate(1);
    let twin = key("x").sign(NetworkId::named("room"), twin);
    early.insert(steps[kept as usize + 3].clone()).unwrap();
    assert_eq!(early.insert(twin.clone()), Ok(Inserted::Fork));
    let mut late = ledger();
    for step in steps.iter().chain([&twin]) {
        let _ = early.insert(step.clone());
        let _ = late.insert(step.clone());
    }
    assert!(early.equivocators.is_empty() && late.equivocators.is_empty());
    assert_eq!(early.heads(false), late.heads(false));
    assert!(!late.compare(&early.heads(false)).1 && !early.compare(&late.heads(false)).1);
    // One below it counts, whenever it is heard of.
    let mut twin = steps[3].value().clone();
    twin.items.truncate(1);
    let twin = key("x").sign(NetworkId::named("room"), twin);
    for ledger in [&mut early, &mut late] {
        assert_eq!(ledger.insert(twin.clone()), Ok(Inserted::Fork));
        assert_eq!((ledger.equivocators.len(), ledger.next_step(twin.author()).0), (1, 3));
    }
}

#[test]
fn nobody_goes_where_that_makes_too_little_room() {
    let mut ledger = ledger();
    let mut names: Vec<String> = (0..3).map(|n| format!("x{n}")).collect();
    names.sort_by_key(|name| ledger.turn(key(name).peer()));
    let [first, second, last] = [0, 1, 2].map(|n| long_steps(&ledger, &names[n], 4));
    let mut short = last[0].value().clone();
    short.items.truncate(1);
    let short = key(&names[2]).sign(NetworkId::named("room"), short);
    ledger.room = 4 * weight(&first[0]) + weight(&short) + 9;
    for step in first.iter().chain([&short]) {
        ledger.insert(step.clone()).unwrap();
    }
    assert_eq!(ledger.insert(second[0].clone()), Err(Refusal::Full));
    assert_eq!(ledger.next_step(short.author()).0, 1, "it would have gone for nothing");
}
