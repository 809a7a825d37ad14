//! Earns a good name first: it is honest for some units, and lies with its gang from then on.

use super::gang::Gang;
use super::part::{Part, Ran, Task};

#[derive(Debug)]
pub(super) struct Sleeper {
    gang: Gang,
    executed: u64,
}

impl Sleeper {
    pub(super) fn new(gang: Gang) -> Self {
        Self { gang, executed: 0 }
    }
}

impl Part for Sleeper {
    fn ran(&mut self, task: &Task, ran: Ran, forged: &mut Vec<Vec<u8>>) -> Ran {
        self.executed += 1;
        let awake = self.gang.after < self.executed;
        let lies = awake && self.gang.would_lie(&task.plan, task.stage, task.batch());
        if lies { Ok(self.gang.lie(task, forged)) } else { ran }
    }
}
