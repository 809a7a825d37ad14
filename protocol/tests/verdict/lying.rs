//! Lying together: who wins a contest, and who is convicted for it.

use protocol::Policy;

use crate::world::{State, World, digest, guilty, names, peer, peers, policy, strs};

/// One batch on which two liars of `liars` and two of `honest` have joined votes, leaves posted.
struct Small {
    w: World,
    honest: Vec<String>,
    liars: Vec<String>,
}

fn small(seed: u64, honest: usize, liars: usize, policy: Policy) -> Small {
    let mut w = World::with(seed, 1, policy);
    let (honest, liars) = (names("h", honest), names("l", liars));
    let (truth, lie) = (w.truth(0), w.lie(0, "tale", &[1]));
    w.execute(0, &strs(&liars[..2]), &lie);
    w.execute(0, &strs(&honest[..2]), &truth);
    w.post_leaves("l0", 0, &lie);
    w.post_leaves("h0", 0, &truth);
    Small { w, honest, liars }
}

impl Small {
    fn new(seed: u64, honest: usize, liars: usize) -> Self {
        small(seed, honest, liars, policy())
    }

    fn honest_ballots(&mut self) {
        self.w.ballots(0, 1, &strs(&self.honest), self.w.true_outcome(0, 1));
    }

    fn lying_ballots(&mut self) {
        self.w.ballots(0, 1, &strs(&self.liars), self.w.lie(0, "tale", &[1])[1]);
    }
}

// Row 6.
#[test]
fn in_a_small_network_an_honest_majority_wins_every_contest_and_convicts_all_liars() {
    for (honest, liars) in [(5, 2), (5, 3), (4, 2), (7, 5), (3, 2)] {
        for seed in 0..8 {
            let mut small = Small::new(seed, honest, liars);
            small.lying_ballots();
            small.honest_ballots();
            let verdict = small.w.verdict();
            let state = small.w.at(&verdict, 0, 1);
            let truth = small.w.true_outcome(0, 1);
            assert!(
                state == State::Accepted(truth) || state == State::Decided(truth),
                "{honest} honest, {liars} liars, seed {seed}: {state:?}"
            );
            assert_eq!(guilty(&verdict), peers(&strs(&small.liars)));
        }
    }
}

// Row 21.
#[test]
fn two_who_told_one_lie_are_convicted_together() {
    for seed in 0..8 {
        let mut small = Small::new(seed, 4, 2);
        small.honest_ballots();
        let verdict = small.w.verdict();
        assert_eq!(guilty(&verdict), peers(&["l0", "l1"]));
        assert!(verdict.convicted.values().all(|conviction| conviction.colluded));
        let unit = (0, small.w.number(0, 1));
        assert!(verdict.convicted.values().all(|conviction| conviction.units.contains(&unit)));
    }
}

#[test]
fn a_lone_dissenter_is_forgiven_once_and_convicted_for_what_chance_does_not_explain() {
    let mut w = World::new(3, 3);
    let honest = names("h", 8);
    for batch in 0..3 {
        let truth = w.truth(batch);
        w.execute(batch, &["h0", "h1"], &truth);
        w.post_leaves("h0", batch, &truth);
    }
    for (batch, expected) in [(0, false), (1, true)] {
        w.lone_ballot(batch, 0, "x", digest("a bit has flipped"));
        w.ballots(batch, 0, &strs(&honest), w.true_outcome(batch, 0));
        let verdict = w.verdict();
        assert_eq!(verdict.convicted.contains_key(&peer("x")), expected, "loss {batch}");
    }
}

#[test]
fn votes_of_the_convicted_fall_in_every_batch_and_what_leaned_on_them_opens_again() {
    let mut w = World::new(4, 3);
    for batch in 0..3 {
        let truth = w.truth(batch);
        let outcomes = if batch == 0 { w.lie(0, "tale", &[1]) } else { truth };
        w.execute(batch, &["l0", "l1"], &outcomes);
        w.post_leaves("l0", batch, &outcomes);
    }
    assert_eq!(w.settled(&w.verdict(), 3), 12);
    w.ballots(0, 1, &strs(&names("h", 4)), w.true_outcome(0, 1));
    let verdict = w.verdict();
    assert_eq!(guilty(&verdict), peers(&["l0", "l1"]));
    assert!((0..3).all(|batch| w.at(&verdict, batch, 0) == State::Open));
    for batch in 0..3 {
        let truth = w.truth(batch);
        w.execute(batch, &["h0", "h1"], &truth);
        w.post_leaves("h0", batch, &truth);
    }
    assert_eq!(w.settled(&w.verdict(), 3), 12);
    assert_eq!(guilty(&w.verdict()), peers(&["l0", "l1"]), "they stay convicted");
}

// Row 19.
// One audit that catches a pair must catch the coalition: its other pairs share a member with it.
#[test]
fn what_fell_with_a_convicted_voter_is_judged_and_convicts_who_else_stood_behind_it() {
    let mut w = World::with(3, 2, policy());
    let honest = names("h", 8);
    for (batch, liars) in [(0, ["l0", "l1"]), (1, ["l1", "l2"])] {
        let lie = w.lie(batch, "tale", &[1]);
        w.execute(batch, &liars, &lie);
        w.post_leaves(liars[0], batch, &lie);
    }
    w.ballots(0, 1, &strs(&honest), w.true_outcome(0, 1));
    assert_eq!(guilty(&w.verdict()), peers(&["l0", "l1"]));
    // The second batch is open again, and others execute it.
    let truth = w.truth(1);
    w.execute(1, &["h0", "h1"], &truth);
    assert_eq!(
        guilty(&w.verdict()),
        peers(&["l0", "l1"]),
        "nobody has shown what is under the roots"
    );
    w.post_leaves("h0", 1, &truth);
    let verdict = w.verdict();
    assert_eq!(w.at(&verdict, 1, 1), State::Contested);
    w.ballots(1, 1, &strs(&honest[2..]), w.true_outcome(1, 1));
    let verdict = w.verdict();
    assert_eq!(guilty(&verdict), peers(&["l0", "l1", "l2"]));
    assert_eq!(w.at(&verdict, 1, 1), State::Accepted(w.true_outcome(1, 1)));
}

#[test]
fn base_votes_are_no_ballots_so_liars_cannot_decide_before_the_honest_have_spoken() {
    for seed in 0..24 {
        let mut small = Small::new(seed, 3, 2);
        small.lying_ballots();
        let verdict = small.w.verdict();
        assert_eq!(small.w.at(&verdict, 0, 1), State::Contested, "seed {seed}");
        assert!(guilty(&verdict).is_empty());
    }
}

// Row 20.
#[test]
fn six_ground_keys_of_lowest_rank_decide_nothing_against_twenty_honest_ballots() {
    let mut w = World::new(7, 1);
    let honest = names("h", 20);
    let truth = w.truth(0);
    w.execute(0, &strs(&honest), &truth);
    w.post_leaves("h0", 0, &truth);
    let mut ground = names("x", 200);
    let ledger = w.ledger(&[]);
    ground.sort_by_key(|name| ledger.ranks().of(0, 0, peer(name)));
    ground.truncate(6);
    w.ballots(0, 1, &strs(&honest), truth[1]);
    w.ballots(0, 1, &strs(&ground), digest("lie"));
    let verdict = w.verdict();
    assert_eq!(w.at(&verdict, 0, 1), State::Accepted(truth[1]));
    assert_eq!(guilty(&verdict), peers(&strs(&ground)));
}

#[test]
fn a_lead_decides_although_others_are_silent() {
    let mut w = World::new(8, 1);
    let (truth, honest) = (w.truth(0), names("h", 8));
    w.execute(0, &strs(&names("silent", 20)), &truth);
    w.post_leaves("silent0", 0, &truth);
    w.ballots(0, 1, &["l0", "l1"], digest("lie"));
    w.ballots(0, 1, &strs(&honest[..7]), truth[1]);
    assert_eq!(w.at(&w.verdict(), 0, 1), State::Contested, "five ahead");
    w.ballots(0, 1, &["h0", "h7"], truth[1]);
    assert_eq!(guilty(&w.verdict()), peers(&["l0", "l1"]), "six ahead");
}

#[test]
fn an_unconfirmed_ballot_counts_against_others_and_never_for_itself() {
    let mut w = World::new(9, 1);
    let truth = w.truth(0);
    w.execute(0, &["h0", "h1"], &truth);
    w.post_leaves("h0", 0, &truth);
    for n in 0..9 {
        w.lone_ballot(0, 1, &format!("x{n}"), digest("lie"));
    }
    assert_eq!(w.at(&w.verdict(), 0, 1), State::Contested);
    w.ballots(0, 1, &strs(&names("h", 9)), truth[1]);
    assert_eq!(w.at(&w.verdict(), 0, 1), State::Contested, "nine against nine");
    assert!(guilty(&w.verdict()).is_empty());
}

// The reference's `flaw7_early_subset`.
#[test]
fn a_lone_honest_ballot_is_not_outvoted_before_others_have_looked() {
    for seed in 0..8 {
        let mut w = World::new(seed, 1);
        let lie = w.lie(0, "tale", &[1]);
        w.execute(0, &["l0", "l1"], &lie);
        w.post_leaves("l0", 0, &lie);
        w.ballots(0, 1, &["l0", "l1"], lie[1]);
        assert_eq!(w.at(&w.verdict(), 0, 1), State::Accepted(lie[1]), "nobody has objected");
        w.ballots(0, 1, &["h0"], w.true_outcome(0, 1));
        assert_eq!(w.at(&w.verdict(), 0, 1), State::Contested);
        w.ballots(0, 1, &["h1", "h2", "h3"], w.true_outcome(0, 1));
        assert_eq!(guilty(&w.verdict()), peers(&["l0", "l1"]));
    }
}

#[test]
fn an_anchor_decides_a_contest_alone_and_liars_are_convicted_by_it() {
    let anchored = Policy { anchors: vec![peer("a")], ..policy() };
    for seed in 0..8 {
        let mut open = Small::new(seed, 2, 3);
        let mut held = small(seed, 2, 3, anchored.clone());
        for small in [&mut open, &mut held] {
            small.lying_ballots();
            small.w.lone_ballot(0, 1, "a", small.w.true_outcome(0, 1));
        }
        assert_eq!(open.w.at(&open.w.verdict(), 0, 1), State::Contested);
        let verdict = held.w.verdict();
        let truth = held.w.true_outcome(0, 1);
        assert!(matches!(
            held.w.at(&verdict, 0, 1),
            State::Accepted(outcome) | State::Decided(outcome) if outcome == truth
        ));
        assert_eq!(guilty(&verdict), peers(&["l0", "l1", "l2"]));
    }
}

#[test]
fn an_anchor_is_never_convicted_and_never_runs_out_of_ballots() {
    let anchored = Policy { anchors: vec![peer("a")], ..policy() };
    let mut w = World::with(3, 2, anchored);
    for batch in 0..2 {
        let truth = w.truth(batch);
        w.execute(batch, &["h0", "h1"], &truth);
        w.post_leaves("h0", batch, &truth);
        for i in 0..4 {
            w.lone_ballot(batch, i, "a", digest(&format!("the anchor says so: {batch}/{i}")));
        }
    }
    let verdict = w.verdict();
    assert!(!verdict.is_faulty(peer("a")));
    assert_eq!(guilty(&verdict), peers(&["h0", "h1"]), "a job's anchor has the last word");
}
