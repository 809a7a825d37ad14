//! Members of a coalition say the same wrong thing about the same units, with the same traces: each
//! one's engine finds the others' seals good and certifies them.

use protocol::{Hash, hash};

use super::part::{Part, Ran, Task};
use super::wrong_outcome::lie;

#[derive(Debug)]
pub(super) struct Coalition {
    flavour: Hash,
}

impl Coalition {
    pub(super) fn new(flavour: Hash) -> Self {
        Self { flavour }
    }
}

impl Part for Coalition {
    fn ran(&mut self, task: &Task, ran: Ran, forged: &mut Vec<Vec<u8>>) -> Ran {
        let coin = hash("coin", &[self.flavour.as_bytes(), task.id().as_bytes()]);
        if coin.as_bytes()[0] < 100 { Ok(lie(task, self.flavour.as_bytes(), forged)) } else { ran }
    }
}
