//! The pen: writes a log of its own in place of the engine's, and keeps the two apart.

use std::collections::BTreeMap;

use protocol::limits::STEP_ITEMS_MAX;
use protocol::{Head, Heads, JobId, Keypair, NetworkId, Signed, Step, StepId};

use super::part::Part;

/// A liar's logs, as the engine wrote them and as the world reads them.
#[derive(Debug)]
pub(super) struct Pen {
    keypair: Keypair,
    network: NetworkId,
    logs: BTreeMap<JobId, Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// Ids of the engine's own steps, in order.
    own: Vec<StepId>,
    /// How many steps had been written after each of the engine's own.
    lengths: Vec<usize>,
    written: Vec<Signed<Step>>,
    twins: BTreeMap<u64, Signed<Step>>,
}

impl Pen {
    pub(super) fn new(keypair: Keypair, network: NetworkId) -> Self {
        Self { keypair, network, logs: BTreeMap::new() }
    }

    /// What is said in place of one of the engine's own steps: nothing, a step, or a step and its twin.
    pub(super) fn rewrite(
        &mut self,
        step: &Signed<Step>,
        part: &mut dyn Part,
    ) -> Vec<Signed<Step>> {
        let Step { job, seq, .. } = *step.value();
        let log = self.logs.entry(job).or_default();
        if seq == log.own.len() as u64 {
            log.append(step, part, &self.keypair, self.network);
        }
        let Some(at) = usize::try_from(seq).ok().filter(|at| *at < log.own.len()) else {
            return Vec::new();
        };
        let before = at.checked_sub(1).map_or(0, |at| log.lengths[at]);
        let new = &log.written[before..log.lengths[at]];
        let twins = new.iter().filter_map(|step| log.twins.get(&step.value().seq));
        new.iter().chain(twins).cloned().collect()
    }

    /// The head as the world must see it; `None` if nothing was written.
    pub(super) fn outward(&self, heads: &mut Heads) {
        let (me, log) = (self.keypair.peer(), self.logs.get(&heads.job));
        heads
            .heads
            .retain_mut(|head| head.author != me || log.is_some_and(|log| log.outward(head)));
    }

    /// The head as the engine must see it, so that it never hears of steps which it did not write.
    pub(super) fn inward(&self, heads: &mut Heads) {
        let (me, log) = (self.keypair.peer(), self.logs.get(&heads.job));
        heads.heads.retain_mut(|head| head.author != me || log.is_some_and(|log| log.inward(head)));
        heads.forked.retain(|fork| fork.author != me);
    }
}

impl Log {
    fn append(
        &mut self,
        step: &Signed<Step>,
        part: &mut dyn Part,
        keypair: &Keypair,
        network: NetworkId,
    ) {
        let original = step.value();
        let mut items = part.write(original.job, original.items.clone());
        items.truncate(STEP_ITEMS_MAX);
        if !items.is_empty() {
            let seq = self.written.len() as u64;
            let prev = self.written.last().map_or(StepId::new([0; 32]), Signed::id);
            let report = original.report.clone();
            let mut new = Step {
                job: original.job,
                shard: 0,
                seq,
                prev,
                level: original.level,
                stamp: original.stamp,
                report,
                items,
            };
            let twin = part.twin(&new.items);
            self.written.push(keypair.sign(network, new.clone()));
            if let Some(items) = twin {
                new.items = items;
                self.twins.insert(seq, keypair.sign(network, new));
            }
        }
        self.own.push(step.id());
        self.lengths.push(self.written.len());
    }

    fn outward(&self, head: &mut Head) -> bool {
        let known = usize::try_from(head.next).ok().and_then(|next| next.checked_sub(1));
        let length = known.and_then(|at| self.lengths.get(at)).copied().unwrap_or(0);
        let Some(last) = length.checked_sub(1).map(|at| &self.written[at]) else { return false };
        (head.next, head.last) = (length as u64, last.id());
        true
    }

    fn inward(&self, head: &mut Head) -> bool {
        let Some(at) = self.lengths.iter().rposition(|length| *length as u64 <= head.next) else {
            return false;
        };
        (head.next, head.last) = (at as u64 + 1, self.own[at]);
        true
    }
}
