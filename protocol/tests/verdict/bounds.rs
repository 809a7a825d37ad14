//! Bounds: what can be in nobody's ledger is refused, and nothing grows without a limit.

use protocol::limits::{HEADS_MAX, LOG_STEPS_MAX, STEP_BYTES_MAX};
use protocol::{
    About, Abstention, ByName, Certificate, Hash, Inserted, Item, Leaves, ManifestError, Message,
    Policy, Range, Reason, Refusal, Seal, Shown, SignedBody, Slot, Source, Stage, Step, StepId,
    Vote, encode,
};

use crate::world::{World, digest, key, network, peer, policy};

fn slot(about: About) -> Slot {
    Slot { stage: 0, about, units: digest("units") }
}

fn vote(slot: Slot) -> Item {
    let (root, seal) = (digest("root"), digest("seal"));
    Item::Vote(Vote { slot, root, seal, pack: None, path: vec![] })
}

fn refusal(w: &mut World, who: &str, item: Item) -> Option<Refusal> {
    let step = w.sign(who, 0, StepId::new([0; 32]), vec![item]);
    let mut ledger = w.ledger(&[]);
    let refusal = ledger.insert(step).err();
    assert_eq!(ledger.authors().count(), usize::from(refusal.is_none()));
    refusal
}

#[test]
fn slots_that_the_job_does_not_have_are_refused() {
    let mut w = World::new(1, 3);
    let (batches, units) = (w.plan.partition(0).batches(), w.plan.partition(0).units());
    let inside = [slot(About::Batch(batches - 1)), slot(About::Unit(units - 1))];
    let outside = [
        slot(About::Batch(batches)),
        slot(About::Batch(u32::MAX)),
        slot(About::Unit(units)),
        slot(About::Unit(u64::MAX)),
        Slot { stage: 1, ..slot(About::Batch(0)) },
        Slot { stage: u16::MAX, ..slot(About::Unit(0)) },
    ];
    let proofs = vec![Shown { voter: peer("y"), proof: digest("proof") }];
    for (slots, expected) in
        [(inside.as_slice(), None), (outside.as_slice(), Some(Refusal::OutOfRange))]
    {
        for slot in slots {
            let certificate =
                Certificate { slot: *slot, root: digest("root"), proofs: proofs.clone() };
            assert_eq!(refusal(&mut w, "x", vote(*slot)), expected, "{slot:?}");
            assert_eq!(refusal(&mut w, "x", Item::Certificate(certificate)), expected);
        }
    }
}

#[test]
fn a_job_has_a_bounded_number_of_batches_over_all_stages() {
    let mut manifest = World::new(1, 3).plan.manifest().clone();
    let mut stage = manifest.stages[0].clone();
    (stage.source, stage.batch) = (Source::Range(Range { from: 0, to: 1 << 17, block: 1 }), 1);
    stage.name = "first".to_owned();
    manifest.stages = vec![stage.clone()];
    assert_eq!(manifest.check(), Ok(()));
    stage.name = "second".to_owned();
    manifest.stages.push(stage.clone());
    assert_eq!(manifest.check(), Ok(()));
    stage.name = "third".to_owned();
    manifest.stages.push(stage);
    let batches = 3 << 17;
    assert_eq!(
        manifest.check(),
        Err(ManifestError::Batches { stage: "third".to_owned(), batches })
    );
}

#[test]
fn batches_that_read_whole_stages_are_bounded_together() {
    let mut manifest = World::new(1, 3).plan.manifest().clone();
    let mut stage = manifest.stages[0].clone();
    (stage.source, stage.batch) = (Source::Range(Range { from: 0, to: 1 << 13, block: 1 }), 1);
    let names = |buckets| Source::ByName(ByName { stage: 0, buckets });
    let mut second = Stage { name: "second".to_owned(), source: names(1 << 11), ..stage.clone() };
    manifest.stages = vec![stage.clone(), second.clone()];
    assert_eq!(manifest.check(), Ok(()));
    // That was all that is allowed.
    second.links.reads.push(1);
    let third = Stage { name: "third".to_owned(), links: second.links.clone(), ..stage };
    manifest.stages.push(third);
    let Err(ManifestError::Stage { stage, why }) = manifest.check() else { panic!("it passes") };
    assert!(stage == "third" && why.contains("8192 batches that read all of 2048"), "{why}");
}

#[test]
fn leaves_and_abstentions_must_fit_their_slot() {
    let mut w = World::new(1, 3);
    for (count, expected) in
        [(4, None), (3, Some(Refusal::OutOfRange)), (5, Some(Refusal::OutOfRange))]
    {
        let leaves =
            Leaves { slot: w.batch(1), root: digest("root"), digests: vec![Hash::ZERO; count] };
        assert_eq!(refusal(&mut w, "x", Item::Leaves(leaves)), expected, "{count} leaves");
    }
    let first = w.number(1, 0);
    for (unit, expected) in [
        (first, None),
        (first + 3, None),
        (first + 4, Some(Refusal::OutOfRange)),
        (first - 1, Some(Refusal::OutOfRange)),
    ] {
        let abstention = Abstention { slot: w.batch(1), unit, reason: Reason::Timeout };
        assert_eq!(refusal(&mut w, "x", Item::Abstention(abstention)), expected, "unit {unit}");
    }
}

#[test]
fn only_the_submitter_cancels_and_names_keepers_and_only_an_anchor_seals() {
    let mut w = World::with(1, 1, Policy { anchors: vec![peer("anchor")], ..policy() });
    let batches = vec![(digest("units"), digest("root"))];
    let seal = || Item::Seal(Seal { stage: 0, first: 0, batches: batches.clone() });
    let no = Some(Refusal::NotEntitled);
    for (who, item, expected) in [
        ("submitter", Item::Cancel, None),
        ("anchor", Item::Cancel, no),
        ("x", Item::Cancel, no),
        ("submitter", Item::Keepers(vec![peer("k")]), None),
        ("x", Item::Keepers(vec![peer("k")]), no),
        ("anchor", seal(), None),
        ("submitter", seal(), no),
        ("x", seal(), no),
    ] {
        assert_eq!(refusal(&mut w, who, item.clone()), expected, "{who}: {item:?}");
    }
}

#[test]
fn steps_of_another_job_are_refused() {
    let mut other = World::new(2, 1);
    let step = other.emit("x", vec![vote(slot(About::Batch(0)))]);
    assert_eq!(World::new(1, 1).ledger(&[]).insert(step), Err(Refusal::OtherJob));
}

#[test]
fn a_step_number_beyond_the_longest_log_is_refused() {
    let mut w = World::new(1, 1);
    let step = w.sign("x", LOG_STEPS_MAX, StepId::new([1; 32]), vec![vote(slot(About::Batch(0)))]);
    assert_eq!(w.ledger(&[]).insert(step), Err(Refusal::Full));
}

#[test]
fn a_job_keeps_no_more_authors_than_one_message_of_heads_can_name() {
    let mut w = World::new(1, 1);
    let mut ledger = w.ledger(&[]);
    let item = vote(slot(About::Batch(0)));
    let mut step = |name: String| w.sign(&name, 0, StepId::new([0; 32]), vec![item.clone()]);
    for n in 0..HEADS_MAX {
        ledger.insert(step(format!("x{n}"))).unwrap();
    }
    // Whose turn it is follows from a hash: of many newcomers some get in, and as many others go.
    let more: Vec<_> = (0..100).map(|n| ledger.insert(step(format!("more{n}")))).collect();
    assert!(more.contains(&Err(Refusal::Full)) || more.contains(&Ok(Inserted::New)), "{more:?}");
    assert_eq!(ledger.authors().count(), HEADS_MAX);
    let heads = Message::Heads(ledger.heads(true)).to_bytes();
    assert!(Message::open(&heads, network()).is_ok(), "{} bytes", heads.len());
}

// A flood of identities must not keep out whom others have let in.
#[test]
fn whom_a_joined_author_certifies_gets_in_where_a_job_is_full() {
    let mut w = World::new(1, 1);
    let truth = w.truth(0);
    w.execute(0, &["a", "b"], &truth);
    let mut ledger = w.ledger(&w.steps);
    ledger.verdict();
    let item = vote(slot(About::Batch(0)));
    let mut n = 0;
    let refused = loop {
        let name = format!("x{n}");
        let step = w.sign(&name, 0, StepId::new([0; 32]), vec![item.clone()]);
        if ledger.insert(step.clone()) == Err(Refusal::Full) {
            break step;
        }
        n += 1;
    };
    let proofs = vec![Shown { voter: refused.author(), proof: digest("proof") }];
    let certificate = Certificate { slot: slot(About::Batch(0)), root: digest("root"), proofs };
    w.emit("x0", vec![Item::Certificate(certificate.clone())]);
    let _ = ledger.insert(w.steps.last().unwrap().clone());
    assert_eq!(ledger.insert(refused.clone()), Err(Refusal::Full), "anybody can say so");
    w.emit("a", vec![Item::Certificate(certificate)]);
    ledger.insert(w.steps.last().unwrap().clone()).unwrap();
    assert_eq!(ledger.insert(refused), Ok(Inserted::New));
    assert_eq!(ledger.authors().count(), HEADS_MAX);
}

#[test]
fn the_leaves_of_the_largest_batch_fit_one_step() {
    let leaves = Leaves {
        slot: Slot { stage: u16::MAX, about: About::Batch(u32::MAX), units: digest("units") },
        root: digest("root"),
        digests: vec![digest("leaf"); 1024],
    };
    let step = Step {
        job: World::new(1, 1).plan.manifest().job(),
        shard: 0,
        seq: LOG_STEPS_MAX,
        prev: StepId::new([1; 32]),
        level: 32,
        stamp: None,
        report: None,
        items: vec![Item::Leaves(leaves)],
    };
    assert_eq!(step.check(), Ok(()));
    let bytes = encode(&step).len();
    assert!(32 << 10 < bytes && bytes <= STEP_BYTES_MAX, "{bytes} bytes");
    assert_eq!(Step::BYTES_MAX, STEP_BYTES_MAX);
    let signed = key("x").sign(network(), step);
    assert!(signed.envelope().clone().verify::<Step>(network()).is_ok());
}

#[test]
fn keepers_and_the_end_of_a_job_follow_the_submitters_log() {
    let mut w = World::new(1, 1);
    w.emit("submitter", vec![Item::Keepers(vec![peer("k1")])]);
    w.emit("submitter", vec![Item::Keepers(vec![peer("k2")]), Item::Cancel]);
    let mut backwards = w.steps.clone();
    backwards.reverse();
    for steps in [w.steps.clone(), backwards] {
        let ledger = w.ledger(&steps);
        assert_eq!((ledger.keepers(), ledger.is_cancelled()), ([peer("k2")].as_slice(), true));
    }
}
