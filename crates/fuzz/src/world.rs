//! A world of peers that sign real steps of one job, and everything that was said in it so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{
    About, BlobRef, Hash, Item, Ledger, PeerId, Plan, Shown, Signed, Slot, Stamp, Step, StepId,
    Vote, level_of, proof, seal,
};

use crate::choices::Choices;
use crate::places::{Place, Places};
use crate::setup::{CREATED_MS, Setup, network};

/// Items that gather before they are signed.
const PENDING_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) plan: Arc<Plan>,
    /// Everything that was published, in order.
    pub(crate) steps: Vec<Signed<Step>>,
    /// What an honest peer goes by: it has read every step as it came.
    pub(crate) ledger: Ledger,
    pub(crate) votes: Vec<Spoken>,
    pub(crate) shown: Vec<Published>,
    pub(crate) places: Places,
    /// What lies under roots that somebody has made here.
    pub(crate) leaves: BTreeMap<Hash, Vec<Hash>>,
    pub(crate) logs: Vec<Vec<StepId>>,
    pending: Vec<Vec<Item>>,
    /// Peers that act here; in the world of an engine that is not all.
    acting: std::ops::Range<usize>,
}

/// A vote with the trace that it is sealed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken {
    pub(crate) author: PeerId,
    pub(crate) slot: Slot,
    pub(crate) root: Hash,
    pub(crate) trace: Hash,
    pub(crate) known_to: KnownTo,
}

/// Who knows a trace, and can make proofs from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownTo {
    /// Whoever executes the units.
    Executors,
    Author,
    Coalition,
}

/// A proof that was published, and by whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) slot: Slot,
    pub(crate) shown: Shown,
    pub(crate) by: PeerId,
}

impl World {
    pub(crate) fn new(setup: Setup, acting: std::ops::Range<usize>) -> Self {
        let plan = Arc::new(setup.plan());
        let peers = setup.keys.len();
        Self {
            ledger: Ledger::new(plan.clone()),
            places: Places::new(plan.clone()),
            plan,
            steps: vec![],
            votes: vec![],
            shown: vec![],
            leaves: BTreeMap::new(),
            logs: vec![vec![]; peers],
            pending: vec![vec![]; peers],
            acting,
            setup,
        }
    }

    /// A world in which everything has happened that the choices tell, in at most `acts` acts.
    pub(crate) fn play(choices: &mut Choices<'_>, acts: usize) -> Self {
        let setup = Setup::read(choices, 0);
        let peers = setup.keys.len();
        let mut world = Self::new(setup, 0..peers);
        for _ in 0..acts {
            if choices.is_over() {
                break;
            }
            world.act(choices);
        }
        (0..peers).for_each(|actor| world.flush(actor));
        world
    }

    /// Lets one peer do one thing.
    pub(crate) fn act(&mut self, choices: &mut Choices<'_>) {
        let actor = self.acting.start + choices.below(self.acting.len());
        if self.setup.bad[actor] {
            self.act_badly(actor, choices);
        } else {
            self.act_honestly(actor, choices);
        }
        if PENDING_MAX <= self.pending[actor].len() || !choices.rarely() {
            self.flush(actor);
        }
    }

    pub(crate) fn peer(&self, actor: usize) -> PeerId {
        self.setup.keys[actor].peer()
    }

    /// A batch or unit of the job as it is derived now.
    pub(crate) fn place(&mut self, stage: u16, about: About) -> Option<Place> {
        let place = self.places.at(stage, about, self.ledger.last_verdict());
        assert_eq!(place.as_ref().map(|place| place.slot), self.ledger.slot(stage, about));
        place
    }

    pub(crate) fn any_batch(&mut self, choices: &mut Choices<'_>) -> Option<Place> {
        let stage = choices.below(self.setup.manifest.stages.len()) as u16;
        let batches = self.plan.partition(stage).batches() as usize;
        self.place(stage, About::Batch(choices.below(batches) as u32))
    }

    pub(crate) fn any_unit(&mut self, choices: &mut Choices<'_>) -> Option<Place> {
        let stage = choices.below(self.setup.manifest.stages.len()) as u16;
        let units = self.plan.partition(stage).units() as usize;
        self.place(stage, About::Unit(choices.below(units) as u64))
    }

    /// The batch around a unit, and which of its units that is.
    pub(crate) fn batch_around(&mut self, unit: &Place) -> Option<(Place, usize)> {
        let About::Unit(number) = unit.slot.about else { return None };
        let partition = self.plan.partition(unit.slot.stage);
        let batch = partition.batch_of(number);
        let index = (number - partition.units_of(batch).start) as usize;
        Some((self.place(unit.slot.stage, About::Batch(batch))?, index))
    }

    pub(crate) fn has_voted(&self, actor: usize, slot: &Slot) -> bool {
        let peer = self.peer(actor);
        self.votes.iter().any(|vote| vote.author == peer && vote.slot == *slot)
    }

    pub(crate) fn proof(&self, slot: &Slot, author: PeerId, trace: Hash) -> Hash {
        proof(network(), self.setup.manifest.job(), slot, author, trace)
    }

    /// Casts a vote, sealed with `trace`.
    pub(crate) fn vote(
        &mut self,
        actor: usize,
        (slot, root): (Slot, Hash),
        (trace, known_to): (Hash, KnownTo),
        path: Vec<Hash>,
    ) {
        let author = self.peer(actor);
        let seal = seal(self.proof(&slot, author, trace));
        self.votes.push(Spoken { author, slot, root, trace, known_to });
        // Everybody who found the same has made the same pack.
        let pack = Some(BlobRef::of(root.as_bytes()));
        self.say(actor, Item::Vote(Vote { slot, root, seal, pack, path }));
    }

    /// Whether a root is the right one of its slot.
    pub(crate) fn is_right(&self, slot: &Slot, root: Hash) -> bool {
        self.places.of(slot).is_some_and(|place| place.truth == root)
    }

    pub(crate) fn say(&mut self, actor: usize, item: Item) {
        self.pending[actor].push(item);
    }

    /// Signs what an actor has to say, as the next step of its log.
    pub(crate) fn flush(&mut self, actor: usize) {
        let items = std::mem::take(&mut self.pending[actor]);
        let seq = self.logs[actor].len();
        if let Some(step) = self.sign(actor, seq, None, items) {
            self.logs[actor].push(step.id());
            self.publish(step);
        }
    }

    pub(crate) fn take_pending(&mut self, actor: usize) -> Vec<Item> {
        std::mem::take(&mut self.pending[actor])
    }

    /// A step with this number, if its form is good; it is in nobody's log yet.
    pub(crate) fn sign(
        &self,
        actor: usize,
        seq: usize,
        prev: Option<StepId>,
        items: Vec<Item>,
    ) -> Option<Signed<Step>> {
        let none = StepId::new([0; 32]);
        let known = seq.checked_sub(1).map_or(Some(none), |at| self.logs[actor].get(at).copied());
        let (job, policy) = (self.setup.manifest.job(), &self.setup.manifest.policy);
        let level = match policy.level {
            0 => 0,
            level => level_of(job, 0, self.peer(actor)).min(level),
        };
        // Who says two first things may have two stamps.
        let nonce = actor as u64 + 100 * items.len() as u64;
        let stamp = Stamp { epoch: Stamp::epoch_of(CREATED_MS), bits: 1, nonce };
        let step = Step {
            job,
            shard: 0,
            seq: seq as u64,
            prev: prev.or(known)?,
            level,
            stamp: (seq == 0 && policy.stamp_bits != 0).then_some(stamp),
            report: None,
            items,
        };
        step.check().ok()?;
        Some(self.setup.keys[actor].sign(network(), step))
    }

    pub(crate) fn publish(&mut self, step: Signed<Step>) {
        // What the job's rules refuse is refused by all: that is one of the promises.
        let _ = self.ledger.insert(step.clone());
        self.ledger.verdict();
        self.steps.push(step);
    }

    /// Takes in a step of a peer that does not act here, and what follows from it for the others.
    pub(crate) fn hear(&mut self, step: &Signed<Step>) {
        let author = step.author();
        for item in &step.value().items {
            let Item::Vote(Vote { slot, root, .. }) = *item else { continue };
            let _ = self.place(slot.stage, slot.about);
            let Some(place) = self.places.of(&slot) else { continue };
            let (trace, known_to) = (place.trace, KnownTo::Executors);
            self.votes.push(Spoken { author, slot, root, trace, known_to });
        }
        self.publish(step.clone());
    }

    /// Bad peers that help one another.
    pub(crate) fn coalition(&self) -> BTreeSet<PeerId> {
        let members = (0..).zip(&self.setup.colluding).filter(|(_, is)| **is);
        members.map(|(n, _)| self.peer(n)).collect()
    }
}
