//! What an engine promises whatever happens to it.

use std::collections::BTreeMap;

use engine::{Engine, JobView};
use protocol::limits::MESSAGE_BYTES_MAX;
use protocol::{Hash, Item, JobId, Message, PeerId, Plan, Signed, Slot, Step, StepId};

use crate::setup::network;

/// Everything that we ever said, over all lives of the engine.
#[derive(Debug)]
pub(crate) struct Watch {
    me: PeerId,
    steps: BTreeMap<(JobId, u64), StepId>,
    votes: BTreeMap<(JobId, Slot), Hash>,
}

type Journal = BTreeMap<Vec<u8>, Vec<u8>>;

impl Watch {
    pub(crate) fn new(me: PeerId) -> Self {
        Self { me, steps: BTreeMap::new(), votes: BTreeMap::new() }
    }

    /// Looks at what is about to be sent; returns our own steps that are new.
    pub(crate) fn speaks(&mut self, message: &Message, journal: &Journal) -> Vec<Signed<Step>> {
        let is_mine = |step: &&Signed<Step>| step.author() == self.me;
        match message {
            Message::Steps(steps) => {
                assert!(message.to_bytes().len() <= MESSAGE_BYTES_MAX, "a message is too long");
                let mine: Vec<Signed<Step>> = steps.iter().filter(is_mine).cloned().collect();
                mine.into_iter().filter(|step| self.says(step, journal)).collect()
            }
            Message::Heads(heads) => {
                let own = heads.heads.iter().find(|head| head.author == self.me);
                assert!(
                    own.is_none_or(|head| holds(journal, head.last)),
                    "a head of the unrecorded"
                );
                readable(message);
                vec![]
            }
            Message::Claim(claim) => {
                assert!(claim.value().is_well_formed(), "a claim that others refuse");
                vec![]
            }
            Message::Hello(_)
            | Message::Jobs(_)
            | Message::WantJobs(_)
            | Message::Keep(_)
            | Message::Kept(_) => {
                readable(message);
                vec![]
            }
            Message::Announce(_) => vec![],
        }
    }

    /// **Recorded before sent**, and **no equivocation**; whether it is said for the first time.
    fn says(&mut self, step: &Signed<Step>, journal: &Journal) -> bool {
        let Step { job, seq, ref items, .. } = *step.value();
        assert!(holds(journal, step.id()), "step {seq} was sent before it was recorded");
        assert_eq!(step.value().check(), Ok(()), "a step that others refuse");
        let before = self.steps.insert((job, seq), step.id());
        assert!(before.is_none_or(|id| id == step.id()), "two different steps have number {seq}");
        for item in items {
            let Item::Vote(vote) = item else { continue };
            let before = self.votes.insert((job, vote.slot), vote.root);
            assert!(before.is_none_or(|root| root == vote.root), "two votes in {:?}", vote.slot);
        }
        before.is_none()
    }

    /// **Progress adds up**, and results are whole.
    pub(crate) fn views(&self, engine: &Engine) {
        for view in engine.jobs() {
            adds_up(&view);
            let Some(results) = engine.results(view.job) else { continue };
            let manifest = engine.manifest(view.job).expect("a job with results has a manifest");
            let plan = Plan::new(manifest.clone());
            for number in plan.stages().filter(|number| !plan.is_read(*number)) {
                let mut next = 0;
                for result in results.iter().filter(|result| result.stage == number) {
                    assert_eq!(result.first_unit, next, "results with a hole");
                    next += result.units;
                }
                let units = plan.partition(number).units();
                assert_eq!(next, units, "results of too few units");
            }
        }
    }
}

fn adds_up(view: &JobView) {
    for stage in &view.stages {
        let sum =
            stage.open + stage.running + stage.self_executed + stage.accepted + stage.contested;
        assert_eq!(sum, stage.units, "{stage:?} does not add up");
        let with_outcome = stage.units - stage.open - stage.running;
        assert!(stage.finals + stage.sealed <= with_outcome, "{stage:?} is surer than it is done");
    }
}

fn holds(journal: &Journal, step: StepId) -> bool {
    journal.keys().any(|key| key.ends_with(step.as_bytes()))
}

fn readable(message: &Message) {
    let bytes = message.to_bytes();
    assert_eq!(Message::open(&bytes, network()).as_ref(), Ok(message), "it reads differently");
}
