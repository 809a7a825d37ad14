//! Works honestly, and contradicts itself once the job is over for it.

use engine::Effect;
use protocol::{Item, JobId, Keypair, Message, NetworkId, Signed, Step, Vote, hash};

use super::part::Part;
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct LateEquivocator {
    chance: Chance,
    keypair: Keypair,
    network: NetworkId,
    said: Vec<Signed<Step>>,
}

impl LateEquivocator {
    pub(super) fn new(chance: Chance, keypair: Keypair, network: NetworkId) -> Self {
        Self { chance, keypair, network, said: Vec::new() }
    }

    /// Another step under the number of one that was said long ago.
    fn twin(&mut self, job: JobId) -> Option<Signed<Step>> {
        let said: Vec<&Signed<Step>> =
            self.said.iter().filter(|step| step.value().job == job).collect();
        if said.is_empty() {
            return None;
        }
        let mut twin = self.chance.pick(&said).value().clone();
        for item in &mut twin.items {
            if let Item::Vote(vote) = item {
                let root = hash("another", &[vote.root.as_bytes()]);
                *vote = Vote { root, ..vote.clone() };
            }
        }
        twin.items.reverse();
        let twin = self.keypair.sign(self.network, twin);
        (!self.said.contains(&twin)).then_some(twin)
    }
}

impl Part for LateEquivocator {
    fn adds(&mut self, effect: &Effect) -> Vec<Effect> {
        match effect {
            Effect::Broadcast { message: Message::Steps(steps), .. } => {
                let me = self.keypair.peer();
                self.said.extend(steps.iter().filter(|step| step.author() == me).cloned());
                Vec::new()
            }
            Effect::Leave { job } => {
                let twin = self.twin(*job);
                let say =
                    |step| Effect::Broadcast { job: *job, message: Message::Steps(vec![step]) };
                twin.map(say).into_iter().collect()
            }
            Effect::Broadcast { .. }
            | Effect::Record { .. }
            | Effect::Release { .. }
            | Effect::Send { .. }
            | Effect::Announce { .. }
            | Effect::Judge { .. }
            | Effect::Join { .. }
            | Effect::Provide { .. }
            | Effect::Seek { .. }
            | Effect::Fetch { .. }
            | Effect::Run { .. }
            | Effect::Recall { .. }
            | Effect::Remember { .. }
            | Effect::Stop { .. }
            | Effect::Pack { .. }
            | Effect::Probe { .. }
            | Effect::Changed { .. }
            | Effect::Forget { .. } => Vec::new(),
        }
    }
}
