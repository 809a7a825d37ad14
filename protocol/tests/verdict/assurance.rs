//! How sure a verdict is: quotas of audits, who may fill them, and an anchor's seal.

use protocol::{Assurance, Item, Policy, Seal, Slot};

use crate::world::{BATCH, State, World, digest, guilty, names, peer, peers, policy, strs};

/// Every voter of the job's batches, audited by six others, one unit each.
fn audited(policy: Policy) -> World {
    let mut w = World::with(3, 9, policy);
    for batch in 0..w.plan.partition(0).batches() {
        let truth = w.truth(batch);
        w.execute(batch, &["a", "b"], &truth);
    }
    w
}

fn audit(w: &mut World, batch: u32, i: usize, who: &str, sees: &str) {
    let truth = w.truth(batch);
    w.ballot_with_path(batch, i, who, &truth);
    let slot = w.unit(batch, i);
    w.vouch(sees, slot, who, truth[i]);
}

fn sure(w: &World) -> Assurance {
    w.verdict().weakest(&w.plan)
}

#[test]
fn six_different_auditors_make_a_job_final_and_five_do_not() {
    let mut w = audited(policy());
    for (n, who) in ["h1", "h2", "h3", "h4", "h5"].into_iter().enumerate() {
        audit(&mut w, n as u32, 0, who, "a");
    }
    assert_eq!(sure(&w), Assurance::Provisional);
    audit(&mut w, 7, 1, "h6", "b");
    assert_eq!(sure(&w), Assurance::Final);
}

// Row 4, and what two colluders could do about it.
#[test]
fn few_auditors_cannot_fill_a_quota_however_much_they_audit() {
    let mut w = audited(policy());
    for batch in 0..8 {
        for i in 0..BATCH {
            audit(&mut w, batch, i, "x", "a");
            audit(&mut w, batch, i, "y", "b");
        }
    }
    assert_eq!(sure(&w), Assurance::Provisional);
}

#[test]
fn a_larger_quota_takes_as_many_auditors() {
    let mut w = audited(Policy { audit_ppm: 500_000, ..policy() });
    for who in names("h", 5) {
        for batch in 0..8 {
            audit(&mut w, batch, 0, &who, "a");
            audit(&mut w, batch, 1, &who, "b");
        }
    }
    assert_eq!(sure(&w), Assurance::Provisional);
    // Two audits each are a sixth of twelve, which is eight rounded up.
    audit(&mut w, 0, 0, "h5", "a");
    assert_eq!(sure(&w), Assurance::Provisional);
    audit(&mut w, 1, 0, "h5", "a");
    assert_eq!(sure(&w), Assurance::Final);
}

#[test]
fn voters_do_not_audit_themselves() {
    let mut w = audited(policy());
    for n in 0..6 {
        let truth = w.truth(n);
        w.ballots(n, 0, &["a", "b"], truth[0]);
    }
    assert_eq!(sure(&w), Assurance::Provisional);
}

#[test]
fn nothing_is_final_while_a_batch_is_open() {
    let mut w = audited(policy());
    let first = w.steps.clone();
    for (n, who) in names("h", 6).iter().enumerate() {
        audit(&mut w, n as u32, 0, who, "a");
    }
    let late: Vec<_> = w.steps.iter().filter(|step| !first[..4].contains(step)).cloned().collect();
    assert_eq!(sure(&w), Assurance::Final);
    assert_eq!(w.judge(&late).weakest(&w.plan), Assurance::Provisional);
}

fn seal_of(w: &World, batch: u32, outcomes: &[protocol::Hash]) -> Item {
    let Slot { units, .. } = w.batch(batch);
    let batches = vec![(units, protocol::merkle_root(outcomes))];
    Item::Seal(Seal { stage: 0, first: batch, batches })
}

#[test]
fn a_seal_latches_what_stands_whatever_is_said_later() {
    let anchored = Policy { anchors: vec![peer("anchor")], ..policy() };
    let mut w = audited(anchored);
    for batch in 0..w.plan.partition(0).batches() {
        let truth = w.truth(batch);
        let seal = seal_of(&w, batch, &truth);
        w.emit("anchor", vec![seal]);
    }
    assert_eq!(sure(&w), Assurance::Sealed);
    let sealed = w.verdict();
    // A contest by everybody else, won against the voters, convicts them and moves nothing.
    for who in names("x", 8) {
        w.vote(&who, w.unit(0, 1), digest("other"), digest("trace"));
    }
    for who in names("x", 8) {
        w.confirm(&who, w.unit(0, 1));
    }
    let later = w.verdict();
    assert_eq!(later.batch(0, 0).effective, sealed.batch(0, 0).effective);
    assert_eq!(later.weakest(&w.plan), Assurance::Sealed);
    assert!(later.batch(0, 0).is_settled() && later.contested.is_empty());
}

#[test]
fn of_two_anchors_that_differ_the_lower_root_stands_in_every_order() {
    let anchors = vec![peer("one"), peer("two")];
    let mut w = audited(Policy { anchors, ..policy() });
    let (truth, lie) = (w.truth(0), w.lie(0, "x", &[1]));
    let (first, second) = (seal_of(&w, 0, &truth), seal_of(&w, 0, &lie));
    w.emit("one", vec![first]);
    w.emit("two", vec![second]);
    let lower = protocol::merkle_root(&truth).min(protocol::merkle_root(&lie));
    let mut backwards = w.steps.clone();
    backwards.reverse();
    for steps in [w.steps.clone(), backwards] {
        assert_eq!(w.judge(&steps).batch(0, 0).effective, Some(lower));
    }
}

#[test]
fn where_one_vote_is_enough_the_submitters_own_is_still_not_a_verified_one() {
    let mut w = World::with(4, 1, Policy { quorum: 1, ..policy() });
    let truth = w.truth(0);
    w.execute(0, &["submitter"], &truth);
    assert_eq!(w.at(&w.verdict(), 0, 0), State::SelfExecuted);
    w.execute(0, &["a"], &truth);
    assert_eq!(w.at(&w.verdict(), 0, 0), State::Accepted(truth[0]));
}

#[test]
fn where_one_vote_is_enough_the_first_wrong_outcome_convicts() {
    let mut w = World::with(4, 2, Policy { quorum: 1, ..policy() });
    let lie = w.lie(0, "x", &[1]);
    w.execute(0, &["x"], &lie);
    w.post_leaves("x", 0, &lie);
    let honest = names("h", 7);
    let outcome = w.true_outcome(0, 1);
    w.ballots(0, 1, &strs(&honest), outcome);
    assert_eq!(guilty(&w.verdict()), peers(&["x"]));
}
