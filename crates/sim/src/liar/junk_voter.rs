//! Votes for nonsense on batches, and contests single units with more of it.

use std::sync::Arc;

use protocol::{About, Hash, Item, JobId, Plan, Slot, Vote, hash};

use super::part::{Part, Ran, Task};
use super::wrong_outcome::lie;
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct JunkVoter {
    chance: Chance,
    plan: Option<(JobId, Arc<Plan>)>,
}

impl JunkVoter {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance, plan: None }
    }
}

impl Part for JunkVoter {
    fn writes(&self) -> bool {
        true
    }

    fn ran(&mut self, task: &Task, ran: Ran, forged: &mut Vec<Vec<u8>>) -> Ran {
        self.plan = Some((task.job, task.plan.clone()));
        let junk = self.chance.next();
        if junk.is_multiple_of(4) { ran } else { Ok(lie(task, &junk.to_le_bytes(), forged)) }
    }

    fn write(&mut self, job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        if let Some((of, plan)) = &self.plan
            && *of == job
        {
            let unit = self.chance.below(plan.partition(0).units());
            if let Some(units) = plan.unit_root(0, unit, None) {
                let slot = Slot { stage: 0, about: About::Unit(unit), units };
                items.push(ballot(slot, hash("junk", &[&self.chance.next().to_le_bytes()])));
            }
        }
        items
    }
}

/// A ballot with a seal that nothing opens.
pub(super) fn ballot(slot: Slot, root: Hash) -> Item {
    let seal = hash("no seal", &[root.as_bytes()]);
    Item::Vote(Vote { slot, root, seal, pack: None, path: Vec::new() })
}
