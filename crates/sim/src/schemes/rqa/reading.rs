//! Reading the verdict: what is accepted, who is out, and what the job came to.

use std::collections::BTreeSet;

use protocol::{Assurance, BatchVerdict, Hash, Standing, UnitVerdict};

use super::batch::Batch;
use super::town::{Form, Town, true_outcome};
use crate::schemes::setting::{Adversary, Outcome};

impl Town {
    /// Publishes what is unsaid, reads the verdict and acts on it. Returns whether the job goes on.
    pub(super) fn read(&mut self) -> bool {
        let mut has_news = false;
        for worker in &mut self.workers {
            has_news |= worker.pen.publish(self.network, self.job, &mut self.ledger);
        }
        if !has_news {
            let undecided = self.is_anybody_called();
            self.heed_contests();
            return undecided || self.workers.iter().any(|w| w.pen.has_unsaid());
        }
        self.ledger.verdict();
        self.note_convicted();
        self.note_records();
        for number in 0..self.batches.len() as u32 {
            self.reconsider(number);
        }
        self.note_outcomes();
        self.heed_contests();
        true
    }

    fn heed_contests(&mut self) {
        let verdict = self.ledger.last_verdict();
        let contested: BTreeSet<u64> = verdict.contested.iter().map(|(_, unit)| *unit).collect();
        let mut wanted: BTreeSet<(u32, Hash)> =
            verdict.leaves_wanted.iter().map(|(_, number, root)| (*number, *root)).collect();
        let mut turn = BTreeSet::new();
        for unit in &contested {
            let number = self.batch_of(*unit);
            let batch = verdict.batch(0, number);
            wanted.extend(self.standing_root(number).map(|root| (number, root)));
            if batch.decide_first.is_empty() || batch.decide_first.contains(unit) {
                turn.insert(*unit);
            }
        }
        self.post_leaves(&wanted);
        self.attend_to_contests(&contested, &turn);
    }

    fn note_convicted(&mut self) {
        let verdict = self.ledger.last_verdict();
        let mut newcomers = 0;
        for worker in &mut self.workers {
            let is_out = verdict.is_faulty(worker.pen.peer);
            newcomers += usize::from(is_out && !worker.is_out && worker.is_liar);
            worker.is_out = is_out;
        }
        if matches!(self.setting.adversary, Adversary::Whitewasher { .. }) {
            for _ in 0..newcomers {
                self.join(true);
            }
        }
    }

    /// Counts for how many of its units others stand beside a worker.
    fn note_records(&mut self) {
        let Form::Record { .. } = self.rqa.form else { return };
        let mut records = vec![0; self.workers.len()];
        let is_out = |who: usize| self.workers[who].is_out;
        for batch in &self.batches {
            let live = batch.votes().filter(|(who, _)| !is_out(*who));
            let live: Vec<(usize, &_)> = live.collect();
            for (who, content) in &live {
                let fellows = live.iter().any(|(w, other)| w != who && other.root == content.root);
                if fellows {
                    records[*who] += batch.units.end - batch.units.start;
                    continue;
                }
                let audited = self.ballots.range(batch.units.clone()).filter(|(unit, ballots)| {
                    let digest = content.digests[batch.index(**unit)];
                    ballots.iter().any(|(other, said)| {
                        *said == digest && !is_out(*other) && !batch.takers.contains_key(other)
                    })
                });
                records[*who] += audited.count() as u64;
            }
        }
        for (worker, record) in self.workers.iter_mut().zip(records) {
            worker.record = record;
        }
    }

    /// Notes what has become settled, and when.
    fn note_outcomes(&mut self) {
        let verdict = self.ledger.last_verdict();
        let mut settled = 0;
        for (number, read) in (0..).zip(verdict.batches(0)) {
            let stands =
                read.effective.filter(|_| read.is_settled() && self.is_enough(number, read));
            settled += usize::from(stands.is_some());
            let seen = &self.batches[number as usize].seen;
            if seen.settled == stands {
                continue;
            }
            let (first, mut wrong) = (seen.first.unwrap_or(self.now), 0);
            if seen.first.is_none() {
                let batch = &self.batches[number as usize];
                let units = batch.units.clone();
                let of = |unit: &u64| outcome_of(batch, read, *unit) != Some(true_outcome(*unit));
                wrong = units.filter(of).count() as u64;
            }
            let seen = &mut self.batches[number as usize].seen;
            seen.settled = stands;
            seen.last = self.now;
            seen.first = Some(first);
            self.sum.wrong_first += wrong;
        }
        self.settled = settled;
    }

    /// Whether the scheme takes a batch's outcomes for accepted.
    fn is_enough(&self, number: u32, read: &BatchVerdict) -> bool {
        let Form::Record { units } = self.rqa.form else { return true };
        let Standing::Quorum { root, voters } = &read.standing else { return true };
        let batch = &self.batches[number as usize];
        let behind = batch.votes().filter(|(who, content)| {
            content.root == *root && voters.contains(&self.workers[*who].pen.peer)
        });
        let behind: Vec<usize> = behind.map(|(who, _)| who).collect();
        2 <= behind.len() || behind.iter().any(|who| units <= self.workers[*who].record)
    }

    /// What the job came to.
    pub(super) fn outcome(&self) -> Outcome {
        let verdict = self.ledger.last_verdict();
        let mut outcome = Outcome { units: self.setting.size.units, ..self.sum };
        let per_batch = u64::from(self.setting.size.batch);
        for (number, read) in (0..).zip(verdict.batches(0)) {
            let batch = &self.batches[number as usize];
            let size = batch.units.end - batch.units.start;
            let since = batch.claimed_at.unwrap_or(0);
            outcome.first += size * batch.seen.first.map_or(0, |first| first - since) / per_batch;
            outcome.last += size * batch.seen.last.saturating_sub(since) / per_batch;
            let is_final = verdict.assurance(&self.plan, 0, number) != Assurance::Provisional;
            for unit in batch.units.clone() {
                let found = outcome_of(batch, read, unit);
                let is_wrong = found.is_some_and(|digest| digest != true_outcome(unit));
                outcome.settled_finally += u64::from(is_final);
                outcome.wrong_finally += u64::from(is_final && is_wrong);
                match found.filter(|_| self.is_enough(number, read)) {
                    None => outcome.open += 1,
                    Some(_) => outcome.wrong += u64::from(is_wrong),
                }
            }
        }
        let convicted = self.workers.iter().filter(|worker| worker.is_out);
        outcome.convicted = convicted.clone().filter(|worker| worker.is_liar).count() as u64;
        outcome.framed = convicted.filter(|worker| !worker.is_liar).count() as u64;
        outcome
    }
}

/// A unit's outcome as it stands, unless it is in question.
fn outcome_of(batch: &Batch, read: &BatchVerdict, unit: u64) -> Option<Hash> {
    match read.units.get(&unit) {
        Some(UnitVerdict::Accepted(digest) | UnitVerdict::Decided(digest)) => Some(*digest),
        Some(UnitVerdict::Contested) => None,
        None => match &read.standing {
            Standing::Quorum { root, .. } => Some(batch.content(*root)?.digests[batch.index(unit)]),
            Standing::Open | Standing::SelfExecuted { .. } => None,
        },
    }
}
