//! Repeats what others said long ago, to anybody.

use engine::Effect;
use protocol::{Message, PeerId};

use super::part::Part;
use crate::chance::Chance;

const REMEMBERED: usize = 300;

#[derive(Debug)]
pub(super) struct Replayer {
    chance: Chance,
    heard: Vec<(PeerId, Message)>,
}

impl Replayer {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance, heard: Vec::new() }
    }

    fn old(&mut self) -> Option<Message> {
        (!self.heard.is_empty()).then(|| self.chance.pick(&self.heard).1.clone())
    }
}

impl Part for Replayer {
    fn heard(&mut self, from: PeerId, message: &Message) {
        if self.heard.len() < REMEMBERED {
            self.heard.push((from, message.clone()));
        } else if self.chance.percent(10) {
            let at = self.chance.below(REMEMBERED as u64) as usize;
            self.heard[at] = (from, message.clone());
        }
    }

    fn adds(&mut self, effect: &Effect) -> Vec<Effect> {
        let Effect::Broadcast { job, .. } = *effect else { return Vec::new() };
        let everybody = self.old().map(|message| Effect::Broadcast { job, message });
        let somebody = self.old().map(|message| {
            let to = self.chance.pick(&self.heard).0;
            Effect::Send { to, message }
        });
        everybody.into_iter().chain(somebody).collect()
    }
}
