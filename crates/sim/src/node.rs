//! A node: a production engine with everything around it that a machine would have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use engine::{Config, Engine, Reads, Receipt, RunId, Time};
use protocol::{BlobId, Execution, JobId, Keypair, Loss, NetworkId, PeerId, Plan, Report, Stamp};

use crate::chance::Chance;
use crate::disk::Disk;
use crate::liar::Mask;

/// The wall clock's reading at the world's start: 2027-01-15.
pub(crate) const UNIX_START_MS: u64 = 1_800_000_000_000;

/// One machine of a world.
#[derive(Debug)]
pub struct Node {
    pub index: usize,
    pub peer: PeerId,
    /// `None` while it is down.
    pub engine: Option<Engine>,
    /// Counts its starts, so that answers to a former life reach nobody.
    pub(crate) life: u64,
    /// It will never come back.
    pub(crate) is_gone: bool,
    pub(crate) keypair: Keypair,
    pub(crate) mask: Option<Mask>,
    pub(crate) disk: Disk,
    /// Blobs that it holds.
    pub(crate) store: BTreeSet<BlobId>,
    /// How much longer than the average it takes for everything.
    pub(crate) slowness: f64,
    /// How much longer still, while a fault makes it slow.
    pub(crate) drag: f64,
    pub(crate) works: bool,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) joined: BTreeSet<JobId>,
    pub(crate) runs: BTreeMap<RunId, Running>,
    /// Gossip that waits for its judgement, and who sent it.
    pub(crate) receipts: BTreeMap<Receipt, usize>,
    pub(crate) paused_until_us: u64,
    /// When the next tick is due.
    pub(crate) tick_us: Option<u64>,
    pub(crate) commit_is_due: bool,
    /// Records that its engine waits for.
    pub(crate) syncs_due: usize,
    pub(crate) skew_ms: i64,
    mono_offset_ms: u64,
    seed: u64,
}

/// Units that are being executed, one after the other.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) job: JobId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) stage: u16,
    pub(crate) reads: Arc<Reads>,
    pub(crate) todo: VecDeque<u64>,
    pub(crate) done: Vec<(u64, Result<Execution, Loss>)>,
    /// How many outcomes are reported together.
    pub(crate) chunk: usize,
    /// Why no unit of it can be executed here.
    pub(crate) missing: Option<BlobId>,
    pub(crate) is_stopped: bool,
}

impl Node {
    pub(crate) fn new(index: usize, seed: u64, spread: u64) -> Self {
        let mut chance = Chance::fork(seed, "node", index as u64);
        let mut secret = [0; 32];
        secret.chunks_mut(8).for_each(|word| word.copy_from_slice(&chance.next().to_le_bytes()));
        let keypair = Keypair::from_secret(&secret);
        Self {
            index,
            peer: keypair.peer(),
            engine: None,
            life: 0,
            is_gone: false,
            keypair,
            mask: None,
            disk: Disk::default(),
            store: BTreeSet::new(),
            slowness: chance.factor(spread),
            drag: 1.0,
            works: true,
            stamp: None,
            joined: BTreeSet::new(),
            runs: BTreeMap::new(),
            receipts: BTreeMap::new(),
            paused_until_us: 0,
            tick_us: None,
            commit_is_due: false,
            syncs_due: 0,
            skew_ms: chance.within(0..=4000) as i64 - 2000,
            mono_offset_ms: 0,
            seed: chance.next(),
        }
    }

    pub(crate) fn is_honest(&self) -> bool {
        self.mask.is_none()
    }

    /// Whether it gives others what it holds.
    pub(crate) fn serves(&self) -> bool {
        self.mask.as_ref().is_none_or(Mask::serves)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    /// A new engine, whose monotonic clock starts anywhere.
    pub(crate) fn start(&mut self, network: NetworkId, cores: usize, chance: &mut Chance) {
        let report = Report { engine: "rehearsal".to_owned(), cpu: "none".to_owned() };
        self.engine = Some(Engine::new(Config {
            keypair: self.keypair.clone(),
            network,
            cores,
            memory_bytes: 8 << 30,
            works: self.works,
            stamp: self.stamp,
            job_stamp_base: None,
            keeps: true,
            seed: self.seed,
            report,
        }));
        self.life += 1;
        self.mono_offset_ms = chance.below(1_000_000);
    }

    /// The engine and everything that is not durable is lost; how many writes those were.
    pub(crate) fn crash(&mut self) -> usize {
        self.engine = None;
        self.joined.clear();
        self.runs.clear();
        self.receipts.clear();
        self.tick_us = None;
        self.commit_is_due = false;
        self.syncs_due = 0;
        self.paused_until_us = 0;
        self.disk.crash()
    }

    pub(crate) fn time(&self, now_us: u64) -> Time {
        let unix = UNIX_START_MS.saturating_add(now_us / 1000);
        Time {
            mono_ms: self.mono_offset_ms + now_us / 1000,
            unix_ms: unix.saturating_add_signed(self.skew_ms),
        }
    }

    /// The world's time of a reading of the monotonic clock.
    pub(crate) fn world_us(&self, mono_ms: u64) -> u64 {
        mono_ms.saturating_sub(self.mono_offset_ms).saturating_mul(1000)
    }
}
