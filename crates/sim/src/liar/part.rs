//! The part that a liar plays: where it may change what its honest engine hears, runs and says.

use std::fmt;
use std::sync::Arc;

use engine::{Effect, Event};
use protocol::{About, Execution, Gathered, Hash, Item, JobId, Loss, Message, PeerId, Plan, Slot};

/// A unit that the engine has ordered to run.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) job: JobId,
    pub(super) plan: Arc<Plan>,
    pub(super) stage: u16,
    pub(super) unit: u64,
    pub(super) gathered: Option<Gathered>,
}

/// What a run gave, or what a liar says that it gave.
pub(super) type Ran = Result<Execution, Loss>;

/// One way of lying; every method's default is honest.
pub(super) trait Part: fmt::Debug {
    /// Whether its steps are rewritten before they leave.
    fn writes(&self) -> bool {
        false
    }

    /// Whether a run is begun at all.
    fn runs(&mut self) -> bool {
        true
    }

    /// Whether it gives others the outputs that it holds.
    fn serves(&self) -> bool {
        true
    }

    /// Everything that its engine is told, before it is.
    fn told(&mut self, _event: &Event) {}

    /// Changes what a run gave; outputs that it invents are added to `forged`.
    fn ran(&mut self, _task: &Task, ran: Ran, _forged: &mut Vec<Vec<u8>>) -> Ran {
        ran
    }

    /// Changes what its next step says; a step that says nothing is not written.
    fn write(&mut self, _job: JobId, items: Vec<Item>) -> Vec<Item> {
        items
    }

    /// A second step under the same number.
    fn twin(&mut self, _items: &[Item]) -> Option<Vec<Item>> {
        None
    }

    fn heard(&mut self, _from: PeerId, _message: &Message) {}

    /// What it does besides, whenever its engine does something.
    fn adds(&mut self, _effect: &Effect) -> Vec<Effect> {
        Vec::new()
    }
}

impl Task {
    pub(super) fn batch(&self) -> u32 {
        self.plan.partition(self.stage).batch_of(self.unit)
    }

    /// What a ballot on the unit is about.
    pub(super) fn slot(&self) -> Slot {
        let units = self.plan.unit_root(self.stage, self.unit, self.gathered);
        let units = units.expect("a unit that runs can be derived");
        Slot { stage: self.stage, about: About::Unit(self.unit), units }
    }

    /// The unit's identity.
    pub(super) fn id(&self) -> Hash {
        let id = self.plan.unit_hash(self.stage, self.unit, self.gathered);
        id.expect("a unit that runs can be derived")
    }
}
