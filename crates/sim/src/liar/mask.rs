//! The mask: stands between a liar's engine and its shell.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Effect, Event, Reads, RunId};
use protocol::{Hash, JobId, Keypair, Message, NetworkId, PeerId, Plan, Signed, Step};

use super::part::{Part, Task};
use super::pen::Pen;
use super::{cast, gang::Gang};
use crate::chance::Chance;
use crate::liars::LiarKind;

/// Turns an honest engine into a liar: every event on its way in and every effect on its way out
/// passes through here.
#[derive(Debug)]
pub struct Mask {
    me: PeerId,
    part: Box<dyn Part>,
    pen: Pen,
    runs: BTreeMap<RunId, Run>,
    forged: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Run {
    job: JobId,
    plan: Arc<Plan>,
    stage: u16,
    reads: Arc<Reads>,
}

impl Mask {
    /// A liar with this key. `flavour` is what a coalition's members share; `seed` is its own.
    pub fn new(
        kind: LiarKind,
        keypair: Keypair,
        network: NetworkId,
        flavour: Hash,
        seed: u64,
    ) -> Self {
        Self::among(kind, keypair, network, Gang::alone(flavour), seed)
    }

    /// A liar that knows its gang.
    pub fn among(
        kind: LiarKind,
        keypair: Keypair,
        network: NetworkId,
        gang: Gang,
        seed: u64,
    ) -> Self {
        let me = keypair.peer();
        let part = cast::cast(kind, &keypair, network, gang, Chance::fork(seed, "liar", 0));
        let pen = Pen::new(keypair, network);
        Self { me, part, pen, runs: BTreeMap::new(), forged: Vec::new() }
    }

    /// Whether it gives others the outputs that it holds.
    pub fn serves(&self) -> bool {
        self.part.serves()
    }

    /// What the engine is told instead of `event`.
    pub fn event(&mut self, event: Event) -> Event {
        self.part.told(&event);
        match event {
            Event::Heard { from, message, receipt } => {
                self.part.heard(from, &message);
                Event::Heard { from, message: self.inward(message), receipt }
            }
            Event::Ran { run, units } => match self.runs.get(&run) {
                Some(known) => {
                    let (part, forged) = (&mut self.part, &mut self.forged);
                    let units = units
                        .into_iter()
                        .map(|(unit, ran)| (unit, part.ran(&known.task(unit), ran, forged)));
                    Event::Ran { run, units: units.collect() }
                }
                None => Event::Ran { run, units },
            },
            Event::Resumed { .. }
            | Event::Submit { .. }
            | Event::Stamped { .. }
            | Event::Open { .. }
            | Event::Cancel { .. }
            | Event::Work { .. }
            | Event::PeerUp { .. }
            | Event::PeerDown { .. }
            | Event::Recorded { .. }
            | Event::Fetched { .. }
            | Event::Packed { .. }
            | Event::Probed { .. }
            | Event::Recalled { .. }
            | Event::Tick => event,
        }
    }

    /// What the shell is asked to do instead of `effect`.
    pub fn effect(&mut self, effect: Effect) -> Vec<Effect> {
        let mut added = self.part.adds(&effect);
        let effects = match effect {
            Effect::Run { run, job, plan, stage, units, reads } => {
                let own = Run { job, plan: plan.clone(), stage, reads: reads.clone() };
                self.runs.insert(run, own);
                let runs = self.part.runs();
                let effect = Effect::Run { run, job, plan, stage, units, reads };
                runs.then_some(effect).into_iter().collect()
            }
            Effect::Send { to, message } => self
                .outward(message)
                .into_iter()
                .map(|message| Effect::Send { to, message })
                .collect(),
            Effect::Broadcast { job, message } => self
                .outward(message)
                .into_iter()
                .map(|message| Effect::Broadcast { job, message })
                .collect(),
            Effect::Announce { .. }
            | Effect::Record { .. }
            | Effect::Judge { .. }
            | Effect::Join { .. }
            | Effect::Leave { .. }
            | Effect::Provide { .. }
            | Effect::Seek { .. }
            | Effect::Fetch { .. }
            | Effect::Recall { .. }
            | Effect::Remember { .. }
            | Effect::Stop { .. }
            | Effect::Pack { .. }
            | Effect::Release { .. }
            | Effect::Probe { .. }
            | Effect::Changed { .. }
            | Effect::Forget { .. } => vec![effect],
        };
        added.splice(0..0, effects);
        added
    }

    /// Outputs that were made up since the last call; the shell stores them.
    pub fn forged(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.forged)
    }

    fn inward(&self, message: Message) -> Message {
        if !self.part.writes() {
            return message;
        }
        match message {
            Message::Steps(mut steps) => {
                steps.retain(|step| step.author() != self.me);
                Message::Steps(steps)
            }
            Message::Heads(mut heads) => {
                self.pen.inward(&mut heads);
                Message::Heads(heads)
            }
            Message::Hello(_)
            | Message::Announce(_)
            | Message::Jobs(_)
            | Message::WantJobs(_)
            | Message::Claim(_)
            | Message::Keep(_)
            | Message::Kept(_) => message,
        }
    }

    fn outward(&mut self, message: Message) -> Option<Message> {
        if !self.part.writes() {
            return Some(message);
        }
        match message {
            Message::Steps(steps) => {
                let steps = self.rewrite(steps);
                (!steps.is_empty()).then_some(Message::Steps(steps))
            }
            Message::Heads(mut heads) => {
                self.pen.outward(&mut heads);
                Some(Message::Heads(heads))
            }
            Message::Hello(_)
            | Message::Announce(_)
            | Message::Jobs(_)
            | Message::WantJobs(_)
            | Message::Claim(_)
            | Message::Keep(_)
            | Message::Kept(_) => Some(message),
        }
    }

    fn rewrite(&mut self, steps: Vec<Signed<Step>>) -> Vec<Signed<Step>> {
        let (me, pen, part) = (self.me, &mut self.pen, &mut self.part);
        let new = steps.into_iter().flat_map(|step| {
            if step.author() == me { pen.rewrite(&step, part.as_mut()) } else { vec![step] }
        });
        new.collect()
    }
}

impl Run {
    fn task(&self, unit: u64) -> Task {
        let Self { job, ref plan, stage, ref reads } = *self;
        let gathered = reads.gathered(plan, stage, unit);
        Task { job, plan: plan.clone(), stage, unit, gathered }
    }
}
