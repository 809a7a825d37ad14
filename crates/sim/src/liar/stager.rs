//! A malicious submitter: it stages a job of its own, in which puppets lie and its word as an anchor frames
//! whoever has worked honestly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::{Effect, Event};
use protocol::{About, Item, JobId, Message, PeerId, Plan, Slot, hash};

use super::junk_voter::ballot;
use super::part::Part;
use super::swarm::Swarm;

#[derive(Debug)]
pub(super) struct Stager {
    swarm: Swarm,
    own: BTreeMap<JobId, Arc<Plan>>,
    /// Units of batches that somebody has voted on.
    voted: BTreeSet<(JobId, u64)>,
}

impl Stager {
    pub(super) fn new(swarm: Swarm) -> Self {
        Self { swarm, own: BTreeMap::new(), voted: BTreeSet::new() }
    }
}

impl Part for Stager {
    fn writes(&self) -> bool {
        true
    }

    fn told(&mut self, event: &Event) {
        if let Event::Submit { manifest, .. } = event {
            let plan = Plan::new(manifest.clone());
            if plan.missing_parts().is_empty() {
                let plan = Arc::new(plan);
                self.swarm.join(&plan);
                self.own.insert(manifest.job(), plan);
            }
        }
    }

    fn heard(&mut self, from: PeerId, message: &Message) {
        self.swarm.heard(from, message);
        let Message::Steps(steps) = message else { return };
        for step in steps {
            let Some(plan) = self.own.get(&step.value().job) else { continue };
            for item in &step.value().items {
                if let Item::Vote(vote) = item
                    && let (0, About::Batch(batch)) = (vote.slot.stage, vote.slot.about)
                    && batch < plan.partition(0).batches()
                {
                    let units = plan.partition(0).units_of(batch);
                    self.voted.extend(units.take(2).map(|unit| (step.value().job, unit)));
                }
            }
        }
    }

    fn write(&mut self, job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        let Some(plan) = self.own.get(&job) else { return items };
        let framed: Vec<(JobId, u64)> =
            self.voted.iter().filter(|(of, _)| *of == job).take(40).copied().collect();
        for (job, unit) in framed {
            self.voted.remove(&(job, unit));
            if let Some(units) = plan.unit_root(0, unit, None) {
                let slot = Slot { stage: 0, about: About::Unit(unit), units };
                items.push(ballot(slot, hash("framed", &[units.as_bytes()])));
            }
        }
        items
    }

    fn adds(&mut self, effect: &Effect) -> Vec<Effect> {
        // Whatever it does, for instance reconciling, moves the play along.
        let job = if let Effect::Broadcast { job, .. } = effect {
            Some(*job)
        } else if let Effect::Send { message: Message::Heads(heads), .. } = effect {
            Some(heads.job)
        } else {
            None
        };
        let Some(job) = job.filter(|job| self.own.contains_key(job)) else { return Vec::new() };
        let said = self.swarm.attack(job);
        said.into_iter().map(|message| Effect::Broadcast { job, message }).collect()
    }
}
