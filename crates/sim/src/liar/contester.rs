//! Says something wrong about a unit and then stands by it with a ballot.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Item, JobId, Slot};

use super::junk_voter::ballot;
use super::part::{Part, Ran, Task};
use super::wrong_outcome::lie;
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct Contester {
    chance: Chance,
    ballots: BTreeMap<JobId, Vec<Item>>,
    /// Where it has voted: it never contradicts itself.
    spoken: BTreeSet<(JobId, Slot)>,
}

impl Contester {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance, ballots: BTreeMap::new(), spoken: BTreeSet::new() }
    }
}

impl Part for Contester {
    fn writes(&self) -> bool {
        true
    }

    fn ran(&mut self, task: &Task, ran: Ran, forged: &mut Vec<Vec<u8>>) -> Ran {
        if !self.chance.percent(40) {
            return ran;
        }
        let lie = lie(task, &self.chance.next().to_le_bytes(), forged);
        self.ballots.entry(task.job).or_default().push(ballot(task.slot(), lie.outcome.digest()));
        Ok(lie)
    }

    fn write(&mut self, job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        let waiting = self.ballots.entry(job).or_default();
        items.extend(waiting.drain(..waiting.len().min(16)));
        items.retain(|item| match item {
            Item::Vote(vote) => self.spoken.insert((job, vote.slot)),
            Item::Certificate(_)
            | Item::Leaves(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => true,
        });
        items
    }
}
