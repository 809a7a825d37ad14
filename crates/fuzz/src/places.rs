//! Places that can be voted on, and the truth about them: what honest execution gives.

use protocol::{
    About, BlobRef, Cost, Execution, Exit, Gathered, Hash, Outcome, Plan, Slot, hash, merkle_root,
};

/// A slot with the units that it is about.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) slot: Slot,
    pub(crate) units: Vec<Hash>,
}

impl Place {
    /// `None` while what the units are derived from is not known.
    pub(crate) fn new(
        plan: &Plan,
        stage: u16,
        about: About,
        gathered: Option<Gathered>,
    ) -> Option<Self> {
        let hash_of = |unit: u64| plan.unit_hash(stage, unit, gathered);
        let (units, named) = match about {
            About::Batch(batch) => {
                let units = plan.partition(stage).units_of(batch).map(hash_of);
                (units.collect::<Option<Vec<_>>>()?, plan.units_root(stage, batch, gathered)?)
            }
            About::Unit(unit) => (vec![hash_of(unit)?], hash_of(unit)?),
        };
        Some(Self { slot: Slot { stage, about, units: named }, units })
    }

    /// The outcomes of units that are wrong in `tale`'s way; without a tale they are right.
    pub(crate) fn digests(&self, tale: Option<Tale>) -> Vec<Hash> {
        let digest = |unit: &Hash| match tale {
            Some(tale) if tale.lies_about(unit) => hash("tale", &[&[tale.0], unit.as_bytes()]),
            Some(_) | None => execution_of(unit).outcome.digest(),
        };
        self.units.iter().map(digest).collect()
    }

    /// The root that is right.
    pub(crate) fn truth(&self) -> Hash {
        top(self.slot.about, &self.digests(None))
    }

    /// The trace root of who has executed the units.
    pub(crate) fn trace(&self) -> Hash {
        let traces: Vec<Hash> = self.units.iter().map(|unit| execution_of(unit).trace).collect();
        top(self.slot.about, &traces)
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
