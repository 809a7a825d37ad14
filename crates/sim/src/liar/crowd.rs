//! A crowd: many identities of one owner that do next to nothing. A few cast one junk vote each, to be counted
//! among those who might still speak; a flood of them drives out the logs of others.

use std::collections::BTreeSet;

use engine::Effect;
use protocol::{
    About, Abstention, Item, JobId, Message, NetworkId, PeerId, Reason, Signed, Slot, Step, Vote,
    hash,
};

use super::gang::Gang;
use super::part::{Part, Ran, Task};
use super::puppet::Puppet;

/// Identities of a flood: some more than a node keeps logs.
const FLOOD: u64 = protocol::limits::HEADS_MAX as u64 + 600;
/// Steps of one message.
const AT_ONCE: usize = 256;

#[derive(Debug)]
pub(super) struct Crowd {
    network: NetworkId,
    me: PeerId,
    size: u64,
    is_flood: bool,
    task: Option<Task>,
    done: BTreeSet<JobId>,
}

impl Crowd {
    /// Identities that each cast one junk vote.
    pub(super) fn of_idlers(network: NetworkId, me: PeerId, gang: &Gang) -> Self {
        let size = gang.identities as u64;
        Self { network, me, size, is_flood: false, task: None, done: BTreeSet::new() }
    }

    /// More identities than a job has room for.
    pub(super) fn of_strangers(network: NetworkId, me: PeerId) -> Self {
        Self { network, me, size: FLOOD, is_flood: true, task: None, done: BTreeSet::new() }
    }

    fn step(&self, task: &Task, number: u64) -> Option<Signed<Step>> {
        let partition = task.plan.partition(0);
        let mut puppet = Puppet::new(self.network, task.job, self.me, number);
        let batch = (number % u64::from(partition.batches())) as u32;
        let units = task.plan.units_root(0, batch, None).filter(|_| !self.is_flood);
        let item = match units {
            None => {
                let slot = Slot { stage: 0, about: About::Batch(0), units: hash("nothing", &[]) };
                Item::Abstention(Abstention { slot, unit: 0, reason: Reason::Refused })
            }
            Some(units) => {
                let slot = Slot { stage: 0, about: About::Batch(batch), units };
                let (root, seal) = (hash("idle", &[&number.to_le_bytes()]), hash("no seal", &[]));
                Item::Vote(Vote { slot, root, seal, pack: None, path: Vec::new() })
            }
        };
        Some(puppet.say(vec![item]))
    }
}

impl Part for Crowd {
    fn ran(&mut self, task: &Task, ran: Ran, _forged: &mut Vec<Vec<u8>>) -> Ran {
        self.task = Some(task.clone());
        ran
    }

    fn adds(&mut self, effect: &Effect) -> Vec<Effect> {
        let Effect::Broadcast { job, .. } = *effect else { return Vec::new() };
        let Some(task) = self.task.clone().filter(|task| task.job == job) else {
            return Vec::new();
        };
        if !self.done.insert(job) {
            return Vec::new();
        }
        let steps: Vec<_> = (0..self.size).filter_map(|number| self.step(&task, number)).collect();
        let message = |steps: &[Signed<Step>]| Message::Steps(steps.to_vec());
        let messages = steps.chunks(AT_ONCE).map(message);
        messages.map(|message| Effect::Broadcast { job, message }).collect()
    }
}
