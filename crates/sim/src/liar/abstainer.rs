//! Says of half the units that they gave no outcome.

use protocol::Loss;

use super::part::{Part, Ran, Task};
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct Abstainer {
    chance: Chance,
}

impl Abstainer {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance }
    }
}

impl Part for Abstainer {
    fn ran(&mut self, _task: &Task, ran: Ran, _forged: &mut Vec<Vec<u8>>) -> Ran {
        if self.chance.percent(50) { Err(Loss::Timeout) } else { ran }
    }
}
