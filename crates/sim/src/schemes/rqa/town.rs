//! The town: its workers, the events of their work, and the policy under which it goes on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use protocol::{
    About, BlobRef, Hash, JobId, Keypair, Ledger, Manifest, NetworkId, PROTOCOL, PeerId, Plan,
    Policy, Range, Rank, Ranks, SEMANTICS, Slot, Source, Stage, Stdin, UnitLimits, hash,
};

use super::batch::{Batch, Content, Seen};
use super::contest::Contest;
use super::pen::Pen;
use crate::Chance;
use crate::schemes::setting::{EXECUTION, LEASE, LOST_PERCENT, Outcome, Setting, pace};

/// Ranked quorum, sealed votes, hidden audits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rqa {
    pub quorum: u8,
    /// Audits, in percent of the job's units.
    pub audits: u64,
    pub form: Form,
}

/// Whose votes are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A quorum of anybody's.
    Quorum,
    /// A single one, from a worker of whose units others have confirmed this many in the job; else two.
    Record { units: u64 },
}

/// One worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pen: Pen,
    pub(super) is_liar: bool,
    /// How long it takes for one unit.
    pub(super) pace: u64,
    /// All batches, in the order in which it takes them.
    order: Vec<u32>,
    /// Audits that it has still to do.
    pub(super) owed: u64,
    /// Whether its votes count no more.
    pub(super) is_out: bool,
    pub(super) results: u64,
    /// Units that others confirmed.
    pub(super) record: u64,
}

/// What a worker is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Batch(u32),
    /// A batch whose execution nobody will hear of.
    Lost(u32),
    Audit(u64),
    Ballot(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Done(usize, Work),
    /// A claim runs out whose execution was lost.
    Expired(usize, u32),
    /// The verdict is read.
    Read,
}

#[derive(Debug)]
pub(super) struct Town {
    pub(super) rqa: Rqa,
    pub(super) setting: Setting,
    pub(super) chance: Chance,
    pub(super) network: NetworkId,
    pub(super) job: JobId,
    pub(super) plan: Arc<Plan>,
    pub(super) ledger: Ledger,
    pub(super) workers: Vec<Worker>,
    pub(super) batches: Vec<Batch>,
    /// Who said what about single units.
    pub(super) ballots: BTreeMap<u64, BTreeMap<usize, Hash>>,
    pub(super) contests: BTreeMap<u64, Contest>,
    pub(super) posted: BTreeSet<(u32, Hash)>,
    pub(super) now: u64,
    /// What is counted on the way.
    pub(super) sum: Outcome,
    pub(super) settled: usize,
    happenings: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    happened: u64,
    idle: Vec<usize>,
}

impl Rqa {
    /// Plays one job to its end.
    pub fn run(self, setting: Setting) -> Outcome {
        let mut town = Town::new(self, setting);
        town.play();
        let outcome = town.outcome();
        town.seal(outcome)
    }

    fn policy(self, submitter: &Keypair) -> Policy {
        let quorum = match self.form {
            Form::Quorum => self.quorum,
            Form::Record { .. } => 1,
        };
        let audit_ppm = u32::try_from(self.audits * 10_000).expect("a share");
        Policy { quorum, audit_ppm, ..Policy::standard(submitter.peer()) }
    }
}

/// What makes a job another one than all others, and is its submitter's secret.
fn nonce(setting: Setting) -> Hash {
    hash("nonce of a scheme's job", &[&setting.seed.to_le_bytes()])
}

pub(super) fn submitter(setting: Setting) -> Keypair {
    Keypair::from_secret(nonce(setting).as_bytes())
}

/// A job of numbered units whose submitter has gone away.
fn manifest(rqa: Rqa, setting: Setting) -> Manifest {
    let (nonce, submitter) = (nonce(setting), submitter(setting));
    let stage = Stage {
        name: "units".to_owned(),
        source: Source::Range(Range { from: 0, to: setting.size.units, block: 1 }),
        module: BlobRef::of(b"module"),
        args: vec!["{index}".to_owned()],
        env: vec![],
        stdin: Stdin::Nothing,
        inputs: vec![],
        limits: UnitLimits::default(),
        batch: setting.size.batch,
        links: protocol::Links::default(),
    };
    Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "schemes".to_owned(),
        description: String::new(),
        submitter: submitter.peer(),
        created_ms: 0,
        expires_ms: 1,
        nonce,
        stages: vec![stage],
        policy: rqa.policy(&submitter),
        priority: 0,
        window: None,
    }
}

impl Town {
    fn new(rqa: Rqa, setting: Setting) -> Self {
        let plan = Arc::new(Plan::new(manifest(rqa, setting)));
        let ledger = Ledger::new(plan.clone());
        let partition = plan.partition(0);
        let batches = (0..partition.batches()).map(|number| {
            let slot = ledger.slot(0, About::Batch(number)).expect("it reads no other stage");
            let units = partition.units_of(number);
            Batch {
                slot,
                truth: Content::new(units.clone().map(true_outcome).collect()),
                units,
                takers: BTreeMap::new(),
                lie: None,
                open: true,
                claimed_at: None,
                seen: Seen::default(),
            }
        });
        let mut town = Self {
            rqa,
            setting,
            chance: setting.chance("rqa"),
            network: NetworkId::named("schemes"),
            job: plan.manifest().job(),
            batches: batches.collect(),
            plan,
            ledger,
            workers: Vec::new(),
            ballots: BTreeMap::new(),
            contests: BTreeMap::new(),
            posted: BTreeSet::new(),
            now: 0,
            sum: Outcome::default(),
            settled: 0,
            happenings: BinaryHeap::new(),
            happened: 0,
            idle: Vec::new(),
        };
        for number in 0..setting.size.workers {
            town.join(number < setting.liars());
        }
        town
    }

    /// A worker joins, under a name of its own.
    pub(super) fn join(&mut self, is_liar: bool) {
        let pen = Pen::new(self.setting.seed, self.workers.len());
        let order = self.order(pen.peer);
        self.take_in(pen, is_liar, order);
    }

    /// All batches, in the order in which a peer comes to them.
    fn order(&self, peer: PeerId) -> Vec<u32> {
        let full = self.batches[0].units.end - self.batches[0].units.start;
        let mut order: Vec<u32> = (0..self.batches.len() as u32).collect();
        order.sort_by_cached_key(|number| {
            let units = &self.batches[*number as usize].units;
            (units.end - units.start < full, self.rank(*number, peer))
        });
        order
    }

    /// Somebody is there from now on who takes batches in this order.
    pub(super) fn take_in(&mut self, pen: Pen, is_liar: bool, order: Vec<u32>) {
        let number = self.workers.len();
        let pace = pace(&mut self.chance);
        self.workers.push(Worker {
            pen,
            is_liar,
            pace,
            order,
            owed: 0,
            is_out: false,
            results: 0,
            record: 0,
        });
        self.idle.push(number);
    }

    pub(super) fn play(&mut self) {
        let batch = u64::from(self.setting.size.batch) * EXECUTION;
        self.wake();
        self.schedule(batch / 2, Happening::Read);
        while let Some(Reverse((now, _, happening))) = self.happenings.pop() {
            self.now = now;
            match happening {
                Happening::Done(who, work) => self.done(who, work),
                Happening::Expired(who, number) => {
                    self.batches[number as usize].takers.remove(&who);
                    self.reconsider(number);
                }
                Happening::Read => {
                    let has_news = self.read();
                    self.wake();
                    if has_news || !self.happenings.is_empty() {
                        self.schedule(batch / 2, Happening::Read);
                    }
                }
            }
        }
    }

    pub(super) fn schedule(&mut self, after: u64, happening: Happening) {
        self.happened += 1;
        self.happenings.push(Reverse((self.now + after, self.happened, happening)));
    }

    fn wake(&mut self) {
        for who in std::mem::take(&mut self.idle) {
            self.pick(who);
        }
    }

    fn done(&mut self, who: usize, work: Work) {
        let is_out = self.workers[who].is_out;
        match work {
            Work::Batch(number) if is_out => {
                self.batches[number as usize].takers.remove(&who);
            }
            Work::Batch(number) => self.executed(who, number),
            Work::Lost(_) => {}
            Work::Audit(_) | Work::Ballot(_) if is_out => {}
            Work::Audit(unit) => self.audited(who, unit),
            Work::Ballot(unit) => self.judged(who, unit),
        }
        self.pick(who);
    }

    /// A worker looks for something to do: contests first, then what it owes, then a batch.
    fn pick(&mut self, who: usize) {
        if self.workers[who].is_out {
            self.idle.push(who);
            return;
        }
        let work = self
            .pick_contest(who)
            .map(Work::Ballot)
            .or_else(|| self.pick_audit(who).map(Work::Audit))
            .or_else(|| self.pick_batch(who));
        let Some(work) = work else {
            self.idle.push(who);
            return;
        };
        let units = match work {
            Work::Batch(number) | Work::Lost(number) => {
                let units = &self.batches[number as usize].units;
                units.end - units.start
            }
            Work::Audit(_) | Work::Ballot(_) => 1,
        };
        self.sum.executions += units;
        self.sum.in_audits += u64::from(matches!(work, Work::Audit(_)));
        self.sum.in_contests += u64::from(matches!(work, Work::Ballot(_)));
        if let Work::Lost(number) = work {
            let lease = LEASE * u64::from(self.setting.size.batch) * EXECUTION;
            self.schedule(lease, Happening::Expired(who, number));
        }
        self.schedule(units * self.workers[who].pace, Happening::Done(who, work));
    }

    /// Its lowest-ranked batch that needs somebody.
    fn pick_batch(&mut self, who: usize) -> Option<Work> {
        let is_free = |number: &u32| {
            let batch = &self.batches[*number as usize];
            batch.open && !batch.takers.contains_key(&who)
        };
        let number = self.workers[who].order.iter().copied().find(is_free)?;
        self.claim(who, number);
        // The coalition does not lose what it holds.
        let is_lost = !self.workers[who].is_liar && self.chance.percent(LOST_PERCENT);
        Some(if is_lost { Work::Lost(number) } else { Work::Batch(number) })
    }

    /// A peer's place for a batch, in a job that asks for no stamps.
    pub(super) fn rank(&self, number: u32, peer: PeerId) -> Rank {
        Ranks { job: self.job, level: 0, stamps: &BTreeMap::new() }.of(0, number, peer)
    }

    pub(super) fn unit_slot(&self, unit: u64) -> Slot {
        let units = self.plan.unit_root(0, unit, None).expect("it reads no other stage");
        Slot { stage: 0, about: About::Unit(unit), units }
    }

    pub(super) fn batch_of(&self, unit: u64) -> u32 {
        self.plan.partition(0).batch_of(unit)
    }
}

/// What every honest execution of a unit gives.
pub(super) fn true_outcome(unit: u64) -> Hash {
    hash("outcome", &[&unit.to_le_bytes()])
}
