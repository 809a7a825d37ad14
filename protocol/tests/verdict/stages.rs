//! Stages, quorums and the submitter: what is derived from what, and who has to agree.

use protocol::{
    About, ByName, Certificate, Each, Gather, Hash, Item, Ledger, Policy, Read, Role, Shown, Slot,
    Source, Stage, Standing, bucket_of, hash, merkle_root,
};

use crate::world::{
    State, World, digest, gather_stage, guilty, names, peer, peers, policy, range_stage, strs,
};

/// Four batches of one unit each, and a second stage that gathers them.
fn two_stages(seed: u64) -> World {
    let stages = vec![range_stage("first", 4, 1), gather_stage("second", 0)];
    World::staged(seed, stages, policy())
}

/// Votes of two peers, joined, on the one unit of the second stage.
fn gather(w: &mut World, slot: Slot, who: [&str; 2], outcome: Hash) {
    let root = merkle_root(&[outcome]);
    for peer in who {
        w.vote(peer, slot, root, digest("gathered"));
    }
    for peer in who {
        w.confirm(peer, slot);
    }
}

fn gather_slot(ledger: &mut Ledger) -> Option<Slot> {
    ledger.verdict();
    ledger.slot(1, About::Batch(0))
}

#[test]
fn a_gathering_stage_opens_once_all_it_reads_has_outcomes() {
    let mut w = two_stages(1);
    for batch in 0..4 {
        let mut ledger = w.ledger(&w.steps);
        assert_eq!(gather_slot(&mut ledger), None, "{batch} batches are there");
        let truth = w.truth(batch);
        w.execute(batch, &["h0", "h1"], &truth);
    }
    let slot = gather_slot(&mut w.ledger(&w.steps)).unwrap();
    gather(&mut w, slot, ["h0", "h1"], digest("sum"));
    let verdict = w.verdict();
    assert_eq!(verdict.batch(1, 0).effective, Some(merkle_root(&[digest("sum")])));
    assert!(verdict.batch(1, 0).is_verified());
}

#[test]
fn a_revoked_outcome_changes_the_slot_downstream_and_no_other_and_votes_on_stale_inputs_count_for_nothing()
 {
    let mut w = two_stages(2);
    let lie = w.lie(2, "tale", &[0]);
    for batch in 0..4 {
        let outcomes = if batch == 2 { lie.clone() } else { w.truth(batch) };
        let who = if batch == 2 { ["l0", "l1"] } else { ["h0", "h1"] };
        w.execute(batch, &who, &outcomes);
        w.post_leaves(who[0], batch, &outcomes);
    }
    let mut ledger = w.ledger(&w.steps);
    let stale = gather_slot(&mut ledger).unwrap();
    let upstream: Vec<Slot> = (0..4).map(|b| ledger.slot(0, About::Batch(b)).unwrap()).collect();
    gather(&mut w, stale, ["h0", "h1"], digest("wrong sum"));
    assert!(w.verdict().batch(1, 0).is_verified());

    w.ballots(2, 0, &strs(&names("h", 4)), w.true_outcome(2, 0));
    let mut ledger = w.ledger(&w.steps);
    let fresh = gather_slot(&mut ledger).unwrap();
    assert_ne!(fresh, stale);
    assert_eq!(
        upstream,
        (0..4).map(|b| ledger.slot(0, About::Batch(b)).unwrap()).collect::<Vec<_>>()
    );
    let verdict = w.verdict();
    assert_eq!(verdict.batch(1, 0).standing, Standing::Open);
    assert_eq!(guilty(&verdict), peers(&["l0", "l1"]), "who voted on stale inputs did no wrong");

    gather(&mut w, fresh, ["h0", "h1"], digest("sum"));
    assert_eq!(w.verdict().batch(1, 0).effective, Some(merkle_root(&[digest("sum")])));
    let mut along = w.ledger(&[]);
    for step in &w.steps {
        along.insert(step.clone()).unwrap();
        along.verdict();
    }
    assert_eq!(*along.verdict(), w.verdict());
}

#[test]
fn an_upstream_outcome_that_opens_again_closes_the_stage_below() {
    let mut w = two_stages(3);
    let lie = w.lie(0, "tale", &[0]);
    for batch in 0..4 {
        let outcomes = if batch == 0 { lie.clone() } else { w.truth(batch) };
        w.execute(batch, &["l0", "l1"], &outcomes);
        w.post_leaves("l0", batch, &outcomes);
    }
    let slot = gather_slot(&mut w.ledger(&w.steps)).unwrap();
    gather(&mut w, slot, ["h0", "h1"], digest("sum"));
    w.ballots(0, 0, &strs(&names("h", 4)), w.true_outcome(0, 0));
    let verdict = w.verdict();
    let gathered = verdict.gathered(&w.plan, 1, About::Batch(0));
    assert_eq!(gathered, None, "batches of the convicted are open again");
    assert_eq!(verdict.batch(1, 0).effective, None);
}

/// Four batches of one unit each, and a second stage with one unit for each.
fn pairs(seed: u64, source: Source) -> World {
    let second = Stage { source, ..range_stage("second", 1, 1) };
    World::staged(seed, vec![range_stage("first", 4, 1), second], policy())
}

fn open_batches(w: &World) -> Vec<u32> {
    let mut ledger = w.ledger(&w.steps);
    ledger.verdict();
    let batches = 0..w.plan.partition(1).batches();
    batches.filter(|batch| ledger.slot(1, About::Batch(*batch)).is_some()).collect()
}

#[test]
fn a_unit_opens_as_soon_as_what_it_reads_itself_has_an_outcome() {
    let fan_in = |n| Source::Gather(Gather { stage: 0, fan_in: Some(n) });
    let by_name = Source::ByName(ByName { stage: 0, buckets: 2 });
    for (source, after_two, after_all) in [
        (Source::Each(Each { stage: 0 }), vec![0, 2], vec![0, 1, 2, 3]),
        (fan_in(2), vec![], vec![0, 1]),
        (fan_in(3), vec![], vec![0, 1]),
        (by_name, vec![], vec![0, 1]),
    ] {
        let mut w = pairs(5, source.clone());
        for batch in [0, 2] {
            let truth = w.truth(batch);
            w.execute(batch, &["h0", "h1"], &truth);
        }
        assert_eq!(open_batches(&w), after_two, "{source:?}");
        for batch in [1, 3] {
            let truth = w.truth(batch);
            w.execute(batch, &["h0", "h1"], &truth);
        }
        assert_eq!(open_batches(&w), after_all, "{source:?}");
    }
}

#[test]
fn a_revoked_outcome_moves_the_slots_of_its_own_readers_and_no_others() {
    let mut w = pairs(6, Source::Each(Each { stage: 0 }));
    let lie = w.lie(2, "tale", &[0]);
    for batch in 0..4 {
        let outcomes = if batch == 2 { lie.clone() } else { w.truth(batch) };
        let who = if batch == 2 { ["l0", "l1"] } else { ["h0", "h1"] };
        w.execute(batch, &who, &outcomes);
        w.post_leaves(who[0], batch, &outcomes);
    }
    let mut along = w.ledger(&w.steps);
    along.verdict();
    let slots = |ledger: &Ledger| [0, 1, 2, 3].map(|b| ledger.slot(1, About::Batch(b)).unwrap());
    let before = slots(&along);
    for slot in before {
        gather(&mut w, slot, ["h0", "h1"], digest("each"));
    }
    let new = w.steps.len();
    w.ballots(2, 0, &strs(&names("h", 4)), w.true_outcome(2, 0));
    let mut ledger = w.ledger(&w.steps);
    ledger.verdict();
    let after = slots(&ledger);
    let moved: Vec<usize> = (0..4).filter(|b| before[*b] != after[*b]).collect();
    assert_eq!(moved, [2]);
    let open = |batch: u32| ledger.last_verdict().batch(1, batch).standing == Standing::Open;
    assert_eq!([0, 1, 2, 3].map(open), [false, false, true, false]);

    // Who listens all along is told which batch to look at again.
    for step in &w.steps[..new] {
        along.insert(step.clone()).unwrap();
    }
    along.verdict();
    along.take_touched();
    for step in &w.steps[new..] {
        along.insert(step.clone()).unwrap();
    }
    assert_eq!(along.verdict(), ledger.last_verdict());
    assert!(along.take_touched().contains(&(1, 2)));
}

#[test]
fn outcomes_have_another_name_wherever_a_guest_finds_them_elsewhere() {
    let root = digest("root");
    let name = |role, units: std::ops::Range<u64>, total| {
        Read { stage: 0, role, units, batches: 0..1 }.name(root, total)
    };
    let names = [
        name(Role::Single, 0..1, 10),
        name(Role::Before, 0..1, 10),
        name(Role::Many, 0..1, 10),
        name(Role::Many, 2..3, 10),
        name(Role::Many, 0..1, 1000),
        name(Role::Bucket(4), 0..10, 10),
        name(Role::Bucket(4), 0..10, 1000),
    ];
    let distinct: std::collections::BTreeSet<Hash> = names.into_iter().collect();
    assert_eq!(distinct.len(), names.len());
    // One outcome alone is at the same place, whichever it is.
    assert_eq!(name(Role::Single, 7..8, 99), names[0]);
    assert_eq!(name(Role::Before, 7..8, 99), names[1]);
}

#[test]
fn names_go_to_buckets_by_their_number_or_else_by_their_hash() {
    assert_eq!([0, 1, 63, 64].map(|n| bucket_of(&format!("{n:03}"), 64)), [0, 1, 63, 0]);
    assert_eq!(bucket_of("17.counts.tsv", 64), 17);
    for name in ["the", "", ".", "a.17", "-1", "+1", "99999999999999999999", "1x"] {
        assert!(bucket_of(name, 64) < 64, "{name}");
    }
    let words = (0..1000).map(|n| bucket_of(&format!("word {n}"), 4));
    let mut counts = [0; 4];
    words.for_each(|bucket| counts[bucket as usize] += 1);
    assert!(counts.iter().all(|count| 150 < *count), "{counts:?}");
}

#[test]
fn liars_in_a_gathering_stage_are_decided_on_and_convicted_like_others() {
    let mut w = two_stages(4);
    for batch in 0..4 {
        let truth = w.truth(batch);
        w.execute(batch, &["h0", "h1"], &truth);
    }
    let slot = gather_slot(&mut w.ledger(&w.steps)).unwrap();
    gather(&mut w, slot, ["l0", "l1"], digest("wrong sum"));
    let leaves = protocol::Leaves {
        slot,
        root: merkle_root(&[digest("wrong sum")]),
        digests: vec![digest("wrong sum")],
    };
    w.emit("l0", vec![Item::Leaves(leaves)]);
    let about = About::Unit(0);
    let ballot = w.ledger(&w.steps).tap_slot(1, about);
    for who in ["h0", "h1", "h2", "h3"] {
        w.vote(who, ballot, digest("sum"), digest("sum trace"));
    }
    for who in ["h0", "h1", "h2", "h3"] {
        w.confirm(who, ballot);
    }
    let verdict = w.verdict();
    assert_eq!(guilty(&verdict), peers(&["l0", "l1"]));
    assert_eq!(verdict.batch(1, 0).effective, Some(merkle_root(&[digest("sum")])));
}

trait TapSlot {
    fn tap_slot(self, stage: u16, about: About) -> Slot;
}

impl TapSlot for Ledger {
    fn tap_slot(mut self, stage: u16, about: About) -> Slot {
        self.verdict();
        self.slot(stage, about).unwrap()
    }
}

#[test]
fn what_the_submitter_alone_computed_is_an_outcome_and_not_a_verified_one() {
    let mut w = World::new(5, 1);
    let truth = w.truth(0);
    w.execute(0, &["submitter"], &truth);
    let verdict = w.verdict();
    assert_eq!(w.at(&verdict, 0, 0), State::SelfExecuted);
    assert_eq!(verdict.batch(0, 0).effective, Some(merkle_root(&truth)));
    assert!(verdict.batch(0, 0).is_settled() && !verdict.batch(0, 0).is_verified());

    w.execute(0, &["h0", "submitter"], &truth);
    assert!(w.verdict().batch(0, 0).is_verified(), "with somebody else's vote it is");
}

#[test]
fn a_stranger_alone_is_no_outcome() {
    let mut w = World::new(5, 1);
    let truth = w.truth(0);
    w.execute(0, &["h0"], &truth);
    assert_eq!(w.verdict().batch(0, 0).effective, None);
}

#[test]
fn a_convicted_submitter_has_no_word_any_more() {
    for balloted in [false, true] {
        let mut w = World::new(6, 3);
        let (lie, truth) = (w.lie(0, "tale", &[1]), w.truth(1));
        w.execute(0, &["submitter", "l0"], &lie);
        w.post_leaves("l0", 0, &lie);
        w.execute(1, &["submitter"], &truth);
        if balloted {
            w.lone_ballot(1, 0, "h0", truth[0]);
        }
        assert_eq!(w.at(&w.verdict(), 1, 1), State::SelfExecuted);
        w.ballots(0, 1, &strs(&names("h", 5)), w.true_outcome(0, 1));
        let verdict = w.verdict();
        assert!(verdict.convicted.contains_key(&peer("submitter")));
        assert_eq!(w.at(&verdict, 1, 1), State::Open);
    }
}

#[test]
fn with_a_quorum_of_one_every_vote_stands_and_every_other_root_is_a_rival() {
    let mut w = World::with(7, 1, Policy { quorum: 1, ..policy() });
    let (truth, lie) = (w.truth(0), w.lie(0, "tale", &[1]));
    w.execute(0, &["h0"], &truth);
    assert_eq!(w.settled(&w.verdict(), 1), 4);
    w.post_leaves("h0", 0, &truth);
    w.execute(0, &["l0"], &lie);
    w.post_leaves("l0", 0, &lie);
    assert_eq!(w.at(&w.verdict(), 0, 1), State::Contested);
    w.ballots(0, 1, &["h0", "h1", "h2"], truth[1]);
    let verdict = w.verdict();
    assert_eq!(w.at(&verdict, 0, 0), State::Accepted(truth[0]));
    assert_eq!(w.at(&verdict, 0, 1), State::Accepted(truth[1]));
    assert_eq!(guilty(&verdict), peers(&["l0"]), "a lone wrong outcome is not forgiven here");
}

#[test]
fn with_a_quorum_of_three_two_are_not_enough_and_a_chain_of_proofs_is() {
    let mut w = World::with(8, 1, Policy { quorum: 3, ..policy() });
    let truth = w.truth(0);
    let root = w.know(&truth);
    let (slot, trace) = (w.batch(0), hash("trace", &[]));
    for who in ["a", "b", "c"] {
        w.vote(who, slot, root, trace);
    }
    let show = |w: &mut World, by: &str, of: &str| {
        let proofs = vec![Shown { voter: peer(of), proof: w.proof(&slot, of, trace) }];
        w.emit(by, vec![Item::Certificate(Certificate { slot, root, proofs })]);
    };
    for (by, of) in [("a", "b"), ("b", "a"), ("b", "c")] {
        show(&mut w, by, of);
        assert_eq!(w.at(&w.verdict(), 0, 0), State::Open, "{by} shows {of}");
    }
    show(&mut w, "c", "b");
    assert_eq!(w.at(&w.verdict(), 0, 0), State::Accepted(truth[0]), "a and c are joined through b");
}

#[test]
fn units_without_a_batch_are_accepted_one_by_one_and_make_the_batch_up() {
    let mut w = World::new(9, 1);
    for i in 0..4 {
        assert_eq!(w.verdict().batch(0, 0).effective, None);
        w.ballots(0, i, &["h0", "h1"], w.true_outcome(0, i));
    }
    let verdict = w.verdict();
    assert_eq!(verdict.batch(0, 0).effective, Some(merkle_root(&w.truth(0))));
    assert!(verdict.batch(0, 0).is_verified());
}
