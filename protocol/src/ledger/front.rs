//! The ledger's front: steps go in, the verdict and what peers lack come out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::book::{Book, Cast};
use super::books::Books;
use super::fold::Fold;
use super::layer::at;
use super::log::{Inserted, Log, weight};
use super::verdict::Verdict;
use crate::limits::{
    AUTHORS_MAX, HEADS_MAX, LEDGER_BYTES_MIN, LEDGER_BYTES_PER_UNIT, LOG_BYTES_MIN,
    LOG_BYTES_PER_UNIT, LOG_GAP_MAX, LOG_STEPS_MAX, STEPS_SENT_MAX,
};
use crate::{
    About, Fork, Hash, Head, Heads, Item, JobId, PeerId, Plan, Ranks, Seal, Signed, Slot, Stamp,
    Step, StepId, Vote, level_of, merkle_root_by,
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
    #[error("its author claims a level that it does not have")]
    FalseLevel,
    #[error("its author's stamp is missing, too old or too cheap for the job")]
    NoStamp,
    #[error("the job has more authors, or it or the author more to say, than is kept")]
    Full,
}

/// Everybody's log.
pub(super) type Logs = BTreeMap<PeerId, Log>;

/// Everything that is known of one job.
#[derive(Clone, Debug)]
pub struct Ledger {
    job: JobId,
    plan: Arc<Plan>,
    logs: Logs,
    /// What all logs weigh together, and may at most; and what one may. In bytes.
    held_bytes: u64,
    room: u64,
    room_of_one: u64,
    /// Authors in the order in which they stay: the last ones go first.
    turns: BTreeSet<(Hash, PeerId)>,
    /// Whose votes somebody certifies who stays: others hold what they said, and so must we.
    vouched: BTreeSet<PeerId>,
    books: Books,
    /// Ballots of those who contradict themselves: they are in no book, and bind their authors all the same.
    void: BTreeMap<PeerId, BTreeMap<Slot, Cast>>,
    equivocators: BTreeSet<PeerId>,
    /// Who has shown which stamp, in a job that asks for them.
    stamps: BTreeMap<PeerId, Stamp>,
    keepers: Vec<PeerId>,
    cancelled: bool,
    /// Whether seals are passed over.
    deaf: bool,
    /// Slots with votes that nobody has looked at.
    news: BTreeSet<Slot>,
    /// Batches about which something was said since somebody asked.
    touched: BTreeSet<(u16, u32)>,
    fold: Fold,
}

impl Ledger {
    /// An empty ledger for a plan whose `parts` trees are all known.
    pub fn new(plan: Arc<Plan>) -> Self {
        let of_units = |bytes: u64| plan.manifest().unit_count().saturating_mul(bytes);
        Self {
            job: plan.manifest().job(),
            fold: Fold::new(&plan),
            held_bytes: 0,
            room: LEDGER_BYTES_MIN.saturating_add(of_units(LEDGER_BYTES_PER_UNIT)),
            room_of_one: LOG_BYTES_MIN.saturating_add(of_units(LOG_BYTES_PER_UNIT)),
            plan,
            logs: BTreeMap::new(),
            turns: BTreeSet::new(),
            vouched: BTreeSet::new(),
            books: Books::default(),
            void: BTreeMap::new(),
            equivocators: BTreeSet::new(),
            stamps: BTreeMap::new(),
            keepers: Vec::new(),
            cancelled: false,
            deaf: false,
            news: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }

    /// The same steps as if no anchor had sealed anything: what the votes alone give.
    pub fn without_seals(&self) -> Self {
        let mut deaf = Self { deaf: true, ..Self::new(Arc::clone(&self.plan)) };
        for step in self.steps() {
            deaf.insert(step.clone()).expect("what one ledger has taken another of the job takes");
        }
        deaf.verdict();
        deaf
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
        let log = self.logs.get(&author);
        if log.is_some_and(|log| log.has(&step)) {
            return Ok(Inserted::Known);
        }
        if log.is_some_and(|log| log.is_full_before(&step)) {
            return Err(Refusal::Full);
        }
        if LOG_GAP_MAX < step.value().seq && log.is_none() {
            return Ok(Inserted::TooFarAhead);
        }
        if log.is_none() && AUTHORS_MAX.min(HEADS_MAX) <= self.logs.len() {
            self.make_room_for(author)?;
        }
        self.make_room_of(weight(&step), author)?;
        self.note_author(author);
        let inserted = self.change_log(author, |log| log.insert(step));
        match inserted {
            Inserted::New => self.read_on(author),
            Inserted::Fork => self.reread(author),
            Inserted::Known | Inserted::TooFarAhead => {}
        }
        Ok(inserted)
    }

    /// Changes an author's log, and notes what all of them weigh then.
    fn change_log<T>(&mut self, author: PeerId, change: impl FnOnce(&mut Log) -> T) -> T {
        let log = self.logs.entry(author).or_default();
        self.held_bytes -= log.held_bytes();
        let changed = change(log);
        self.held_bytes += log.held_bytes();
        changed
    }

    /// The verdict on all steps so far.
    pub fn verdict(&mut self) -> &Verdict {
        let Self { plan, books, logs, equivocators, stamps, .. } = self;
        self.fold.bring_up_to_date(plan, books, logs, equivocators, stamps);
        self.touched.append(&mut self.fold.take_moved());
        self.fold.verdict()
    }

    /// The verdict as of the last [`Ledger::verdict`].
    pub fn last_verdict(&self) -> &Verdict {
        self.fold.verdict()
    }

    /// The slot that votes on a batch or unit have to name now; `None` until its inputs are known.
    pub fn slot(&self, stage: u16, about: About) -> Option<Slot> {
        self.fold.slot(&self.plan, stage, about)
    }

    /// Slots in which votes were read since the last call: what an executor may certify.
    pub fn take_news(&mut self) -> BTreeSet<Slot> {
        std::mem::take(&mut self.news)
    }

    /// Batches about which, or about whose units, anything was said or taken back since the last call, and
    /// those that read something else by now.
    pub fn take_touched(&mut self) -> BTreeSet<(u16, u32)> {
        std::mem::take(&mut self.touched)
    }

    /// What was said about a slot.
    pub fn book(&self, slot: &Slot) -> Option<&Book> {
        self.books.get(slot)
    }

    /// Everything that was said, by slot, about batches first.
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

    /// The ranks of peers in this job.
    pub fn ranks(&self) -> Ranks<'_> {
        let level = self.plan.manifest().policy.level;
        Ranks { job: self.job, level, stamps: &self.stamps }
    }

    /// Everybody who has a log.
    pub fn authors(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.logs.keys().copied()
    }

    /// All steps that are kept, by author and number: also those that show a fork.
    pub fn steps(&self) -> impl Iterator<Item = &Signed<Step>> {
        self.logs.values().flat_map(Log::all)
    }

    /// The steps in which a peer contradicts itself, if it does.
    pub fn fork_of(&self, author: PeerId) -> impl Iterator<Item = &Signed<Step>> {
        self.logs.get(&author).into_iter().flat_map(Log::evidence)
    }

    /// How much of every log is here without a gap.
    pub fn heads(&self, answer: bool) -> Heads {
        let heads = self.logs.iter().map(|(author, log)| log.head(*author));
        let heads = heads.filter(|head| head.next != 0).collect();
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
    ///
    /// At most [`STEPS_SENT_MAX`]; comparing again after they are in gives the next ones.
    pub fn compare(&self, theirs: &Heads) -> (Vec<Signed<Step>>, bool) {
        let known: BTreeMap<PeerId, Head> =
            theirs.heads.iter().map(|head| (head.author, *head)).collect();
        let forks: BTreeMap<PeerId, u64> =
            theirs.forked.iter().map(|fork| (fork.author, fork.at)).collect();
        let lacking = self.logs.iter().flat_map(|(author, log)| {
            let head = known.get(author);
            let next = head.map_or(0, |head| head.next);
            let parted =
                head.filter(|head| has_parted(log, head)).map(|head| log.probes(head.next));
            let new_fork = log
                .forked_at()
                .filter(|at| forks.get(author).is_none_or(|theirs| at < theirs))
                .map(|_| log.evidence());
            log.after(next)
                .chain(parted.into_iter().flatten())
                .chain(new_fork.into_iter().flatten())
        });
        let missing = lacking.take(STEPS_SENT_MAX).cloned().collect();
        let is_news = |head: &Head| match self.logs.get(&head.author) {
            None => head.next != 0,
            Some(log) => log.applied < head.next.min(log.end()) || has_parted(log, head),
        };
        let is_news_of_a_fork =
            |fork: &Fork| self.logs.get(&fork.author).is_none_or(|log| fork.at < log.end());
        (missing, theirs.heads.iter().any(is_news) || theirs.forked.iter().any(is_news_of_a_fork))
    }

    /// Whether steps of an author are kept that wait for others before them.
    pub fn has_gap(&self, author: PeerId) -> bool {
        self.logs.get(&author).is_some_and(Log::has_gap)
    }

    /// Whether there is such an author.
    pub fn has_gaps(&self) -> bool {
        self.logs.values().any(Log::has_gap)
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
        if step.level != 0 && level_of(self.job, step.shard, author) < step.level {
            return Err(Refusal::FalseLevel);
        }
        let is_named = author == manifest.submitter || manifest.policy.anchors.contains(&author);
        let bits = manifest.policy.stamp_bits;
        if step.seq == 0
            && bits != 0
            && !is_named
            && !step.stamp.is_some_and(|stamp| stamp.is_enough(bits, manifest.created_ms))
        {
            return Err(Refusal::NoStamp);
        }
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
                Item::Seal(seal) if manifest.policy.anchors.contains(&author) => {
                    self.check_seal(seal)?;
                }
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

    fn check_seal(&self, seal: &Seal) -> Result<(), Refusal> {
        let last = seal.first + (seal.batches.len() as u32).saturating_sub(1);
        let slot = Slot { stage: seal.stage, about: About::Batch(last), units: Hash::ZERO };
        self.check_slot(&slot)
    }

    /// The same for a step that would make all logs too heavy; unless enough goes, nobody does.
    fn make_room_of(&mut self, bytes: u64, author: PeerId) -> Result<(), Refusal> {
        let mut missing = (self.held_bytes + bytes).saturating_sub(self.room);
        let mut gone = 0;
        let mut loose = self.loose_after(author);
        while 0 < missing {
            let (_, peer) = loose.next().ok_or(Refusal::Full)?;
            missing = missing.saturating_sub(self.logs[peer].held_bytes());
            gone += 1;
        }
        drop(loose);
        (0..gone).try_for_each(|_| self.make_room_for(author))
    }

    /// Of all authors who do not stay whatever comes, the one goes whose turn is last by a hash, be it the
    /// newcomer: who floods a job with identities drives out its own.
    fn make_room_for(&mut self, newcomer: PeerId) -> Result<(), Refusal> {
        let loose = self.loose_after(newcomer).next().copied();
        let Some((turn, peer)) = loose else { return Err(Refusal::Full) };
        self.turns.remove(&(turn, peer));
        self.take_back(peer);
        self.held_bytes -= self.logs.remove(&peer).map_or(0, |log| log.held_bytes());
        self.stamps.remove(&peer);
        Ok(())
    }

    /// Who goes before somebody else, the first one first.
    fn loose_after(&self, peer: PeerId) -> impl Iterator<Item = &(Hash, PeerId)> {
        let own = (self.turn(peer), peer);
        let comes_first = self.stays(peer);
        let later = self.turns.iter().rev().take_while(move |turn| comes_first || own < **turn);
        later.filter(move |(_, other)| *other != peer && !self.stays(*other))
    }

    /// Whether an author stays whatever comes: by its own merit or on the word of one who has some.
    fn stays(&self, peer: PeerId) -> bool {
        self.vouched.contains(&peer) || self.has_merit(peer)
    }

    /// Whether the job names an author, or others have joined its votes.
    fn has_merit(&self, peer: PeerId) -> bool {
        let manifest = self.plan.manifest();
        let is_named = peer == manifest.submitter || manifest.policy.anchors.contains(&peer);
        is_named || self.fold.is_identity(peer)
    }

    fn turn(&self, peer: PeerId) -> Hash {
        crate::hash("author", &[self.job.as_bytes(), peer.as_bytes()])
    }

    /// Notes a new log; those of the submitter and of anchors never go.
    fn note_author(&mut self, author: PeerId) {
        let manifest = self.plan.manifest();
        let is_named = author == manifest.submitter || manifest.policy.anchors.contains(&author);
        if !is_named && !self.logs.contains_key(&author) {
            self.turns.insert((self.turn(author), author));
        }
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
            if !self.logs[&author].has_room(self.room_of_one) {
                self.close(author);
                return;
            }
            if self.contradicts(author, step.value()) {
                self.change_log(author, |log| log.contradict(step));
                self.reread(author);
                return;
            }
            self.read(author, &step);
            self.change_log(author, Log::read_one);
        }
    }

    /// Ends a log with a step that has no room. A fork behind it is seen by those only who heard of it before they
    /// had the log so far: it makes nobody an equivocator.
    fn close(&mut self, author: PeerId) {
        if self.change_log(author, Log::close) {
            self.equivocators.remove(&author);
            self.fold.touch_equivocators();
            self.read_again(author);
        }
    }

    /// Whether a step votes differently in a slot where its author has voted already.
    fn contradicts(&self, author: PeerId, step: &Step) -> bool {
        let void = self.void.get(&author);
        let mut here: BTreeMap<Slot, &Vote> = BTreeMap::new();
        step.items.iter().any(|item| match item {
            Item::Vote(vote) => {
                let in_book = || self.books.get(&vote.slot).and_then(|book| book.vote_of(author));
                let earlier = void.and_then(|void| void.get(&vote.slot)).or_else(in_book);
                let same_step = here.insert(vote.slot, vote);
                earlier.map(|cast| &**cast).or(same_step).is_some_and(|other| other != vote)
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
        self.fold.touch_equivocators();
        self.read_again(author);
    }

    fn read_again(&mut self, author: PeerId) {
        self.take_back(author);
        if author == self.plan.manifest().submitter {
            self.keepers.clear();
            self.cancelled = false;
        }
        self.logs.get_mut(&author).expect("a forked log is there").start_again();
        // From the first step again: one that has just closed a gap may contradict an earlier one.
        self.read_on(author);
    }

    /// Takes everything that an author said out of the books, and its stamp, which was part of it.
    fn take_back(&mut self, author: PeerId) {
        self.stamps.remove(&author);
        self.void.remove(&author);
        for slot in self.logs.get(&author).map(Log::slots).unwrap_or_default() {
            if let Some(book) = self.books.get_mut(&slot) {
                book.retract(author);
                self.touched.insert(at(&self.plan, &slot));
                self.fold.touch(&self.plan, &slot);
            }
        }
    }

    fn read(&mut self, author: PeerId, signed: &Signed<Step>) {
        let step = signed.value();
        if let Some(stamp) = step.stamp.filter(|_| self.plan.manifest().policy.stamp_bits != 0) {
            self.stamps.insert(author, stamp);
        }
        let forked = self.equivocators.contains(&author);
        for (number, item) in step.items.iter().enumerate() {
            match item {
                Item::Vote(vote) => {
                    self.say(vote.slot);
                    self.news.insert(vote.slot);
                    let cast = Cast::new(signed, number, self.leads_to(vote));
                    // Who contradicts itself has no ballots; its votes on batches stand up to the fork.
                    if forked && matches!(vote.slot.about, About::Unit(_)) {
                        self.void.entry(author).or_default().insert(vote.slot, cast);
                    } else {
                        self.books.open(vote.slot).add_vote(cast);
                    }
                }
                Item::Certificate(certificate) => {
                    self.say(certificate.slot);
                    if self.has_merit(author) {
                        self.vouched.extend(certificate.proofs.iter().map(|shown| shown.voter));
                    }
                    self.books.open(certificate.slot).add_certificate(signed, number);
                }
                Item::Leaves(leaves) => {
                    self.say(leaves.slot);
                    self.books.open(leaves.slot).add_leaves(author, leaves);
                }
                Item::Abstention(abstention) => {
                    self.say(abstention.slot);
                    let book = self.books.open(abstention.slot);
                    book.add_abstention(author, abstention);
                }
                Item::Seal(_) if self.deaf => {}
                Item::Seal(seal) => self.read_seal(author, seal),
                Item::Keepers(peers) => self.keepers.clone_from(peers),
                Item::Cancel => self.cancelled = true,
            }
        }
    }

    /// The root of its batch that a ballot's path leads to.
    fn leads_to(&self, vote: &Vote) -> Option<Hash> {
        let About::Unit(unit) = vote.slot.about else { return None };
        let partition = self.plan.partition(vote.slot.stage);
        let units = partition.units_of(partition.batch_of(unit));
        let (index, count) = ((unit - units.start) as usize, (units.end - units.start) as usize);
        merkle_root_by(&vote.path, vote.root, index, count)
    }

    fn read_seal(&mut self, anchor: PeerId, seal: &Seal) {
        for (batch, (units, root)) in (seal.first..).zip(&seal.batches) {
            let slot = Slot { stage: seal.stage, about: About::Batch(batch), units: *units };
            self.say(slot);
            self.books.open(slot).add_seal(anchor, *root);
        }
    }

    /// Something is said about a slot.
    fn say(&mut self, slot: Slot) {
        self.touched.insert(at(&self.plan, &slot));
        self.fold.touch(&self.plan, &slot);
    }
}

/// Whether a head names another step than the one that was read here.
fn has_parted(log: &Log, head: &Head) -> bool {
    let same = head.next.checked_sub(1).and_then(|seq| log.at(seq));
    same.is_some_and(|mine| mine.id() != head.last)
}

#[cfg(test)]
mod tests;
