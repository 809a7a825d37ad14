//! A patient coalition: it knows everybody's ranks, lies only where its members are the whole deciding set
//! of a batch, and whoever of them audits such a batch sees the same.

use super::gang::Gang;
use super::part::{Part, Ran, Task};

#[derive(Debug)]
pub(super) struct Patient {
    gang: Gang,
}

impl Patient {
    pub(super) fn new(gang: Gang) -> Self {
        Self { gang }
    }
}

impl Part for Patient {
    fn ran(&mut self, task: &Task, ran: Ran, forged: &mut Vec<Vec<u8>>) -> Ran {
        let batch = task.batch();
        let lies = self.gang.would_lie(&task.plan, task.stage, batch)
            && self.gang.holds(&task.plan, task.stage, batch);
        if lies { Ok(self.gang.lie(task, forged)) } else { ran }
    }
}
