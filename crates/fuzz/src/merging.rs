//! Merging: whatever the order, repetition or partition, the same steps give the same verdict.

use std::collections::{BTreeMap, BTreeSet};

use protocol::limits::STEPS_SENT_MAX;
use protocol::{Bundle, Credit, Ledger, PeerId, Refusal, Signed, Stamp, Step, StepId, Verdict};

use crate::choices::{Chance, Choices};
use crate::setup::network;
use crate::world::World;

const ACTS: usize = 48;
/// Comparisons after which two peers must have come to an end.
const ROUNDS_MAX: usize = 64;

/// A world of honest and dishonest peers, read in several orders: all readers agree to the byte.
pub fn merge(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut chance = Chance::new(u64::from(choices.byte()));
    let world = World::play(&mut choices, ACTS);
    let steps = &world.steps;
    let mut whole = read(&world, steps);
    let expected = Known::of(&mut whole);
    let mut along = world.ledger.clone();
    expected.check(&mut along, "read step by step");
    for _ in 0..2 {
        let mut ledger = read_shuffled(&world, &mut chance);
        expected.check(&mut ledger, "read in another order, some of it twice");
    }
    let (mut left, mut right) = (vec![], vec![]);
    for step in steps {
        if chance.below(2) == 0 { &mut left } else { &mut right }.push(step.clone());
    }
    for (own, others) in [(&left, &right), (&right, &left)] {
        let mut ledger = read(&world, own);
        ledger.verdict();
        insert(&mut ledger, others);
        expected.check(&mut ledger, "parted and joined");
    }
    reconcile(&world, &left, &right, &mut whole, &expected);
    // Stamps are not worked for here, and a bundle is opened without the steps of those.
    if world.setup.manifest.policy.stamp_bits == 0 {
        let bundle = Bundle::from_bytes(&Bundle::new(network(), &along, None).to_bytes());
        let opened = bundle.expect("a bundle is read back").open();
        expected.check(&mut opened.expect("it shows something").ledger, "bundled and opened");
    }
}

/// What follows from a set of steps.
struct Known {
    verdict: Verdict,
    text: String,
    keepers: Vec<PeerId>,
    is_cancelled: bool,
    credits: BTreeMap<PeerId, Credit>,
    stamps: BTreeMap<PeerId, Stamp>,
    heads: protocol::Heads,
}

impl Known {
    fn of(ledger: &mut Ledger) -> Self {
        let verdict = ledger.verdict().clone();
        Self {
            text: format!("{verdict:?}"),
            verdict,
            keepers: ledger.keepers().to_vec(),
            is_cancelled: ledger.is_cancelled(),
            credits: ledger.credits(),
            stamps: ledger.ranks().stamps.clone(),
            heads: ledger.heads(false),
        }
    }

    fn check(&self, ledger: &mut Ledger, how: &str) {
        assert_eq!(*ledger.verdict(), self.verdict, "{how}: the verdict");
        assert_eq!(format!("{:?}", ledger.verdict()), self.text, "{how}: the verdict's bytes");
        assert_eq!(ledger.keepers(), self.keepers, "{how}: the keepers");
        assert_eq!(ledger.is_cancelled(), self.is_cancelled, "{how}: cancelled or not");
        assert_eq!(ledger.credits(), self.credits, "{how}: the credits");
        assert_eq!(*ledger.ranks().stamps, self.stamps, "{how}: the stamps");
        assert_eq!(ledger.heads(false), self.heads, "{how}: the heads");
    }
}

/// A ledger that has these steps, and was never asked for a verdict.
fn read(world: &World, steps: &[Signed<Step>]) -> Ledger {
    let mut ledger = Ledger::new(world.plan.clone());
    insert(&mut ledger, steps);
    ledger
}

/// What a ledger refuses is refused by all; [`read_shuffled`] looks after that.
fn insert(ledger: &mut Ledger, steps: &[Signed<Step>]) {
    for step in steps {
        let _ = ledger.insert(step.clone());
    }
}

/// A ledger that read everything in another order, some of it twice, and was asked after every step.
fn read_shuffled(world: &World, chance: &mut Chance) -> Ledger {
    let mut steps = world.steps.clone();
    if !steps.is_empty() {
        let again: Vec<Signed<Step>> =
            (0..5).map(|_| steps[chance.below(steps.len())].clone()).collect();
        steps.extend(again);
    }
    chance.shuffle(&mut steps);
    let look_at = chance.below(steps.len().max(1));
    let mut ledger = Ledger::new(world.plan.clone());
    let mut refused: BTreeSet<StepId> = BTreeSet::new();
    for (at, step) in steps.iter().enumerate() {
        if ledger.insert(step.clone()).is_err() {
            refused.insert(step.id());
        }
        let verdict = ledger.verdict().clone();
        if at == look_at {
            let mut fresh = read(world, &steps[..=at]);
            assert_eq!(verdict, *fresh.verdict(), "folded along, and from scratch");
        }
    }
    // A step is refused for what it says, whatever else is known.
    for step in &world.steps {
        let is_refused = match ledger.insert(step.clone()) {
            Ok(_) | Err(Refusal::Full) => false,
            Err(_) => true,
        };
        assert_eq!(is_refused, refused.contains(&step.id()), "refused in one order only");
    }
    ledger
}

/// Two peers with parts of the steps talk until neither has anything to say; a third has everything.
fn reconcile(
    world: &World,
    left: &[Signed<Step>],
    right: &[Signed<Step>],
    whole: &mut Ledger,
    expected: &Known,
) {
    let (mut one, mut other) = (read(world, left), read(world, right));
    talk(&mut one, &mut other);
    assert_eq!(one.heads(false), other.heads(false), "the heads of two who have talked");
    assert_eq!(one.verdict(), other.verdict(), "the verdicts of two who have talked");
    // What neither has read is nothing to talk about; who has everything tells them.
    talk(&mut one, whole);
    talk(&mut other, whole);
    expected.check(&mut one, "reconciled");
    expected.check(&mut other, "reconciled");
    expected.check(whole, "having told others");
}

fn talk(one: &mut Ledger, other: &mut Ledger) {
    for _ in 0..ROUNDS_MAX {
        let quiet = [tell(one, other), tell(other, one)];
        if quiet == [true, true] {
            return;
        }
    }
    panic!("two peers do not come to an end");
}

/// `to` hears the heads of `from` and gives what it lacks; whether there was nothing to say.
fn tell(from: &mut Ledger, to: &Ledger) -> bool {
    let (missing, lacks) = to.compare(&from.heads(true));
    assert!(missing.len() <= STEPS_SENT_MAX, "{} steps at once", missing.len());
    let is_quiet = missing.is_empty() && !lacks;
    insert(from, &missing);
    is_quiet
}
