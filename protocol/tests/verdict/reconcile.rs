//! Reconciliation: two ledgers exchange heads and steps until they agree.

use protocol::limits::STEPS_SENT_MAX;
use protocol::{Item, Ledger, Message, Reason, Signed, Step};

use crate::dice::Dice;
use crate::random::tell;
use crate::world::{World, network, peer};

/// Lets two peers talk as they do on the wire, in messages of bounded size, until neither has
/// anything to say; returns how many times they compared heads.
fn talk(one: &mut Ledger, other: &mut Ledger) -> usize {
    for round in 1..100 {
        let quiet = [tell_heads(one, other), tell_heads(other, one)];
        if quiet == [true, true] {
            return round;
        }
    }
    panic!("they do not come to an end");
}

/// `from` sends its heads and hears what it lacks; whether there was nothing to say.
fn tell_heads(from: &mut Ledger, to: &mut Ledger) -> bool {
    let heads = Message::Heads(from.heads(true));
    let Ok(Message::Heads(heads)) = Message::open(&heads.to_bytes(), network()) else {
        panic!("heads that cannot be read")
    };
    let (missing, lacks) = to.compare(&heads);
    assert!(missing.len() <= STEPS_SENT_MAX);
    for chunk in missing.chunks(16) {
        let bytes = Message::Steps(chunk.to_vec()).to_bytes();
        let Ok(Message::Steps(steps)) = Message::open(&bytes, network()) else {
            panic!("steps that cannot be read")
        };
        for step in steps {
            from.insert(step).unwrap();
        }
    }
    missing.is_empty() && !lacks
}

fn agree(one: &mut Ledger, other: &mut Ledger) {
    assert_eq!(one.heads(false), other.heads(false));
    assert_eq!(one.verdict(), other.verdict());
}

#[test]
fn arbitrary_parts_of_a_random_world_come_together() {
    for seed in 0..60 {
        let told = tell(seed);
        let mut dice = Dice::new("parts", seed);
        let all = &told.world.steps;
        let parts: [Vec<Signed<Step>>; 2] = [dice.some(all, 60), dice.some(all, 60)];
        let [mut one, mut other] = parts.map(|part| told.world.ledger(&part));
        talk(&mut one, &mut other);
        agree(&mut one, &mut other);
        // What neither has read is nothing to talk about; a third who has everything is.
        let mut whole = told.world.ledger(all);
        talk(&mut one, &mut whole);
        talk(&mut other, &mut whole);
        agree(&mut one, &mut other);
        assert_eq!(*one.verdict(), told.world.verdict(), "seed {seed}");
    }
}

fn long_log(w: &mut World, who: &str, steps: usize) -> Vec<Signed<Step>> {
    let (slot, unit) = (w.batch(0), w.number(0, 0));
    let abstention = protocol::Abstention { slot, unit, reason: Reason::Timeout };
    (0..steps).map(|_| w.emit(who, vec![Item::Abstention(abstention)])).collect()
}

#[test]
fn a_newcomer_catches_up_with_a_log_that_is_longer_than_a_message_and_than_the_largest_gap() {
    let mut w = World::new(1, 1);
    long_log(&mut w, "x", 2500);
    let (mut old, mut new) = (w.ledger(&w.steps), w.ledger(&[]));
    talk(&mut old, &mut new);
    agree(&mut old, &mut new);
    assert_eq!(new.next_step(peer("x")).0, 2500);
}

#[test]
fn two_branches_of_a_long_log_are_traced_to_their_fork_in_a_few_rounds() {
    for (common, left, right) in
        [(0, 900, 900), (1, 700, 3), (500, 400, 1), (511, 1, 1), (3, 2, 900), (0, 1, 1)]
    {
        let mut w = World::new(2, 1);
        let trunk = long_log(&mut w, "x", common);
        let mut branches = [w.clone(), w.clone()];
        let branch = |w: &mut World, reason, steps: usize| {
            let (slot, unit) = (w.batch(0), w.number(0, 1));
            let abstention = protocol::Abstention { slot, unit, reason };
            w.emit("x", vec![Item::Abstention(abstention)]);
            long_log(w, "x", steps - 1);
            w.ledger(&w.steps)
        };
        let mut one = branch(&mut branches[0], Reason::Timeout, left);
        let mut other = branch(&mut branches[1], Reason::HostMemory, right);
        let rounds = talk(&mut one, &mut other);
        agree(&mut one, &mut other);
        assert_eq!(one.heads(false).forked[0].at, trunk.len() as u64);
        assert!(rounds <= 14, "{rounds} rounds for a fork after {common} steps");
    }
}

#[test]
fn a_contradiction_that_one_side_has_seen_reaches_the_other() {
    let mut w = World::new(3, 1);
    long_log(&mut w, "x", 5);
    let slot = w.batch(0);
    for root in ["one", "two"] {
        let vote =
            w.vote_item("x", slot, crate::world::digest(root), crate::world::digest("trace"));
        w.emit("x", vec![vote]);
    }
    long_log(&mut w, "x", 5);
    for known in 0..w.steps.len() {
        let (mut one, mut other) = (w.ledger(&w.steps), w.ledger(&w.steps[..known]));
        talk(&mut one, &mut other);
        agree(&mut one, &mut other);
        assert!(other.verdict().is_faulty(peer("x")));
    }
}

#[test]
fn steps_behind_a_gap_that_nobody_can_fill_are_not_sent_again_and_again() {
    let mut w = World::new(4, 1);
    long_log(&mut w, "x", 10);
    let holed: Vec<Signed<Step>> = w.steps[1..].to_vec();
    let (holder, newcomer) = (w.ledger(&holed), w.ledger(&[]));
    assert_eq!(holder.compare(&newcomer.heads(true)), (vec![], false));
}

#[test]
fn two_peers_who_agree_have_nothing_to_say() {
    let told = tell(11);
    let (one, other) = (told.world.ledger(&told.world.steps), told.world.ledger(&told.world.steps));
    assert_eq!(one.compare(&other.heads(true)), (vec![], false));
}
