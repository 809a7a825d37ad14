//! Votes and then keeps something back: certificates, leaves, or the outputs themselves.

use protocol::{Item, JobId};

use super::gang::Gang;
use super::part::{Part, Ran, Task};

#[derive(Debug, Default)]
pub(super) struct Withholder {
    certificates: bool,
    leaves: bool,
    outputs: bool,
    /// Those who hide leaves have something to hide.
    lies: Option<Gang>,
}

impl Withholder {
    /// Neither certificates nor leaves.
    pub(super) fn of_words() -> Self {
        Self { certificates: true, leaves: true, ..Self::default() }
    }

    pub(super) fn of_certificates() -> Self {
        Self { certificates: true, ..Self::default() }
    }

    /// Lies with its gang, and posts no leaves that would convict them.
    pub(super) fn of_leaves(gang: Gang) -> Self {
        Self { leaves: true, lies: Some(gang), ..Self::default() }
    }

    /// Votes rightly and gives nobody what it has computed.
    pub(super) fn of_outputs() -> Self {
        Self { outputs: true, ..Self::default() }
    }
}

impl Part for Withholder {
    fn writes(&self) -> bool {
        true
    }

    fn serves(&self) -> bool {
        !self.outputs
    }

    fn ran(&mut self, task: &Task, ran: Ran, forged: &mut Vec<Vec<u8>>) -> Ran {
        let gang = self.lies.as_ref();
        match gang.filter(|gang| gang.would_lie(&task.plan, task.stage, task.batch())) {
            Some(gang) => Ok(gang.lie(task, forged)),
            None => ran,
        }
    }

    fn write(&mut self, _job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        items.retain(|item| match item {
            Item::Certificate(_) => !self.certificates,
            Item::Leaves(_) => !self.leaves,
            Item::Vote(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => true,
        });
        items
    }
}
