//! The ledger's front: steps go in, the verdict and what peers lack come out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::book::Book;
use super::fold::Fold;
use super::log::{Inserted, Log};
use super::verdict::Verdict;
use crate::limits::{AUTHORS_MAX, LOG_STEPS_MAX, STEPS_SENT_MAX};
use crate::{
    About, Fork, Gathered, Hash, Head, Heads, Item, JobId, PeerId, Plan, Signed, Slot, Step, StepId,
};

/// Why a step can be in nobody's ledger of this job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it belongs to another job")]
    OtherJob,
    #[error("it is about a stage, batch or unit that the job does not have")]
    OutOfRange,
    #[error("only the submitter or an anchor may say this")]
    NotEntitled,
    #[error("the job has more authors, or the author more steps, than is kept")]
    Full,
}

/// Everything that is known of one job.
#[derive(Clone, Debug)]
pub struct Ledger {
    job: JobId,
    plan: Arc<Plan>,
    logs: BTreeMap<PeerId, Log>,
    books: BTreeMap<Slot, Book>,
    /// Slots that an author has spoken about, and the vote it cast there.
    said: BTreeMap<PeerId, BTreeMap<Slot, Option<Hash>>>,
    equivocators: BTreeSet<PeerId>,
    keepers: Vec<PeerId>,
    cancelled: bool,
    fold: Fold,
}

impl Ledger {
    /// An empty ledger for a plan whose `parts` trees are all known.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            job: plan.manifest().job(),
            fold: Fold::new(&plan),
            plan,
            logs: BTreeMap::new(),
            books: BTreeMap::new(),
            said: BTreeMap::new(),
            equivocators: BTreeSet::new(),
            keepers: Vec::new(),
            cancelled: false,
        }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes a step in, whatever the order in which steps arrive.
    ///
    /// # Errors
    /// [`Refusal`] if the step can be in nobody's ledger; its author is at fault.
    pub fn insert(&mut self, step: Signed<Step>) -> Result<Inserted, Refusal> {
        let author = step.author();
        self.check(author, step.value())?;
        if !self.logs.contains_key(&author) && AUTHORS_MAX <= self.logs.len() {
            return Err(Refusal::Full);
        }
        let log = self.logs.entry(author).or_default();
        let inserted = log.insert(step);
        match inserted {
            Inserted::New => self.read_on(author),
            Inserted::Fork => self.reread(author),
            Inserted::Known | Inserted::TooFarAhead => {}
        }
        Ok(inserted)
    }

    /// The verdict on all steps so far.
    pub fn verdict(&mut self) -> &Verdict {
        self.fold.bring_up_to_date(&self.plan, &self.books, &self.equivocators);
        self.fold.verdict()
    }

    /// The verdict as of the last [`Ledger::verdict`].
    pub fn last_verdict(&self) -> &Verdict {
        self.fold.verdict()
    }

    /// The slot that votes on a batch or unit have to name now; `None` until its inputs are known.
    pub fn slot(&mut self, stage: u16, about: About) -> Option<Slot> {
        self.fold.slot(&self.plan, stage, about)
    }

    /// What was said about a slot.
    pub fn book(&self, slot: &Slot) -> Option<&Book> {
        self.books.get(slot)
    }

    /// The root of a batch's units, from memory where it was asked for before.
    pub fn units_root(&self, stage: u16, batch: u32, gathered: Option<Gathered>) -> Option<Hash> {
        let known = self.fold.known_units_root(stage, batch);
        known.or_else(|| self.plan.units_root(stage, batch, gathered))
    }

    /// Everything that was said, by slot.
    pub fn books(&self) -> impl Iterator<Item = (&Slot, &Book)> {
        self.books.iter()
    }

    /// Peers that the submitter has named as keepers.
    pub fn keepers(&self) -> &[PeerId] {
        &self.keepers
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Everybody who has a log.
    pub fn authors(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.logs.keys().copied()
    }

    /// How much of every log is here without a gap.
    pub fn heads(&self, answer: bool) -> Heads {
        let heads = self.logs.iter().map(|(author, log)| log.head(*author)).collect();
        let forked = self
            .logs
            .iter()
            .filter_map(|(author, log)| log.forked_at().map(|at| Fork { author: *author, at }))
            .collect();
        Heads { job: self.job, heads, forked, answer }
    }

    /// The number and predecessor of an author's next step.
    pub fn next_step(&self, author: PeerId) -> (u64, StepId) {
        let head = self.logs.get(&author).map(|log| log.head(author));
        head.map_or((0, StepId::new([0; 32])), |head| (head.next, head.last))
    }

    /// Steps that the owner of these heads lacks, and whether it has some that are missing here.
    pub fn compare(&self, theirs: &Heads) -> (Vec<Signed<Step>>, bool) {
        let known: BTreeMap<PeerId, Head> =
            theirs.heads.iter().map(|head| (head.author, *head)).collect();
        let forks: BTreeMap<PeerId, u64> =
            theirs.forked.iter().map(|fork| (fork.author, fork.at)).collect();
        let mut missing = Vec::new();
        for (author, log) in &self.logs {
            let next = known.get(author).map_or(0, |head| head.next);
            if log.forked_at().is_some_and(|at| forks.get(author).is_none_or(|theirs| at < *theirs))
            {
                missing.extend(log.evidence().cloned());
            }
            missing.extend(log.after(next).cloned());
            let last = next.checked_sub(1).and_then(|seq| log.at(seq));
            missing.extend(
                last.filter(|mine| known.get(author).is_some_and(|head| head.last != mine.id()))
                    .cloned(),
            );
        }
        missing.truncate(STEPS_SENT_MAX);
        let own = |peer: PeerId| self.logs.get(&peer).map(|log| (log.head(peer), log.end()));
        let is_news = |head: &Head| match own(head.author) {
            None => true,
            Some((mine, end)) => {
                mine.next < head.next.min(end)
                    || (mine.next == head.next && mine.last != head.last && end == u64::MAX)
            }
        };
        let is_news_of_a_fork = |fork: &Fork| own(fork.author).is_none_or(|(_, end)| fork.at < end);
        (missing, theirs.heads.iter().any(is_news) || theirs.forked.iter().any(is_news_of_a_fork))
    }

    /// Form was checked at the door; this needs the manifest.
    fn check(&self, author: PeerId, step: &Step) -> Result<(), Refusal> {
        if step.job != self.job {
            return Err(Refusal::OtherJob);
        }
        if LOG_STEPS_MAX <= step.seq {
            return Err(Refusal::Full);
        }
        let manifest = self.plan.manifest();
        for item in &step.items {
            match item {
                Item::Vote(vote) => self.check_slot(&vote.slot)?,
                Item::Certificate(certificate) => self.check_slot(&certificate.slot)?,
                Item::Leaves(leaves) => {
                    self.check_slot(&leaves.slot)?;
                    if self.units_of(&leaves.slot).count() != leaves.digests.len() {
                        return Err(Refusal::OutOfRange);
                    }
                }
                Item::Abstention(abstention) => {
                    self.check_slot(&abstention.slot)?;
                    if !self.units_of(&abstention.slot).contains(&abstention.unit) {
                        return Err(Refusal::OutOfRange);
                    }
                }
                Item::Seal(_) if manifest.policy.anchors.contains(&author) => {}
                Item::Keepers(_) | Item::Cancel if manifest.submitter == author => {}
                Item::Seal(_) | Item::Keepers(_) | Item::Cancel => {
                    return Err(Refusal::NotEntitled);
                }
            }
        }
        Ok(())
    }

    fn check_slot(&self, slot: &Slot) -> Result<(), Refusal> {
        let stage = usize::from(slot.stage) < self.plan.manifest().stages.len();
        let fits = stage
            && match slot.about {
                About::Batch(batch) => batch < self.plan.partition(slot.stage).batches(),
                About::Unit(unit) => unit < self.plan.partition(slot.stage).units(),
            };
        if fits { Ok(()) } else { Err(Refusal::OutOfRange) }
    }

    fn units_of(&self, slot: &Slot) -> std::ops::Range<u64> {
        match slot.about {
            About::Batch(batch) => self.plan.partition(slot.stage).units_of(batch),
            About::Unit(unit) => unit..unit + 1,
        }
    }

    /// Reads an author's steps into the books as far as they go.
    fn read_on(&mut self, author: PeerId) {
        while let Some(step) =
            self.logs.get(&author).and_then(|log| log.next().filter(|_| log.applied < log.end()))
        {
            let step = step.clone();
            if self.contradicts(author, step.value()) {
                let log = self.logs.get_mut(&author).expect("it was just read");
                log.contradict(step);
                self.reread(author);
                return;
            }
            self.read(author, step.value());
            self.logs.get_mut(&author).expect("it was just read").applied += 1;
        }
    }

    /// Whether a step votes differently in a slot where its author has voted already.
    fn contradicts(&self, author: PeerId, step: &Step) -> bool {
        let mut here: BTreeMap<Slot, Hash> = BTreeMap::new();
        step.items.iter().any(|item| match item {
            Item::Vote(vote) => {
                let mark = vote_mark(vote);
                let earlier =
                    self.said.get(&author).and_then(|said| said.get(&vote.slot).copied().flatten());
                let same_step = here.insert(vote.slot, mark);
                earlier.or(same_step).is_some_and(|other| other != mark)
            }
            Item::Certificate(_)
            | Item::Leaves(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => false,
        })
    }

    /// Takes back what a forking author said and reads its log again, up to the fork.
    fn reread(&mut self, author: PeerId) {
        self.equivocators.insert(author);
        for slot in self.said.remove(&author).unwrap_or_default().into_keys() {
            if let Some(book) = self.books.get_mut(&slot) {
                book.retract(author);
                self.fold.touch(&self.plan, &slot);
            }
        }
        if author == self.plan.manifest().submitter {
            self.keepers.clear();
            self.cancelled = false;
        }
        let log = self.logs.get_mut(&author).expect("a forked log is there");
        let steps: Vec<Step> = log
            .chain()
            .take_while(|s| s.value().seq < log.end())
            .map(|s| s.value().clone())
            .collect();
        log.applied = steps.len() as u64;
        for step in steps {
            self.read(author, &step);
        }
        self.fold.touch_all();
    }

    fn read(&mut self, author: PeerId, step: &Step) {
        let forked = self.equivocators.contains(&author);
        for item in &step.items {
            match item {
                // Who contradicts itself has no ballots; its votes on batches stand up to the fork.
                Item::Vote(vote) if forked && matches!(vote.slot.about, About::Unit(_)) => {}
                Item::Vote(vote) => {
                    self.say(author, vote.slot, Some(vote_mark(vote)));
                    self.books.entry(vote.slot).or_default().add_vote(author, step.seq, vote);
                }
                Item::Certificate(certificate) => {
                    self.say(author, certificate.slot, None);
                    self.books
                        .entry(certificate.slot)
                        .or_default()
                        .add_certificate(author, certificate);
                }
                Item::Leaves(leaves) => {
                    self.say(author, leaves.slot, None);
                    self.books.entry(leaves.slot).or_default().add_leaves(author, leaves);
                }
                Item::Abstention(abstention) => {
                    self.say(author, abstention.slot, None);
                    self.books
                        .entry(abstention.slot)
                        .or_default()
                        .add_abstention(author, abstention);
                }
                Item::Seal(_) => {}
                Item::Keepers(peers) => self.keepers.clone_from(peers),
                Item::Cancel => self.cancelled = true,
            }
        }
    }

    fn say(&mut self, author: PeerId, slot: Slot, vote: Option<Hash>) {
        let entry = self.said.entry(author).or_default().entry(slot).or_default();
        *entry = vote.or(*entry);
        self.fold.touch(&self.plan, &slot);
    }
}

/// What makes two votes in one slot the same vote.
pub(super) fn vote_mark(vote: &crate::Vote) -> Hash {
    crate::hash("vote", &[&crate::encode(vote)])
}
