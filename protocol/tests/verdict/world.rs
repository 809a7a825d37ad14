//! A small world of peers that sign real steps of one job, honest or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{
    About, Abstention, BlobRef, Certificate, Gather, Hash, Item, Keypair, Leaves, Ledger, Manifest,
    NetworkId, PROTOCOL, PeerId, Plan, Policy, Range, Reason, SEMANTICS, Shown, Signed, Slot,
    Source, Stage, Standing, Stdin, Step, StepId, UnitLimits, UnitVerdict, Verdict, Vote, hash,
    merkle_path, merkle_root, proof, seal,
};

/// What a verdict says about one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    SelfExecuted,
    Accepted(Hash),
    Contested,
    Decided(Hash),
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) steps: Vec<Signed<Step>>,
    keys: BTreeMap<String, Keypair>,
    logs: BTreeMap<String, (u64, StepId)>,
    /// Who voted where: root and trace.
    cast: BTreeMap<(String, Slot), (Hash, Hash)>,
    /// Outcomes under every root that was made here.
    outcomes: BTreeMap<Hash, Vec<Hash>>,
}

pub(crate) fn network() -> NetworkId {
    NetworkId::named("the world")
}

pub(crate) fn key(name: &str) -> Keypair {
    Keypair::from_secret(hash("key of a test", &[name.as_bytes()]).as_bytes())
}

pub(crate) fn peer(name: &str) -> PeerId {
    key(name).peer()
}

pub(crate) fn peers(names: &[&str]) -> BTreeSet<PeerId> {
    names.iter().map(|name| peer(name)).collect()
}

/// A number for anything.
pub(crate) fn digest(of: &str) -> Hash {
    hash("digest of a test", &[of.as_bytes()])
}

/// Names such as h0, h1, h2.
pub(crate) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

pub(crate) fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

pub(crate) fn range_stage(name: &str, units: u64, batch: u32) -> Stage {
    Stage {
        name: name.to_owned(),
        source: Source::Range(Range { from: 0, to: units, block: 1 }),
        module: BlobRef::of(b"module"),
        args: vec!["{index}".to_owned()],
        env: vec![],
        stdin: Stdin::Nothing,
        inputs: vec![],
        limits: UnitLimits::default(),
        batch,
        links: protocol::Links::default(),
    }
}

pub(crate) fn gather_stage(name: &str, upstream: u16) -> Stage {
    let source = Source::Gather(Gather { stage: upstream, fan_in: None });
    Stage { source, args: vec![], ..range_stage(name, 1, 1) }
}

/// The policy of the reference: a quorum of two, and nobody's ballot decides alone.
pub(crate) fn policy() -> Policy {
    Policy { anchors: vec![], ..Policy::standard(peer("submitter")) }
}

/// Units of a full batch in [`World::new`].
pub(crate) const BATCH: usize = 4;

impl World {
    /// A job of one stage whose first `batches` batches have four units each.
    pub(crate) fn new(seed: u64, batches: u64) -> Self {
        Self::with(seed, batches, policy())
    }

    pub(crate) fn with(seed: u64, batches: u64, policy: Policy) -> Self {
        let units = 10 * (BATCH as u64 * batches).div_ceil(9);
        Self::staged(seed, vec![range_stage("first", units, BATCH as u32)], policy)
    }

    pub(crate) fn staged(seed: u64, stages: Vec<Stage>, policy: Policy) -> Self {
        let manifest = Manifest {
            protocol: PROTOCOL,
            semantics: SEMANTICS,
            name: "test".to_owned(),
            description: String::new(),
            submitter: peer("submitter"),
            created_ms: 0,
            expires_ms: 1,
            nonce: hash("nonce", &[&seed.to_le_bytes()]),
            stages,
            policy,
            priority: 0,
            window: None,
        };
        manifest.check().unwrap();
        Self {
            plan: Arc::new(Plan::new(manifest)),
            steps: vec![],
            keys: BTreeMap::new(),
            logs: BTreeMap::new(),
            cast: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        }
    }

    // Places.

    /// The slot of a batch of the first stage.
    pub(crate) fn batch(&self, batch: u32) -> Slot {
        let units = self.plan.units_root(0, batch, None).unwrap();
        Slot { stage: 0, about: About::Batch(batch), units }
    }

    /// The number of unit `i` of a batch.
    pub(crate) fn number(&self, batch: u32, i: usize) -> u64 {
        self.plan.partition(0).units_of(batch).start + i as u64
    }

    /// The slot of ballots on unit `i` of a batch.
    pub(crate) fn unit(&self, batch: u32, i: usize) -> Slot {
        let unit = self.number(batch, i);
        let units = self.plan.unit_root(0, unit, None).unwrap();
        Slot { stage: 0, about: About::Unit(unit), units }
    }

    /// The right outcomes of a batch.
    pub(crate) fn truth(&self, batch: u32) -> Vec<Hash> {
        self.lie(batch, "", &[])
    }

    pub(crate) fn true_outcome(&self, batch: u32, i: usize) -> Hash {
        digest(&format!("{} {batch}/{i}", self.plan.manifest().nonce))
    }

    /// Outcomes of a batch that are wrong `at` some units, alike for all who share the `tale`.
    pub(crate) fn lie(&self, batch: u32, tale: &str, at: &[usize]) -> Vec<Hash> {
        let units = self.plan.partition(0).units_of(batch).count();
        let outcome = |i| match at.contains(&i) {
            true => digest(&format!("{} lie {tale} {batch}/{i}", self.plan.manifest().nonce)),
            false => self.true_outcome(batch, i),
        };
        (0..units).map(outcome).collect()
    }

    // What peers do.

    /// Signs the next step of somebody's log.
    pub(crate) fn emit(&mut self, who: &str, items: Vec<Item>) -> Signed<Step> {
        let (seq, prev) = self.head(who);
        let step = self.sign(who, seq, prev, items);
        self.logs.insert(who.to_owned(), (seq + 1, step.id()));
        self.steps.push(step.clone());
        step
    }

    pub(crate) fn head(&self, who: &str) -> (u64, StepId) {
        self.logs.get(who).copied().unwrap_or((0, StepId::new([0; 32])))
    }

    /// Signs a step that is in nobody's log.
    pub(crate) fn sign(
        &mut self,
        who: &str,
        seq: u64,
        prev: StepId,
        items: Vec<Item>,
    ) -> Signed<Step> {
        let job = self.plan.manifest().job();
        let key = self.keys.entry(who.to_owned()).or_insert_with(|| key(who));
        let step = Step { job, shard: 0, seq, prev, level: 0, stamp: None, report: None, items };
        step.check().unwrap();
        key.sign(network(), step)
    }

    pub(crate) fn proof(&self, slot: &Slot, who: &str, trace: Hash) -> Hash {
        proof(network(), self.plan.manifest().job(), slot, self.id(who), trace)
    }

    fn id(&self, who: &str) -> PeerId {
        self.keys.get(who).map_or_else(|| peer(who), Keypair::peer)
    }

    pub(crate) fn vote_item(&self, who: &str, slot: Slot, root: Hash, trace: Hash) -> Item {
        let seal = seal(self.proof(&slot, who, trace));
        Item::Vote(Vote { slot, root, seal, pack: None, path: vec![] })
    }

    pub(crate) fn vote(&mut self, who: &str, slot: Slot, root: Hash, trace: Hash) {
        self.cast.entry((who.to_owned(), slot)).or_insert((root, trace));
        let item = self.vote_item(who, slot, root, trace);
        self.emit(who, vec![item]);
    }

    /// What an executor does: checks the seals of its co-voters and publishes the proofs that fit.
    pub(crate) fn confirm(&mut self, who: &str, slot: Slot) {
        let (root, trace) = self.cast[&(who.to_owned(), slot)];
        let same = self
            .cast
            .iter()
            .filter(|((peer, at), cast)| peer != who && *at == slot && **cast == (root, trace));
        let proofs: Vec<Shown> = same
            .map(|((peer, _), _)| Shown {
                voter: self.id(peer),
                proof: self.proof(&slot, peer, trace),
            })
            .collect();
        if !proofs.is_empty() {
            self.emit(who, vec![Item::Certificate(Certificate { slot, root, proofs })]);
        }
    }

    /// A batch's voter, who knows each unit's trace, publishes the proof of an auditor's ballot.
    pub(crate) fn vouch(&mut self, who: &str, slot: Slot, auditor: &str, outcome: Hash) {
        let proof = self.proof(&slot, auditor, hash("trace", &[outcome.as_bytes()]));
        let proofs = vec![Shown { voter: self.id(auditor), proof }];
        self.emit(who, vec![Item::Certificate(Certificate { slot, root: outcome, proofs })]);
    }

    /// Votes of some peers on the same outcomes of a batch, joined.
    pub(crate) fn execute(&mut self, batch: u32, who: &[&str], outcomes: &[Hash]) {
        let trace = hash("trace", &[merkle_root(outcomes).as_bytes()]);
        self.state(batch, who, outcomes, trace);
    }

    /// As [`World::execute`], with a trace root of their own.
    pub(crate) fn state(&mut self, batch: u32, who: &[&str], outcomes: &[Hash], trace: Hash) {
        let slot = self.batch(batch);
        let root = self.know(outcomes);
        for peer in who {
            self.vote(peer, slot, root, trace);
        }
        for peer in who {
            self.confirm(peer, slot);
        }
    }

    /// Notes what is under a root, for [`World::at`].
    pub(crate) fn know(&mut self, outcomes: &[Hash]) -> Hash {
        let root = merkle_root(outcomes);
        self.outcomes.insert(root, outcomes.to_vec());
        root
    }

    pub(crate) fn post_leaves(&mut self, who: &str, batch: u32, outcomes: &[Hash]) {
        let slot = self.batch(batch);
        let root = self.know(outcomes);
        let leaves = Leaves { slot, root, digests: outcomes.to_vec() };
        self.emit(who, vec![Item::Leaves(leaves)]);
    }

    /// Ballots of peers that executed unit `i` and found `outcome`, each confirmed by the others.
    pub(crate) fn ballots(&mut self, batch: u32, i: usize, who: &[&str], outcome: Hash) {
        let slot = self.unit(batch, i);
        for peer in who {
            self.vote(peer, slot, outcome, hash("trace", &[outcome.as_bytes()]));
        }
        for peer in who {
            self.confirm(peer, slot);
        }
    }

    /// A ballot that nobody vouches for.
    pub(crate) fn lone_ballot(&mut self, batch: u32, i: usize, who: &str, outcome: Hash) {
        let slot = self.unit(batch, i);
        self.vote(who, slot, outcome, digest(who));
    }

    /// A ballot with the way from its outcome to the root of `outcomes`.
    pub(crate) fn ballot_with_path(&mut self, batch: u32, i: usize, who: &str, outcomes: &[Hash]) {
        let slot = self.unit(batch, i);
        let trace = hash("trace", &[outcomes[i].as_bytes()]);
        self.cast.entry((who.to_owned(), slot)).or_insert((outcomes[i], trace));
        let seal = seal(self.proof(&slot, who, trace));
        let path = merkle_path(outcomes, i);
        let vote = Vote { slot, root: outcomes[i], seal, pack: None, path };
        self.emit(who, vec![Item::Vote(vote)]);
    }

    pub(crate) fn abstain(&mut self, who: &str, batch: u32, i: usize, reason: Reason) {
        let (slot, unit) = (self.batch(batch), self.number(batch, i));
        self.emit(who, vec![Item::Abstention(Abstention { slot, unit, reason })]);
    }

    // What follows.

    pub(crate) fn ledger(&self, steps: &[Signed<Step>]) -> Ledger {
        let mut ledger = Ledger::new(self.plan.clone());
        for step in steps {
            ledger.insert(step.clone()).unwrap();
        }
        ledger
    }

    /// The verdict of somebody who reads these steps at once.
    pub(crate) fn judge(&self, steps: &[Signed<Step>]) -> Verdict {
        self.ledger(steps).verdict().clone()
    }

    /// The verdict on everything that was said.
    pub(crate) fn verdict(&self) -> Verdict {
        self.judge(&self.steps)
    }

    /// What the verdict says about unit `i` of a batch of the first stage.
    pub(crate) fn at(&self, verdict: &Verdict, batch: u32, i: usize) -> State {
        let of = verdict.batch(0, batch);
        let leaf = |root: &Hash| match self.outcomes.get(root) {
            Some(outcomes) => outcomes[i],
            None => hash("unknown leaf", &[root.as_bytes(), &i.to_le_bytes()]),
        };
        match (of.units.get(&self.number(batch, i)), &of.standing) {
            (Some(UnitVerdict::Decided(digest)), _) => State::Decided(*digest),
            (Some(UnitVerdict::Contested), _) => State::Contested,
            (Some(UnitVerdict::Accepted(digest)), _) => State::Accepted(*digest),
            (None, Standing::Quorum { root, .. }) => State::Accepted(leaf(root)),
            (None, Standing::SelfExecuted { .. }) => State::SelfExecuted,
            (None, Standing::Open) => State::Open,
        }
    }

    /// Every unit of the first batches in which something is said.
    pub(crate) fn all(&self, verdict: &Verdict, batches: u32) -> Vec<State> {
        let units = (0..batches).flat_map(|batch| (0..BATCH).map(move |i| (batch, i)));
        units.map(|(batch, i)| self.at(verdict, batch, i)).collect()
    }

    /// How many units have an outcome that nobody questions.
    pub(crate) fn settled(&self, verdict: &Verdict, batches: u32) -> usize {
        let settled = |state: &State| matches!(state, State::Accepted(_) | State::Decided(_));
        self.all(verdict, batches).iter().filter(|state| settled(state)).count()
    }

    pub(crate) fn contested(&self, verdict: &Verdict, batches: u32) -> usize {
        self.all(verdict, batches).iter().filter(|state| **state == State::Contested).count()
    }

    /// Everybody who stated each outcome of each unit of the first stage, on a batch or a unit.
    pub(crate) fn statements(
        &self,
        steps: &[Signed<Step>],
    ) -> BTreeMap<(u64, Hash), BTreeSet<PeerId>> {
        let mut said: BTreeMap<(u64, Hash), BTreeSet<PeerId>> = BTreeMap::new();
        for step in steps {
            for item in &step.value().items {
                let Item::Vote(vote) = item else { continue };
                let stated = match vote.slot.about {
                    About::Batch(batch) => {
                        let units = self.plan.partition(0).units_of(batch);
                        let outcomes = self.outcomes.get(&vote.root).cloned().unwrap_or_default();
                        units.zip(outcomes).collect()
                    }
                    About::Unit(unit) => vec![(unit, vote.root)],
                };
                for key in stated {
                    said.entry(key).or_default().insert(step.author());
                }
            }
        }
        said
    }
}

/// Names of those who were found out.
pub(crate) fn guilty(verdict: &Verdict) -> BTreeSet<PeerId> {
    verdict.convicted.keys().chain(&verdict.equivocators).copied().collect()
}
