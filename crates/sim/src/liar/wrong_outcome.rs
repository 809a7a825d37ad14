//! Says of some units that they gave something that nobody else will say.

use protocol::{Hash, hash};

use super::part::{Part, Ran, Task};
use crate::chance::Chance;
use crate::truth::execution;

#[derive(Debug)]
pub(super) struct WrongOutcome {
    chance: Chance,
}

impl WrongOutcome {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance }
    }
}

impl Part for WrongOutcome {
    fn ran(&mut self, task: &Task, ran: Ran, forged: &mut Vec<Vec<u8>>) -> Ran {
        if !self.chance.percent(40) {
            return ran;
        }
        Ok(lie(task, &self.chance.next().to_le_bytes(), forged))
    }
}

/// An execution that never was; equal for equal flavours.
pub(super) fn lie(task: &Task, flavour: &[u8], forged: &mut Vec<Vec<u8>>) -> protocol::Execution {
    let id: Hash = task.id();
    let stdout = hash("lie", &[id.as_bytes(), flavour]);
    let (execution, said) = execution(0, stdout, hash("lie's trace", &[stdout.as_bytes()]));
    forged.push(said);
    execution
}
