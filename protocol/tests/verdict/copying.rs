//! Copying without executing: roots are public, so copied votes must be worth nothing.

use protocol::{Certificate, Hash, Item, Shown, Standing};

use crate::world::{State, World, digest, peer, peers};

const BATCHES: u32 = 6;

/// Six batches, executed by two honest peers.
pub(crate) fn done_job() -> World {
    let mut w = World::new(7, u64::from(BATCHES));
    for batch in 0..BATCHES {
        let truth = w.truth(batch);
        w.execute(batch, &["h1", "h2"], &truth);
        w.post_leaves("h1", batch, &truth);
    }
    assert_eq!(w.settled(&w.verdict(), BATCHES), 24);
    w
}

/// The proofs of others' votes in a batch that are public by now.
fn public_proofs(w: &World, batch: u32) -> Vec<Shown> {
    let slot = w.batch(batch);
    let items = w.steps.iter().flat_map(|step| step.value().items.clone());
    items
        .filter_map(|item| match item {
            Item::Certificate(certificate) if certificate.slot == slot => Some(certificate.proofs),
            _ => None,
        })
        .flatten()
        .collect()
}

/// Votes on a finished batch with an invented trace, and repeats every public proof beside its own.
fn copy(w: &mut World, who: &str, batch: u32) {
    let (slot, root) = (w.batch(batch), protocol::merkle_root(&w.truth(batch)));
    w.vote(who, slot, root, digest("guess"));
    let own = Shown { voter: peer(who), proof: w.proof(&slot, who, digest("guess")) };
    let mut proofs = public_proofs(w, batch);
    proofs.push(own);
    w.emit(who, vec![Item::Certificate(Certificate { slot, root, proofs })]);
}

// Row 1.
#[test]
fn a_latecomer_who_copies_every_batch_changes_nothing() {
    let mut w = done_job();
    let before = w.verdict();
    for batch in 0..BATCHES {
        copy(&mut w, "x", batch);
    }
    assert_eq!(w.verdict(), before);
}

// Rows 1 and 18.
#[test]
fn a_copier_is_not_joined_by_repeating_public_proofs_and_contests_no_more_than_a_newcomer() {
    let mut w = done_job();
    for batch in 0..BATCHES {
        copy(&mut w, "x", batch);
    }
    for batch in 0..BATCHES {
        w.lone_ballot(batch, 0, "x", digest("junk"));
        w.lone_ballot(batch, 1, "x", digest("junk"));
    }
    let verdict = w.verdict();
    assert_eq!(w.contested(&verdict, BATCHES), 2);
    let Standing::Quorum { voters, .. } = &verdict.batch(0, 0).standing else { panic!("open") };
    assert_eq!(*voters, peers(&["h1", "h2"]));
}

#[test]
fn proofs_of_one_side_join_nobody() {
    let mut w = World::new(1, 1);
    let (slot, truth) = (w.batch(0), w.truth(0));
    let root = w.know(&truth);
    w.vote("h1", slot, root, digest("trace"));
    w.vote("h2", slot, root, digest("trace"));
    w.confirm("h1", slot);
    assert_eq!(w.at(&w.verdict(), 0, 0), State::Open);
    w.confirm("h2", slot);
    assert_eq!(w.at(&w.verdict(), 0, 0), State::Accepted(truth[0]));
}

#[test]
fn a_proof_that_does_not_fit_the_seal_or_the_root_joins_nobody() {
    let mut w = World::new(1, 1);
    let (slot, truth) = (w.batch(0), w.truth(0));
    let root = w.know(&truth);
    w.vote("h1", slot, root, digest("one trace"));
    w.vote("h2", slot, root, digest("another trace"));
    let cross = |w: &mut World, by: &str, of: &str, root: Hash, trace: Hash| {
        let shown = Shown { voter: peer(of), proof: w.proof(&slot, of, trace) };
        w.emit(by, vec![Item::Certificate(Certificate { slot, root, proofs: vec![shown] })]);
    };
    cross(&mut w, "h1", "h2", root, digest("one trace"));
    cross(&mut w, "h2", "h1", root, digest("another trace"));
    cross(&mut w, "h1", "h2", digest("another root"), digest("another trace"));
    cross(&mut w, "h2", "h1", digest("another root"), digest("one trace"));
    assert_eq!(w.at(&w.verdict(), 0, 0), State::Open);
}

#[test]
fn certificates_count_whether_they_come_before_or_after_the_votes() {
    let mut w = World::new(2, 1);
    let truth = w.truth(0);
    w.execute(0, &["h1", "h2"], &truth);
    let mut late_votes = w.steps.clone();
    late_votes.reverse();
    assert_eq!(w.judge(&late_votes), w.verdict());
    assert_eq!(w.settled(&w.judge(&late_votes), 1), 4);
}

// Row 24.
#[test]
fn a_pair_that_copies_every_batch_with_a_trace_of_its_own_earns_nothing() {
    let mut w = done_job();
    for batch in 0..BATCHES {
        let truth = w.truth(batch);
        w.state(batch, &["x", "y"], &truth, digest("made up"));
    }
    for batch in 0..BATCHES {
        w.lone_ballot(batch, 0, "x", digest("junk"));
    }
    assert_eq!(w.contested(&w.verdict(), BATCHES), 2);
}

// Row 4.
#[test]
fn colluders_who_audit_each_other_earn_nothing_and_an_outsider_who_audits_them_does_earn_it_for_them()
 {
    let mut w = World::new(4, u64::from(BATCHES));
    for batch in 0..BATCHES {
        let truth = w.truth(batch);
        w.execute(batch, &["l1", "l2"], &truth);
        w.post_leaves("l1", batch, &truth);
    }
    for batch in 0..2 {
        for i in 0..4 {
            w.ballots(batch, i, &["l1", "l2"], w.true_outcome(batch, i));
        }
    }
    let mut audited = World::new(4, u64::from(BATCHES));
    audited.clone_from(&w);
    for i in 0..4 {
        audited.ballots(0, i, &["h3", "h4"], w.true_outcome(0, i));
    }
    for world in [&mut w, &mut audited] {
        for batch in 2..BATCHES {
            for i in 0..4 {
                world.lone_ballot(batch, i, "l1", digest("junk"));
            }
        }
    }
    assert_eq!(w.contested(&w.verdict(), BATCHES), 2);
    assert_eq!(audited.contested(&audited.verdict(), BATCHES), 2 + 2, "the root of four audits");
}
