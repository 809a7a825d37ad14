//! Places that can be voted on, and the truth about them: what honest execution gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{
    About, BlobRef, Cost, Execution, Exit, Gathered, Hash, Outcome, Plan, Roots, Slot, hash,
    merkle_root,
};

/// A slot, the units that it is about, and what is true of them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) slot: Slot,
    pub(crate) units: Vec<Hash>,
    /// The digests of the right outcomes.
    pub(crate) right: Vec<Hash>,
    /// The root that is right.
    pub(crate) truth: Hash,
    /// The trace root of who has executed the units.
    pub(crate) trace: Hash,
}

/// Places of one job, each worked out once.
#[derive(Debug)]
pub(crate) struct Places {
    plan: Arc<Plan>,
    known: BTreeMap<(u16, About, Option<Hash>), Place>,
}

impl Places {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        Self { plan, known: BTreeMap::new() }
    }

    /// A batch or unit of a stage where these roots stand; `None` while what it reads has none.
    pub(crate) fn at(&mut self, stage: u16, about: About, roots: &impl Roots) -> Option<Place> {
        let units = match about {
            About::Batch(batch) => self.plan.partition(stage).units_of(batch),
            About::Unit(unit) => unit..unit + 1,
        };
        let gathered = self.plan.gathered(stage, units, roots);
        let key = (stage, about, gathered.map(|gathered| gathered.root));
        if let Some(place) = self.known.get(&key) {
            return Some(place.clone());
        }
        let place = Place::new(&self.plan, stage, about, (gathered, roots))?;
        self.known.insert(key, place.clone());
        Some(place)
    }

    /// The place of a slot, if it is one that was worked out here.
    pub(crate) fn of(&self, slot: &Slot) -> Option<&Place> {
        self.known.values().find(|place| place.slot == *slot)
    }

    pub(crate) fn all(&self) -> Vec<Place> {
        self.known.values().cloned().collect()
    }
}

impl Place {
    fn new(
        plan: &Plan,
        stage: u16,
        about: About,
        (gathered, roots): (Option<Gathered>, &impl Roots),
    ) -> Option<Self> {
        let hash_of =
            |unit: u64| plan.unit_hash(stage, unit, plan.gathered(stage, unit..unit + 1, roots));
        let (units, named) = match about {
            About::Batch(batch) => {
                let units = plan.partition(stage).units_of(batch).map(hash_of);
                (units.collect::<Option<Vec<_>>>()?, plan.units_root(stage, batch, gathered)?)
            }
            About::Unit(unit) => (vec![hash_of(unit)?], plan.unit_root(stage, unit, gathered)?),
        };
        let executed: Vec<Execution> = units.iter().map(execution_of).collect();
        let right: Vec<Hash> = executed.iter().map(|e| e.outcome.digest()).collect();
        let traces: Vec<Hash> = executed.iter().map(|e| e.trace).collect();
        Some(Self {
            slot: Slot { stage, about, units: named },
            truth: top(about, &right),
            trace: top(about, &traces),
            units,
            right,
        })
    }

    /// The outcomes of units that are wrong in a tale's way.
    pub(crate) fn told(&self, tale: Tale) -> Vec<Hash> {
        let digest = |(unit, right): (&Hash, &Hash)| match tale.lies_about(unit) {
            true => hash("tale", &[&[tale.0], unit.as_bytes()]),
            false => *right,
        };
        self.units.iter().zip(&self.right).map(digest).collect()
    }
}

/// A wrong story about a batch; the even ones are wrong about half of the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tale(pub(crate) u8);

impl Tale {
    fn lies_about(self, unit: &Hash) -> bool {
        self.0 % 2 == 1 || unit.as_bytes()[0] < 128
    }
}

/// What names several hashes: their Merkle root, and of a single unit the hash itself.
pub(crate) fn top(about: About, hashes: &[Hash]) -> Hash {
    match about {
        About::Batch(_) => merkle_root(hashes),
        About::Unit(_) => hashes[0],
    }
}

/// What every honest execution of a unit gives.
pub(crate) fn execution_of(unit: &Hash) -> Execution {
    let said = hash("said", &[unit.as_bytes()]);
    let (stdout, out) = (BlobRef::of(said.as_bytes()), BlobRef::of(b""));
    let outcome = Outcome::Exit(Exit { code: 0, stdout, out });
    Execution { outcome, trace: hash("trace", &[unit.as_bytes()]), cost: Cost::default() }
}
