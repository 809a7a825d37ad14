//! Withholding: leaves that are posted late or never must neither split the network nor save a liar.

use protocol::{Standing, merkle_root};

use crate::world::{State, World, guilty, names, peer, peers, strs};

// Rows 3 and 22.
#[test]
fn a_root_that_is_overruled_while_its_leaves_are_withheld_counts_for_nothing_until_they_come() {
    for seed in 0..8 {
        let mut w = World::new(seed, 1);
        let lie = w.lie(0, "tale", &[1]);
        w.execute(0, &["l1", "l2"], &lie);
        let honest = names("h", 5);
        w.ballots(0, 1, &strs(&honest), w.true_outcome(0, 1));

        let verdict = w.verdict();
        assert_eq!(w.at(&verdict, 0, 1), State::Accepted(w.true_outcome(0, 1)));
        assert_eq!(w.at(&verdict, 0, 0), State::Open);
        assert_eq!(verdict.batch(0, 0).effective, None);
        assert!(guilty(&verdict).is_empty());

        w.post_leaves("l1", 0, &lie);
        let verdict = w.verdict();
        assert_eq!(guilty(&verdict), peers(&["l1", "l2"]));
        assert_eq!(w.at(&verdict, 0, 0), State::Open, "what only liars said is open again");
    }
}

#[test]
fn a_lie_that_is_shown_by_a_path_alone_does_not_stand_once_it_is_overruled() {
    let mut w = World::new(1, 1);
    let lie = w.lie(0, "tale", &[1]);
    w.execute(0, &["l1", "l2"], &lie);
    w.ballot_with_path(0, 1, "l1", &lie);
    w.ballots(0, 1, &strs(&names("h", 5)), w.true_outcome(0, 1));
    let verdict = w.verdict();
    assert_ne!(verdict.batch(0, 0).effective, Some(merkle_root(&lie)));
    assert_eq!(w.at(&verdict, 0, 0), State::Open);
}

// Row 23.
#[test]
fn an_audit_that_agrees_contests_nothing_if_it_shows_its_path() {
    let mut w = World::new(2, 1);
    let truth = w.truth(0);
    w.execute(0, &["h1", "h2"], &truth);
    w.ballot_with_path(0, 2, "h3", &truth);
    assert_eq!(w.at(&w.verdict(), 0, 2), State::Accepted(truth[2]));
}

#[test]
fn a_ballot_without_a_path_contests_until_the_leaves_answer_it() {
    let mut w = World::new(2, 1);
    let truth = w.truth(0);
    w.execute(0, &["h1", "h2"], &truth);
    w.lone_ballot(0, 2, "h3", truth[2]);
    assert_eq!(w.at(&w.verdict(), 0, 2), State::Contested);
    w.post_leaves("h1", 0, &truth);
    assert_eq!(w.at(&w.verdict(), 0, 2), State::Accepted(truth[2]));
}

#[test]
fn a_path_to_another_root_or_of_another_unit_shows_nothing() {
    let mut w = World::new(2, 1);
    let (truth, lie) = (w.truth(0), w.lie(0, "tale", &[2]));
    w.execute(0, &["h1", "h2"], &truth);
    w.ballot_with_path(0, 2, "x", &lie);
    assert_eq!(w.at(&w.verdict(), 0, 2), State::Contested);
}

#[test]
fn leaves_that_do_not_hash_to_their_root_say_nothing() {
    let mut w = World::new(3, 1);
    let truth = w.truth(0);
    w.execute(0, &["h1", "h2"], &truth);
    let leaves = protocol::Leaves {
        slot: w.batch(0),
        root: merkle_root(&truth),
        digests: w.lie(0, "tale", &[0]),
    };
    w.emit("x", vec![protocol::Item::Leaves(leaves)]);
    let slot = w.batch(0);
    let ledger = w.ledger(&w.steps);
    assert_eq!(ledger.book(&slot).unwrap().leaves_of(merkle_root(&truth)), None);
}

// A variant of row 25.
#[test]
fn a_pair_that_never_posts_the_leaves_of_its_root_cannot_hold_up_a_batch() {
    for seed in 0..8 {
        let mut w = World::new(seed, 1);
        let truth = w.truth(0);
        w.execute(0, &["h1", "h2"], &truth);
        let lie = w.lie(0, "tale", &[0, 1, 2, 3]);
        w.execute(0, &["x", "y"], &lie);
        let wanted = w.verdict().batch(0, 0).leaves_wanted.clone();
        assert_eq!(wanted.len(), 2, "both sides are asked");
        assert!(w.verdict().batch(0, 0).is_contested(), "nobody knows yet who is right");

        w.post_leaves("h1", 0, &truth);
        let verdict = w.verdict();
        assert_eq!(verdict.batch(0, 0).leaves_wanted, [merkle_root(&lie)]);
        assert!(verdict.batch(0, 0).is_settled(), "who shows its leaves stands");
        assert_eq!(verdict.batch(0, 0).effective, Some(merkle_root(&truth)));

        w.post_leaves("x", 0, &lie);
        assert_eq!(w.contested(&w.verdict(), 1), 4, "a rival that shows its leaves is heard");
    }
}

#[test]
fn steps_that_were_withheld_change_the_verdict_when_they_come() {
    let mut w = World::new(5, 1);
    let lie = w.lie(0, "tale", &[1]);
    w.execute(0, &["l1", "l2"], &lie);
    w.post_leaves("l1", 0, &lie);
    let mut ledger = w.ledger(&w.steps);
    assert_eq!(w.at(ledger.verdict(), 0, 1), State::Accepted(lie[1]));
    let before = w.steps.len();
    w.ballots(0, 1, &strs(&names("h", 3)), w.true_outcome(0, 1));
    for step in &w.steps[before..] {
        ledger.insert(step.clone()).unwrap();
    }
    assert!(ledger.verdict().convicted.contains_key(&peer("l1")));
    assert_eq!(*ledger.verdict(), w.verdict());
    assert_eq!(ledger.verdict().batch(0, 0).standing, Standing::Open);
}
