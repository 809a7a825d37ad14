//! Stalling: what few stamps can put in question, and for how long.

use protocol::{Reason, hash};

use crate::copying::done_job;
use crate::world::{State, World, digest, guilty, names, peer, peers, strs};

const BATCHES: u32 = 6;

// Row 2.
#[test]
fn one_junk_voter_contests_two_units_and_no_more() {
    let mut w = done_job();
    for batch in 0..BATCHES {
        let junk = vec![digest("junk"); 4];
        w.state(batch, &["x"], &junk, digest("junk"));
        w.post_leaves("x", batch, &junk);
        for i in 0..4 {
            w.lone_ballot(batch, i, "x", digest("junk"));
        }
    }
    assert_eq!(w.settled(&w.verdict(), BATCHES), 22);
}

#[test]
fn lost_contests_use_up_what_a_peer_may_contest() {
    let mut w = done_job();
    w.lone_ballot(0, 0, "x", digest("junk"));
    w.ballots(0, 0, &strs(&names("h", 7)), w.true_outcome(0, 0));
    w.lone_ballot(1, 0, "x", digest("junk"));
    let verdict = w.verdict();
    assert_eq!(w.contested(&verdict, BATCHES), 0, "two halved is one, and that one is spent");
    assert!(guilty(&verdict).is_empty());
}

#[test]
fn an_auditor_who_has_agreed_many_times_can_still_contest_the_first_lie_it_finds() {
    let mut w = World::new(8, u64::from(BATCHES));
    for batch in 0..BATCHES {
        let outcomes = if batch == 5 { w.lie(5, "tale", &[3]) } else { w.truth(batch) };
        w.execute(batch, &["l0", "l1"], &outcomes);
        w.post_leaves("l0", batch, &outcomes);
    }
    for batch in 0..5 {
        for i in 0..4 {
            w.lone_ballot(batch, i, "auditor", w.true_outcome(batch, i));
        }
    }
    w.lone_ballot(5, 3, "auditor", w.true_outcome(5, 3));
    assert_eq!(w.at(&w.verdict(), 5, 3), State::Contested);
}

#[test]
fn ballots_on_a_unit_that_is_contested_already_cost_nothing() {
    let mut w = done_job();
    let job = w.plan.manifest().job();
    let mut stamps = names("x", 3);
    stamps.sort_by_key(|name| hash("allowance", &[job.blob().as_bytes(), peer(name).as_bytes()]));
    for batch in 0..4 {
        w.lone_ballot(batch, 0, &stamps[batch as usize / 2], digest("junk"));
        w.lone_ballot(batch, 0, &stamps[2], digest("other junk"));
    }
    for i in 0..4 {
        w.lone_ballot(4, i, &stamps[2], digest("junk"));
    }
    assert_eq!(w.contested(&w.verdict(), BATCHES), 6, "two for every stamp");
}

// Row 25.
#[test]
fn a_rival_quorum_is_decided_by_one_unit_and_then_falls_everywhere() {
    for seed in 0..8 {
        let mut w = World::new(seed, u64::from(BATCHES));
        for batch in 0..BATCHES {
            let (truth, lie) = (w.truth(batch), w.lie(batch, "tale", &[0, 1, 2, 3]));
            w.execute(batch, &["h1", "h2"], &truth);
            w.post_leaves("h1", batch, &truth);
            w.execute(batch, &["x", "y"], &lie);
            w.post_leaves("x", batch, &lie);
        }
        let verdict = w.verdict();
        assert_eq!(w.contested(&verdict, BATCHES), 24);
        for batch in 0..BATCHES {
            let first = &verdict.batch(0, batch).decide_first;
            assert_eq!(first.iter().collect::<Vec<_>>(), [&w.number(batch, 0)]);
        }
        w.ballots(0, 0, &["h1", "h2", "h3", "h4", "h5"], w.true_outcome(0, 0));
        let verdict = w.verdict();
        assert_eq!(guilty(&verdict), peers(&["x", "y"]));
        assert_eq!(w.settled(&verdict, BATCHES), 24);
    }
}

// Row 26.
#[test]
fn idle_identities_with_a_junk_vote_each_do_not_hold_up_a_contest() {
    for seed in 0..8 {
        let mut w = World::new(seed, 1);
        let (truth, lie, honest) = (w.truth(0), w.lie(0, "tale", &[1]), names("h", 5));
        w.execute(0, &["l0", "l1"], &lie);
        w.execute(0, &["h0", "h1"], &truth);
        w.post_leaves("l0", 0, &lie);
        w.post_leaves("h0", 0, &truth);
        for idle in names("idle", 9) {
            w.state(0, &[&idle], &[digest("junk"); 4], digest(&idle));
        }
        w.ballots(0, 1, &["l0", "l1"], lie[1]);
        w.ballots(0, 1, &strs(&honest), truth[1]);
        let verdict = w.verdict();
        assert_eq!(w.at(&verdict, 0, 1), State::Accepted(truth[1]));
        assert_eq!(guilty(&verdict), peers(&["l0", "l1"]));
    }
}

#[test]
fn a_batch_that_is_voted_on_unit_by_unit_is_contested_within_the_same_allowance() {
    let mut w = World::new(3, 1);
    for i in 0..4 {
        w.ballots(0, i, &["h1", "h2"], w.true_outcome(0, i));
    }
    assert_eq!(w.settled(&w.verdict(), 1), 4);
    for i in 0..4 {
        w.lone_ballot(0, i, "x", digest("junk"));
    }
    let verdict = w.verdict();
    assert_eq!((w.settled(&verdict, 1), w.contested(&verdict, 1)), (2, 2));
}

#[test]
fn two_joined_outcomes_of_a_unit_without_a_batch_contest_each_other() {
    let mut w = World::new(3, 1);
    w.ballots(0, 0, &["h1", "h2", "h3"], w.true_outcome(0, 0));
    w.ballots(0, 0, &["l1", "l2"], digest("lie"));
    let verdict = w.verdict();
    assert_eq!(guilty(&verdict), peers(&["l1", "l2"]), "three against two, and nobody is silent");
    assert_eq!(w.at(&verdict, 0, 0), State::Accepted(w.true_outcome(0, 0)));
}

// Row 8, as far as a verdict is concerned.
#[test]
fn false_reports_of_failure_leave_the_verdict_as_it_is() {
    let mut w = done_job();
    let before = w.verdict();
    for who in names("x", 5) {
        w.abstain(&who, 0, 0, Reason::Timeout);
        w.abstain(&who, 1, 1, Reason::WorkerCrash);
    }
    assert_eq!(w.verdict(), before);
}
