//! Base work: batches are claimed, executed and voted on; the coalition decides what it says.

use std::rc::Rc;

use protocol::{Hash, hash};

use super::batch::{Batch, Content, Taken};
use super::pen::{certificate, vote};
use super::town::{Form, Town, true_outcome};
use crate::schemes::setting::{ASLEEP, Adversary, FAULT_PERCENT, LATE_PERCENT, SLIP_ONE_IN};

const MILLION: u64 = 1_000_000;

impl Town {
    pub(super) fn claim(&mut self, who: usize, number: u32) {
        let batch = &mut self.batches[number as usize];
        batch.takers.insert(who, Taken::Claimed);
        batch.claimed_at.get_or_insert(self.now);
        self.reconsider(number);
    }

    /// How many must stand together behind a batch's outcomes, its takers being who they are.
    fn target(&self, number: u32) -> usize {
        match self.rqa.form {
            Form::Quorum => usize::from(self.rqa.quorum),
            Form::Record { units } => {
                let mut live = self.batches[number as usize].live(|w| self.workers[w].is_out);
                let has_record = live.any(|(who, _)| units <= self.workers[who].record);
                if has_record { 1 } else { 2 }
            }
        }
    }

    /// Looks whether a batch needs another taker, and whether the coalition now knows what to say.
    pub(super) fn reconsider(&mut self, number: u32) {
        let target = self.target(number);
        let batch = &self.batches[number as usize];
        let live = || batch.live(|who| self.workers[who].is_out);
        let (support, under_way) = Batch::support(live());
        let open = support + under_way < target;
        let is_known = target <= live().count();
        self.batches[number as usize].open = open;
        if is_known {
            self.resolve(number);
        }
    }

    /// Those of the coalition who waited for their partners vote.
    fn resolve(&mut self, number: u32) {
        let batch = &self.batches[number as usize];
        let live: Vec<usize> = batch.live(|who| self.workers[who].is_out).map(|l| l.0).collect();
        let waiting: Vec<usize> = batch
            .takers
            .iter()
            .filter(|(_, taken)| matches!(taken, Taken::Waiting))
            .map(|(who, _)| *who)
            .collect();
        if waiting.is_empty() {
            return;
        }
        let has_told_the_truth = batch
            .takers
            .keys()
            .filter_map(|who| batch.vote_of(*who))
            .any(|content| Some(content) != batch.lie.as_ref());
        let content = if has_told_the_truth || !live.iter().all(|who| self.may_lie(*who)) {
            batch.truth.clone()
        } else {
            self.lie_about(number)
        };
        for who in waiting {
            self.vote(who, number, content.clone(), true);
        }
    }

    fn may_lie(&self, who: usize) -> bool {
        let worker = &self.workers[who];
        let done = self.settled as u64 * 100 / self.batches.len() as u64;
        worker.is_liar
            && match self.setting.adversary {
                Adversary::Silent { .. }
                | Adversary::Withholder { .. }
                | Adversary::Whitewasher { .. }
                | Adversary::Open => true,
                Adversary::Sleeper { .. } => ASLEEP <= worker.results,
                Adversary::Late { .. } => LATE_PERCENT <= done,
                Adversary::Faulty | Adversary::Copier => false,
            }
    }

    /// What the coalition says about a batch: always the same.
    fn lie_about(&mut self, number: u32) -> Rc<Content> {
        if let Some(lie) = &self.batches[number as usize].lie {
            return lie.clone();
        }
        let ppm = self.setting.adversary.ppm().unwrap_or(MILLION);
        let units = self.batches[number as usize].units.clone();
        let digests = units.map(|unit| {
            if self.chance.below(MILLION) < ppm {
                hash("lie", &[&unit.to_le_bytes()])
            } else {
                true_outcome(unit)
            }
        });
        let lie = Content::new(digests.collect());
        self.batches[number as usize].lie = Some(lie.clone());
        lie
    }

    /// A worker has executed a batch.
    pub(super) fn executed(&mut self, who: usize, number: u32) {
        self.owe_audits(who, number);
        if !self.workers[who].is_liar {
            let content = self.with_slips(who, number, MILLION / SLIP_ONE_IN);
            return self.vote(who, number, content, true);
        }
        match self.setting.adversary {
            Adversary::Open => {
                let lie = self.lie_about(number);
                self.vote(who, number, lie, true);
            }
            Adversary::Faulty => {
                let content = self.with_slips(who, number, FAULT_PERCENT * MILLION / 100);
                self.vote(who, number, content, true);
            }
            Adversary::Copier => {
                let batch = &self.batches[number as usize];
                let seen = batch.votes().next().map(|(_, content)| content.clone());
                let content = match seen {
                    Some(content) => content,
                    None => self.with_slips(who, number, MILLION),
                };
                self.vote(who, number, content, false);
            }
            Adversary::Silent { .. }
            | Adversary::Sleeper { .. }
            | Adversary::Late { .. }
            | Adversary::Withholder { .. }
            | Adversary::Whitewasher { .. } => {
                self.batches[number as usize].takers.insert(who, Taken::Waiting);
                self.reconsider(number);
            }
        }
    }

    /// What an execution gives that goes wrong now and then.
    fn with_slips(&mut self, who: usize, number: u32, ppm: u64) -> Rc<Content> {
        let batch = &self.batches[number as usize];
        let mut digests = batch.truth.digests.clone();
        let mut has_slipped = false;
        for (digest, unit) in digests.iter_mut().zip(batch.units.clone()) {
            if self.chance.below(MILLION) < ppm {
                *digest = slip(who, unit);
                has_slipped = true;
            }
        }
        if has_slipped { Content::new(digests) } else { batch.truth.clone() }
    }

    /// Votes, and vouches for others' votes and ballots on the same outcomes, as they do for it.
    fn vote(&mut self, who: usize, number: u32, content: Rc<Content>, has_executed: bool) {
        let batch = &mut self.batches[number as usize];
        let (slot, root) = (batch.slot, content.root);
        let same: Vec<usize> =
            batch.votes().filter(|(_, other)| other.root == root).map(|(other, _)| other).collect();
        batch.takers.insert(who, Taken::Voted { content: content.clone(), has_executed });
        let units = batch.units.clone();
        let at = (self.network, self.job);
        let author = self.workers[who].pen.peer;
        self.workers[who].pen.say(vote(at, slot, author, root, Vec::new(), has_executed));
        self.workers[who].results += units.end - units.start;
        if has_executed {
            for other in &same {
                self.workers[*other].pen.say(certificate(at, slot, root, &[author]));
            }
            let others: Vec<_> = same.iter().map(|o| self.workers[*o].pen.peer).collect();
            if !others.is_empty() {
                self.workers[who].pen.say(certificate(at, slot, root, &others));
            }
            for unit in units.clone() {
                let digest = content.digests[(unit - units.start) as usize];
                self.vouch_for_ballots(who, unit, digest);
            }
        }
        self.reconsider(number);
    }

    fn vouch_for_ballots(&mut self, who: usize, unit: u64, digest: Hash) {
        let Some(ballots) = self.ballots.get(&unit) else { return };
        let same = ballots.iter().filter(|(other, said)| **other != who && **said == digest);
        let peers: Vec<_> = same.map(|(other, _)| self.workers[*other].pen.peer).collect();
        if !peers.is_empty() {
            let slot = self.unit_slot(unit);
            let item = certificate((self.network, self.job), slot, digest, &peers);
            self.workers[who].pen.say(item);
        }
    }
}

/// What a worker's execution of a unit gives when it goes wrong.
pub(super) fn slip(who: usize, unit: u64) -> Hash {
    hash("slip", &[&(who as u64).to_le_bytes(), &unit.to_le_bytes()])
}
