//! Proof bundles: a verdict that travels is the one that was reached, and nothing forged gets in.

use protocol::limits::BUNDLE_BYTES_MAX;
use protocol::{
    Announcement, Bundle, BundleError, Credit, DecodeError, Entry, Envelope, Hash, Item, Ledger,
    NetworkId, Opened, Parts, Plan, Policy, Seal, Signed, Slot, Source, Stage, Stamp, Stamped,
    Step, Tally, Tree, decode, encode,
};

use crate::dice::Dice;
use crate::random::tell;
use crate::world::{BATCH, World, digest, key, network, peer, policy, range_stage};

/// A bundle as it is written, field by field.
type Fields = (
    String,
    NetworkId,
    serde_bytes::ByteBuf,
    Vec<serde_bytes::ByteBuf>,
    Option<Envelope>,
    Vec<Envelope>,
);

fn bundled(ledger: &Ledger) -> Vec<u8> {
    Bundle::new(network(), ledger, None).to_bytes()
}

fn open(bytes: &[u8]) -> Result<Opened, BundleError> {
    Bundle::from_bytes(bytes)?.open()
}

fn fields(bytes: &[u8]) -> Fields {
    decode(bytes, BUNDLE_BYTES_MAX).unwrap()
}

/// The bundle with something changed by somebody who cannot sign.
fn changed(bytes: &[u8], change: impl FnOnce(&mut Fields)) -> Vec<u8> {
    let mut fields = fields(bytes);
    change(&mut fields);
    encode(&fields)
}

fn executed() -> World {
    let mut w = World::new(5, 2);
    for batch in 0..w.plan.partition(0).batches() {
        let truth = w.truth(batch);
        w.execute(batch, &["a", "b"], &truth);
    }
    w
}

#[test]
fn a_bundle_gives_the_verdict_and_the_logs_of_the_ledger_that_it_was_made_of() {
    for seed in 0..100 {
        let told = tell(seed);
        let mut dice = Dice::new("bundle", seed);
        let all = told.world.steps.clone();
        for view in [all.clone(), dice.some(&all, 80)] {
            let mut ledger = told.world.ledger(&view);
            let opened = open(&bundled(&ledger)).unwrap();
            assert_eq!(opened.ledger.last_verdict(), ledger.verdict(), "seed {seed}");
            assert_eq!(opened.ledger.heads(false), ledger.heads(false), "seed {seed}");
            assert!(bundled(&opened.ledger) == bundled(&ledger), "seed {seed}");
        }
    }
}

#[test]
fn steps_in_another_order_or_twice_give_the_same_verdict_and_fewer_a_verdict_of_their_own() {
    for seed in 0..40 {
        let told = tell(seed);
        let mut dice = Dice::new("bundle order", seed);
        let bytes = bundled(&told.world.ledger(&told.world.steps));
        let shuffled = changed(&bytes, |fields| {
            let again = dice.some(&fields.5, 20);
            fields.5.extend(again);
            dice.shuffle(&mut fields.5);
        });
        assert_eq!(*open(&shuffled).unwrap().ledger.last_verdict(), told.world.verdict());
        let mut left = Vec::new();
        let fewer = changed(&bytes, |fields| {
            left = dice.some(&fields.5, 60);
            fields.5.clone_from(&left);
        });
        let steps: Vec<Signed<Step>> =
            left.into_iter().map(|step| step.verify(network()).unwrap()).collect();
        assert_eq!(*open(&fewer).unwrap().ledger.last_verdict(), told.world.judge(&steps));
    }
}

#[test]
fn no_changed_byte_and_no_shorter_or_longer_file_passes() {
    let bytes = bundled(&executed().ledger(&executed().steps));
    for at in (0..bytes.len()).step_by(7) {
        assert!(open(&bytes[..at]).is_err(), "{at} of {} bytes", bytes.len());
    }
    let mut dice = Dice::new("bits", 0);
    for _ in 0..400 {
        let mut flipped = bytes.clone();
        let at = dice.below(bytes.len());
        flipped[at] ^= 1 << dice.below(8);
        let job = Bundle::from_bytes(&bytes).unwrap().job();
        // A changed manifest is another job's, and its steps are not that job's.
        assert!(open(&flipped).is_err() || Bundle::from_bytes(&flipped).unwrap().job() != job);
    }
    assert!(open(&[bytes.clone(), vec![0]].concat()).is_err());
    assert_eq!(Bundle::from_bytes(&[]), Err(BundleError::Empty));
    assert_eq!(Bundle::from_bytes(b"not a bundle"), Err(BundleError::OtherVersion));
    let version = changed(&bytes, |fields| fields.0 = "dugnad proof 2".to_owned());
    assert_eq!(Bundle::from_bytes(&version), Err(BundleError::OtherVersion));
}

#[test]
fn another_network_manifest_or_job_spoils_the_whole_bundle() {
    let (w, other) = (executed(), World::new(6, 2));
    let bytes = bundled(&w.ledger(&w.steps));
    let network = changed(&bytes, |fields| fields.1 = NetworkId::named("another"));
    assert!(matches!(open(&network), Err(BundleError::Verify(_))));
    let manifest = changed(&bytes, |fields| {
        fields.2 = serde_bytes::ByteBuf::from(other.plan.manifest().to_bytes());
    });
    assert!(matches!(open(&manifest), Err(BundleError::Refused(_))));
    let forged = changed(&bytes, |fields| {
        fields.5[0].author = peer("somebody else");
    });
    assert!(matches!(open(&forged), Err(BundleError::Verify(_))));
    let part = changed(&bytes, |fields| fields.3.push(serde_bytes::ByteBuf::from(*b"a tree")));
    assert_eq!(open(&part).unwrap_err(), BundleError::Parts);
}

#[test]
fn an_announcement_comes_along_if_it_is_this_jobs_by_its_submitter() {
    let w = executed();
    let ledger = w.ledger(&w.steps);
    let announced = |who: &str, announcement| {
        let signed = key(who).sign(network(), announcement);
        Bundle::new(network(), &ledger, Some(&signed)).open()
    };
    let right = Announcement::of(w.plan.manifest());
    let opened = announced("submitter", right.clone()).unwrap();
    assert_eq!(opened.announcement.unwrap().value(), &right);
    let others = Announcement::of(World::new(6, 2).plan.manifest());
    for (who, announcement) in [("a", right.clone()), ("submitter", others)] {
        assert_eq!(announced(who, announcement).unwrap_err(), BundleError::Announcement);
    }
    let raised = Announcement { level: right.level + 1, ..right.clone() };
    assert!(announced("submitter", raised).is_ok(), "the job needed nobody else");
    let bent = Announcement { units: 1, ..right };
    assert_eq!(announced("submitter", bent).unwrap_err(), BundleError::Announcement);
}

#[test]
fn the_trees_that_units_are_derived_from_come_along_and_no_others() {
    let entry = |n: usize| Entry {
        path: format!("part{n}"),
        blob: protocol::BlobRef::of(&[n as u8]),
        is_tree: false,
    };
    let tree = Tree::new((0..10).map(entry).collect()).unwrap();
    let blob = protocol::BlobRef::of(&tree.to_bytes());
    let source = Source::Parts(Parts { tree: blob, count: 10 });
    let stage = Stage { source, args: vec![], ..range_stage("parts", 1, 4) };
    let w = World::staged(1, vec![stage], policy());
    let mut plan = Plan::new(w.plan.manifest().clone());
    assert!(plan.add_parts(blob.id, tree.clone()));
    let ledger = Ledger::new(plan.into());
    let bytes = bundled(&ledger);
    let opened = open(&bytes).unwrap();
    assert_eq!(opened.ledger.plan().unit(0, 3, None), ledger.plan().unit(0, 3, None));
    let without = changed(&bytes, |fields| fields.3.clear());
    assert_eq!(open(&without).unwrap_err(), BundleError::Parts);
    let wrong = changed(&bytes, |fields| {
        fields.3 = vec![serde_bytes::ByteBuf::from(Tree::default().to_bytes())];
    });
    assert_eq!(open(&wrong).unwrap_err(), BundleError::Parts);
}

#[test]
fn an_author_whose_stamp_was_not_worked_for_is_passed_over_where_stamps_are_asked_for() {
    let signed = |bits: u8, stamp: Stamp| {
        let w = World::with(7, 1, Policy { stamp_bits: bits, ..policy() });
        let slot = w.batch(0);
        let vote = w.vote_item("a", slot, digest("root"), digest("trace"));
        let job = w.plan.manifest().job();
        let step = Step {
            job,
            shard: 0,
            seq: 0,
            prev: protocol::StepId::new([0; 32]),
            level: 0,
            stamp: Some(stamp),
            report: None,
            items: vec![vote],
        };
        let ledger = w.ledger(&[key("a").sign(network(), step)]);
        open(&bundled(&ledger)).unwrap()
    };
    let good = Stamp::mint(network(), Stamped::Peer(peer("a")), 0, 1, 0..1 << 22).unwrap();
    let bad = Stamp { nonce: good.nonce ^ 1, ..good };
    for (bits, stamp, heard) in [(1, good, true), (1, bad, false), (0, bad, true)] {
        let opened = signed(bits, stamp);
        assert_eq!(opened.ledger.authors().count() == 1, heard);
        assert_eq!(opened.unstamped.contains(&peer("a")), !heard);
    }
}

#[test]
fn bundles_that_follow_each_other_are_read_one_by_one() {
    let (one, other) = (executed(), World::new(6, 2));
    let bundles = [&one, &other].map(|w| Bundle::new(network(), &w.ledger(&w.steps), None));
    let bytes = [bundles[0].to_bytes(), bundles[1].to_bytes()].concat();
    assert_eq!(Bundle::read_all(&bytes).unwrap(), bundles);
    assert_eq!(Bundle::from_bytes(&bytes), Err(BundleError::Decode(DecodeError::WrongType)));
    let cut = Bundle::read_all(&bytes[..bytes.len() - 1]);
    assert!(matches!(cut, Err(BundleError::Decode(_))));
}

#[test]
fn what_the_votes_alone_give_is_told_apart_from_what_was_sealed() {
    let mut w = World::with(3, 2, Policy { anchors: vec![peer("anchor")], ..policy() });
    let batches = w.plan.partition(0).batches();
    for batch in 0..batches {
        let truth = w.truth(batch);
        w.execute(batch, &["a", "b"], &truth);
        let sealed: Vec<Hash> = if batch == 0 { w.lie(0, "anchor", &[1]) } else { truth };
        let Slot { units, .. } = w.batch(batch);
        let batches = vec![(units, protocol::merkle_root(&sealed))];
        w.emit("anchor", vec![Item::Seal(Seal { stage: 0, first: batch, batches })]);
    }
    let ledger = open(&bundled(&w.ledger(&w.steps))).unwrap().ledger;
    let alone = ledger.without_seals();
    let effective = |ledger: &Ledger, batch| ledger.last_verdict().batch(0, batch).effective;
    assert_ne!(effective(&ledger, 0), effective(&alone, 0));
    for batch in 1..batches {
        assert_eq!(effective(&ledger, batch), effective(&alone, batch));
    }
    let units = w.plan.partition(0).units();
    let sealed = Tally { units, accepted: units, sealed: units, ..Tally::default() };
    assert_eq!(ledger.last_verdict().tally(&w.plan, 0), sealed);
    assert_eq!(alone.last_verdict().tally(&w.plan, 0), Tally { sealed: 0, ..sealed });
}

#[test]
fn credit_is_given_for_joined_votes_and_true_audits_and_not_to_liars_or_the_submitter() {
    let mut w = World::new(8, 2);
    let truth = w.truth(0);
    w.execute(0, &["a", "b", "submitter"], &truth);
    let lie = w.lie(1, "x", &[1]);
    w.execute(1, &["x", "y"], &lie);
    w.post_leaves("x", 1, &lie);
    let honest: Vec<String> = crate::world::names("h", 8);
    let outcome = w.true_outcome(1, 1);
    w.ballots(1, 1, &crate::world::strs(&honest), outcome);
    let slot = w.unit(0, 2);
    let trace = protocol::hash("trace", &[truth[2].as_bytes()]);
    let Item::Vote(vote) = w.vote_item("auditor", slot, truth[2], trace) else { unreachable!() };
    let path = protocol::merkle_path(&truth, 2);
    w.emit("auditor", vec![Item::Vote(protocol::Vote { path, ..vote })]);
    w.vouch("a", slot, "auditor", truth[2]);

    let ledger = open(&bundled(&w.ledger(&w.steps))).unwrap().ledger;
    assert!(ledger.last_verdict().is_faulty(peer("x")));
    let credits = ledger.credits();
    let cpu_ms = w.plan.stage(0).limits.cpu_ms;
    let worked = Credit { units: BATCH as u64, cpu_ms: BATCH as u64 * cpu_ms, ..Credit::default() };
    let audited = Credit { audits: 1, cpu_ms, ..Credit::default() };
    let want = [(peer("a"), worked), (peer("b"), worked), (peer("auditor"), audited)];
    assert_eq!(credits, want.into_iter().collect());
}

/// What [`BUNDLE_BYTES_MAX`] says of its reason.
#[test]
fn a_job_of_a_million_audited_units_fits_a_bundle() {
    let units = 1024 * 10;
    let mut w = World::staged(9, vec![range_stage("first", units, 1024)], policy());
    let truth = w.truth(0);
    w.execute(0, &["a", "b"], &truth);
    w.post_leaves("a", 0, &truth);
    for i in (0..1024).step_by(10) {
        let who = format!("auditor{}", i % 30);
        w.ballot_with_path(0, i, &who, &truth);
        let slot = w.unit(0, i);
        w.vouch("a", slot, &who, truth[i]);
        w.vouch("b", slot, &who, truth[i]);
    }
    let batch = bundled(&w.ledger(&w.steps)).len();
    let million = batch * 1_000_000 / 1024;
    assert_eq!((batch >> 10, million >> 20), (168, 161));
    assert!(million * 3 < BUNDLE_BYTES_MAX);
}
