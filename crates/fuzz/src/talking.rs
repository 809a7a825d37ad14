//! What an engine hears: steps of its jobs, and everything else that peers may say.

use protocol::{
    Announcement, Claim, Fork, Head, Heads, Hello, JobId, Message, PeerId, Stamp, StepId,
};

use crate::choices::Choices;
use crate::driving::Story;
use crate::setup::{CREATED_MS, EXPIRES_MS, key, network};

/// Steps of one message here.
const STEPS_AT_ONCE: usize = 40;

impl Story {
    /// Delivers so many of the steps that wait, as gossip or not.
    pub(crate) fn deliver_some(&mut self, which: usize, many: usize, choices: &mut Choices<'_>) {
        let waiting = &mut self.undelivered[which];
        let steps: Vec<_> = waiting.drain(..many.min(waiting.len()).min(STEPS_AT_ONCE)).collect();
        if !steps.is_empty() {
            let from = self.any_peer(choices);
            self.shell.hear(from, Message::Steps(steps), choices.flag());
        }
    }

    /// Any other message.
    pub(crate) fn gossip(&mut self, choices: &mut Choices<'_>) {
        let from = self.any_peer(choices);
        let message = match choices.below(12) {
            0 | 1 => self.announcement(choices),
            2 | 3 => {
                let stamp = Stamp { epoch: Stamp::epoch_of(CREATED_MS), bits: 1, nonce: 5 };
                let stamp = choices.rarely().then_some(stamp);
                Message::Hello(Hello { works: choices.flag(), keeps: choices.flag(), stamp })
            }
            4 => Message::Jobs(vec![self.any_job(choices), self.any_job(choices)]),
            5 => Message::WantJobs(vec![self.any_job(choices), self.any_job(choices)]),
            6 | 7 => self.claim(choices),
            8 | 9 => Message::Heads(self.heads(choices)),
            10 => Message::Keep(self.any_job(choices)),
            _ => Message::Kept(self.any_job(choices)),
        };
        self.shell.hear(from, message, choices.flag());
    }

    fn any_job(&self, choices: &mut Choices<'_>) -> JobId {
        match choices.below(4) {
            0 | 1 => self.worlds[0].setup.manifest.job(),
            2 if self.has_submitted() => self.worlds[1].setup.manifest.job(),
            _ => JobId::new([choices.byte() % 4; 32]),
        }
    }

    /// The other job as its submitter announces it, or strangely.
    fn announcement(&self, choices: &mut Choices<'_>) -> Message {
        let world = &self.worlds[0];
        let right = Announcement::of(&world.setup.manifest);
        let submitter = &world.setup.keys[0];
        let (author, announcement) = match choices.below(8) {
            0 => (&world.setup.keys[3], right),
            1 => {
                let job = JobId::new([choices.byte() % 4; 32]);
                (submitter, Announcement { job, ..right })
            }
            2 => {
                let expires_ms = [0, EXPIRES_MS, u64::MAX][choices.below(3)];
                let job = JobId::new([9; 32]);
                (submitter, Announcement { job, expires_ms, work_ms: u64::MAX, ..right })
            }
            3 => {
                let stamp = Stamp { epoch: 0, bits: choices.byte(), nonce: 0 };
                (submitter, Announcement { stamp: Some(stamp), ..right })
            }
            _ => (submitter, right),
        };
        Message::Announce(author.sign(network(), announcement))
    }

    fn claim(&self, choices: &mut Choices<'_>) -> Message {
        let claim = Claim {
            job: self.any_job(choices),
            shard: u16::from(choices.rarely()),
            stage: choices.below(4) as u16,
            batches: (0..choices.below(18)).map(|n| (n + choices.below(3)) as u32).collect(),
            span_ms: [0, 1000, 60_000, u64::MAX][choices.below(4)],
        };
        Message::Claim(key(choices.below(8)).sign(network(), claim))
    }

    /// Heads as somebody has them, or as nobody could.
    fn heads(&self, choices: &mut Choices<'_>) -> Heads {
        let mut heads = self.worlds[choices.below(2)].ledger.heads(choices.flag());
        if heads.job != self.worlds[0].setup.manifest.job() && !self.has_submitted() {
            heads.job = JobId::new([1; 32]);
        }
        heads.heads.truncate(choices.below(12));
        if choices.rarely() {
            let next = [0, 1, 5, u64::MAX][choices.below(4)];
            let author = match choices.flag() {
                true => self.shell.config.keypair.peer(),
                false => PeerId::new([choices.byte(); 32]),
            };
            heads.heads.push(Head { author, next, last: StepId::new([choices.byte(); 32]) });
            heads.forked.push(Fork { author, at: choices.number() });
        }
        heads
    }
}
