//! Logs: who says two things where only one may be said, in every order in which it can come out.

use protocol::{Inserted, Item, Reason, Signed, Step, StepId, Verdict};

use crate::copying::done_job;
use crate::dice::Dice;
use crate::world::{State, World, digest, peer, peers};

fn nothing(w: &World, unit: usize) -> Vec<Item> {
    let (slot, unit) = (w.batch(0), w.number(0, unit));
    vec![Item::Abstention(protocol::Abstention { slot, unit, reason: Reason::Timeout })]
}

/// All orders of a few things.
fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let Some(last) = items.last() else { return vec![vec![]] };
    let insert = |rest: Vec<T>| {
        (0..=rest.len()).map(move |at| {
            let (before, after) = rest.split_at(at);
            [before, std::slice::from_ref(last), after].concat()
        })
    };
    orders(&items[..items.len() - 1]).into_iter().flat_map(insert).collect()
}

/// The one verdict of all orders of `forked`, each read along and asked after every step, after the
/// steps of everybody else.
fn same_in_every_order(w: &World, forked: &[Signed<Step>]) -> Verdict {
    let others: Vec<Signed<Step>> =
        w.steps.iter().filter(|step| !forked.contains(step)).cloned().collect();
    let orders = orders(forked);
    let expected = w.judge(&[others.clone(), forked.to_vec()].concat());
    for order in &orders {
        let mut ledger = w.ledger(&others);
        for step in order {
            ledger.insert(step.clone()).unwrap();
            ledger.verdict();
        }
        assert_eq!(*ledger.verdict(), expected);
        let first = [order.clone(), others.clone()].concat();
        assert_eq!(w.judge(&first), expected);
    }
    expected
}

fn by(w: &World, who: &str) -> Vec<Signed<Step>> {
    w.steps.iter().filter(|step| step.author() == peer(who)).cloned().collect()
}

#[test]
fn two_steps_with_one_number_are_found_in_every_order() {
    let mut w = World::new(1, 2);
    let truth = w.truth(0);
    w.execute(0, &["h", "x"], &truth);
    let (seq, prev) = w.head("x");
    let (slot, root) = (w.batch(1), w.know(&w.truth(1)));
    w.vote("x", slot, root, digest("trace"));
    let other = nothing(&w, 0);
    let twin = w.sign("x", seq, prev, other);
    w.steps.push(twin);
    let verdict = same_in_every_order(&w, &by(&w, "x"));
    assert_eq!(verdict.equivocators, peers(&["x"]));
    assert_eq!(w.at(&verdict, 0, 0), State::Accepted(truth[0]), "what it said before stands");
    assert!(verdict.is_faulty(peer("x")));
}

#[test]
fn a_step_with_a_wrong_predecessor_is_found_in_every_order() {
    let mut w = World::new(2, 2);
    for unit in 0..2 {
        let items = nothing(&w, unit);
        w.emit("x", items);
    }
    let items = nothing(&w, 2);
    let stray = w.sign("x", 2, StepId::new([9; 32]), items.clone());
    w.steps.push(stray);
    let after = w.sign("x", 3, StepId::new([8; 32]), items);
    w.steps.push(after);
    let verdict = same_in_every_order(&w, &by(&w, "x"));
    assert_eq!(verdict.equivocators, peers(&["x"]));
}

#[test]
fn a_changed_vote_is_found_in_every_order_and_the_first_one_stands() {
    let mut w = World::new(3, 2);
    let truth = w.truth(0);
    w.execute(0, &["h", "x"], &truth);
    let slot = w.batch(0);
    let changed = w.vote_item("x", slot, digest("another root"), digest("trace"));
    w.emit("x", vec![changed]);
    let items = nothing(&w, 3);
    w.emit("x", items);
    let verdict = same_in_every_order(&w, &by(&w, "x"));
    assert_eq!(verdict.equivocators, peers(&["x"]));
    assert_eq!(w.settled(&verdict, 1), 4);
}

#[test]
fn two_votes_in_one_step_contradict_each_other_and_void_it() {
    let mut w = World::new(3, 1);
    let slot = w.batch(0);
    let votes = ["one", "two"].map(|root| w.vote_item("x", slot, digest(root), digest("trace")));
    w.emit("x", votes.to_vec());
    assert_eq!(w.verdict().equivocators, peers(&["x"]));
    let ledger = w.ledger(&w.steps);
    assert!(ledger.book(&slot).is_none_or(|book| book.vote_of(peer("x")).is_none()));
}

#[test]
fn a_vote_that_is_repeated_word_for_word_is_no_contradiction() {
    let mut w = World::new(3, 1);
    let slot = w.batch(0);
    for _ in 0..2 {
        let vote = w.vote_item("x", slot, digest("root"), digest("trace"));
        w.emit("x", vec![vote]);
    }
    assert!(w.verdict().equivocators.is_empty());
}

#[test]
fn a_contradiction_in_the_step_that_closes_a_gap_before_a_fork_is_found_in_every_order() {
    let mut w = World::new(4, 1);
    let slot = w.batch(0);
    for root in ["one", "two"] {
        let vote = w.vote_item("x", slot, digest(root), digest("trace"));
        w.emit("x", vec![vote]);
    }
    let items = nothing(&w, 0);
    let stray = w.sign("x", 2, StepId::new([9; 32]), items);
    w.steps.push(stray);
    same_in_every_order(&w, &by(&w, "x"));
    let cast = |steps: &[Signed<Step>]| {
        w.ledger(steps).book(&slot).unwrap().vote_of(peer("x")).unwrap().root
    };
    for order in orders(&by(&w, "x")) {
        assert_eq!(cast(&order), digest("one"));
    }
}

#[test]
fn ballots_of_a_forked_log_contradict_each_other_in_every_order() {
    let mut w = World::new(5, 1);
    let slot = w.unit(0, 0);
    for root in ["one", "two"] {
        let vote = w.vote_item("x", slot, digest(root), digest("trace"));
        w.emit("x", vec![vote]);
    }
    let (seq, prev) = w.head("x");
    for unit in 0..2 {
        let items = nothing(&w, unit);
        let twin = w.sign("x", seq, prev, items);
        w.steps.push(twin);
    }
    let steps = by(&w, "x");
    same_in_every_order(&w, &steps);
    for order in orders(&steps) {
        assert_eq!(w.ledger(&order).heads(false).forked[0].at, 1);
    }
}

#[test]
fn three_branches_are_cut_at_the_same_place_whichever_are_known() {
    let mut w = World::new(6, 1);
    let items = nothing(&w, 0);
    let root = w.emit("x", items);
    for unit in 1..4 {
        let items = nothing(&w, unit);
        let branch = w.sign("x", 1, root.id(), items);
        w.steps.push(branch.clone());
        let items = nothing(&w, 0);
        let leaf = w.sign("x", 2, branch.id(), items);
        w.steps.push(leaf);
    }
    let steps = by(&w, "x");
    let verdict = w.verdict();
    let mut dice = Dice::new("branches", 0);
    for _ in 0..300 {
        let mut order = steps.clone();
        dice.shuffle(&mut order);
        let mut ledger = w.ledger(&order);
        assert_eq!(*ledger.verdict(), verdict);
        let heads = ledger.heads(false);
        assert_eq!((heads.forked[0].at, heads.heads[0].next), (1, 1));
    }
    for pair in [[1, 3], [3, 5], [1, 5]] {
        let seen: Vec<Signed<Step>> = [0, pair[0], pair[1]].map(|n| steps[n].clone()).to_vec();
        assert_eq!(w.judge(&seen), verdict, "branches {pair:?}");
    }
}

#[test]
fn a_fork_that_is_found_at_a_lower_number_later_takes_back_what_lies_between() {
    let mut w = World::new(7, 3);
    for batch in 0..3 {
        let truth = w.truth(batch);
        w.execute(batch, &["h", "x"], &truth);
    }
    let mut ledger = w.ledger(&w.steps);
    assert_eq!(w.settled(ledger.verdict(), 3), 12);
    let own = by(&w, "x");
    // Its steps are a vote and a certificate for each batch.
    for (number, settled) in [(5, 8), (3, 4), (2, 4), (0, 0)] {
        let items = nothing(&w, 0);
        let twin = w.sign("x", number, own[number as usize].value().prev, items);
        assert_eq!(ledger.insert(twin.clone()), Ok(Inserted::Fork));
        w.steps.push(twin);
        assert_eq!(w.settled(ledger.verdict(), 3), settled, "forked at {number}");
        assert_eq!(*ledger.verdict(), w.verdict());
    }
    same_in_every_order(&w, &w.steps[w.steps.len() - 4..]);
}

// Row 27.
#[test]
fn a_late_contradiction_of_one_co_voter_opens_nothing_again_and_voids_its_ballots() {
    let mut w = done_job();
    w.lone_ballot(1, 0, "h2", digest("doubt"));
    assert_eq!(w.contested(&w.verdict(), 6), 1);
    let changed = w.vote_item("h2", w.batch(0), digest("another root"), digest("trace"));
    w.emit("h2", vec![changed]);
    let verdict = w.verdict();
    assert_eq!(verdict.equivocators, peers(&["h2"]));
    assert_eq!(w.settled(&verdict, 6), 24);
}

#[test]
fn steps_wait_for_their_predecessors_and_one_too_far_ahead_is_not_kept() {
    let mut w = World::new(8, 1);
    for _ in 0..3 {
        let items = nothing(&w, 0);
        w.emit("x", items);
    }
    let far = w.sign("x", 2000, StepId::new([1; 32]), nothing(&w, 0));
    let mut ledger = w.ledger(&[]);
    assert_eq!(ledger.insert(far.clone()), Ok(Inserted::TooFarAhead));
    assert_eq!(ledger.authors().count(), 0, "nothing is kept of it");
    assert_eq!(ledger.insert(w.steps[2].clone()), Ok(Inserted::New));
    assert_eq!(ledger.next_step(peer("x")).0, 0);
    assert_eq!(ledger.insert(w.steps[0].clone()), Ok(Inserted::New));
    assert_eq!(ledger.insert(w.steps[1].clone()), Ok(Inserted::New));
    assert_eq!(ledger.next_step(peer("x")), (3, w.steps[2].id()));
    assert_eq!(ledger.insert(w.steps[1].clone()), Ok(Inserted::Known));
    assert_eq!(ledger.insert(far), Ok(Inserted::TooFarAhead));
}
