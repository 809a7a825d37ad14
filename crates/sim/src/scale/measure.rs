//! What is measured at scale, and the rows it makes.

use engine::JobState;
use protocol::{
    Assurance, BlobRef, Manifest, PROTOCOL, Partition, Policy, Range, SEMANTICS, Source, Stage,
    Stdin, UnitLimits,
};

use serde::{Deserialize, Serialize};

use super::swarm::{Counts, Swarm, key};

/// What rows are about.
pub const ONE_JOB: &str = "one job";
pub const LATE_JOINER: &str = "late joiner";
pub const THIRD_LEAVES: &str = "30 % leave";
pub const HERD: &str = "herd";

/// No job here lasts longer than this, in virtual milliseconds.
const LAST_MS: u64 = 30 * 86_400_000;

/// One job on one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub what: String,
    pub nodes: usize,
    pub units: u64,
    pub level: u8,
    /// Peers that joined the job's topic.
    pub participants: usize,
    /// Virtual seconds from the submission until every unit was accepted, and until it was sealed.
    pub accepted_s: f64,
    pub sealed_s: Option<f64>,
    pub executions_per_unit: f64,
    /// Messages and bytes delivered.
    pub messages: u64,
    pub bytes: u64,
    /// What measuring took of this machine: CPU seconds, and memory at the end.
    pub took_s: f64,
    pub memory_gib: f64,
    /// What is special about the run, in words.
    pub remark: String,
}

/// How large a job is.
#[derive(Clone, Copy, Debug)]
pub struct JobSize {
    pub units: u64,
    /// Units of a batch.
    pub batch: u32,
    /// How long a unit takes, in virtual milliseconds.
    pub unit_ms: u64,
}

/// The level that a submitter chooses: as many eligible peers as have eight batches each or more.
fn level(nodes: usize, batches: u32) -> u8 {
    let wanted = (batches / 4).clamp(8, 4096) as usize;
    (nodes / wanted).max(1).next_power_of_two().ilog2() as u8
}

fn manifest(nodes: usize, units: u64, batch: u32, seed: u64) -> Manifest {
    let submitter = key(seed, 0).peer();
    let stage = Stage {
        name: "map".to_owned(),
        source: Source::Range(Range { from: 0, to: units, block: 1 }),
        module: BlobRef::of(b"module"),
        args: vec!["{index}".to_owned()],
        env: Vec::new(),
        stdin: Stdin::Nothing,
        inputs: Vec::new(),
        limits: UnitLimits::default(),
        batch,
        links: protocol::Links::default(),
    };
    let batches = Partition::new(units, batch).batches();
    let policy = Policy { level: level(nodes, batches), ..Policy::standard(submitter) };
    Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "scale".to_owned(),
        description: String::new(),
        submitter,
        created_ms: 1_800_000_000_000,
        expires_ms: 1_900_000_000_000,
        nonce: protocol::hash("scale", &[&seed.to_le_bytes()]),
        stages: vec![stage],
        policy,
        priority: 5,
        window: None,
    }
}

fn is_accepted(swarm: &Swarm) -> bool {
    let view = swarm.submitter().job(swarm.manifest.job());
    view.is_some_and(|view| view.state == JobState::Verified)
}

fn is_sealed(swarm: &Swarm) -> bool {
    let view = swarm.submitter().job(swarm.manifest.job());
    view.is_some_and(|view| view.assurance == Assurance::Sealed)
}

fn finish(
    mut swarm: Swarm,
    what: &str,
    nodes: usize,
    remark: impl FnOnce(&Swarm) -> String,
) -> Measured {
    let (began_s, started) = (1.0, cpu_s());
    assert!(swarm.run(LAST_MS, is_accepted), "{what}: the job does not finish");
    let now_s = |swarm: &Swarm| swarm.now_ms as f64 / 1000.0 - began_s;
    let accepted_s = now_s(&swarm);
    let sealed_s = (what != HERD).then(|| {
        assert!(swarm.run(LAST_MS, is_sealed), "{what}: the job is not sealed");
        now_s(&swarm)
    });
    let (counts, units) = (swarm.counts, swarm.manifest.unit_count());
    let participants = swarm.participants.len();
    Measured {
        what: what.to_owned(),
        nodes,
        units,
        level: swarm.manifest.policy.level,
        participants,
        accepted_s,
        sealed_s,
        executions_per_unit: counts.executions as f64 / units as f64,
        messages: counts.messages,
        bytes: counts.bytes,
        took_s: cpu_s() - started,
        memory_gib: resident_gib(),
        remark: remark(&swarm),
    }
}

/// CPU seconds that this process has used; 0 where that cannot be asked.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in parentheses, may have spaces in it.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// What this process holds of memory; 0 where that cannot be asked.
fn resident_gib() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    (resident.unwrap_or(0) << 12) as f64 / f64::from(1 << 30)
}

/// One job on a network where nothing happens to anybody, at the level that a submitter chooses or another.
pub fn one_job(nodes: usize, size: JobSize, level: Option<u8>, seed: u64) -> Measured {
    let JobSize { units, batch, unit_ms } = size;
    let mut manifest = manifest(nodes, units, batch, seed);
    manifest.policy.level = level.unwrap_or(manifest.policy.level);
    let swarm = Swarm::new(nodes, manifest, unit_ms, seed, &[]);
    finish(swarm, ONE_JOB, nodes, |swarm| {
        let Counts { steps, events, .. } = swarm.counts;
        format!("{steps} steps, {events} events")
    })
}

/// A node that comes when half of the work is done: how long until it has cast its first vote.
pub fn late_joiner(nodes: usize, size: JobSize, seed: u64) -> Measured {
    let JobSize { units, batch, unit_ms } = size;
    let late = nodes - 1;
    let manifest = Manifest {
        policy: Policy { level: 0, ..manifest(nodes, units, batch, seed).policy },
        ..manifest(nodes, units, batch, seed)
    };
    let mut swarm = Swarm::new(nodes, manifest, unit_ms, seed, &[late]);
    let half = 2 * units * unit_ms / (nodes as u64 - 2) / 2;
    swarm.run(half + 1000, |_| false);
    let came_ms = swarm.now_ms;
    swarm.join(seed, late);
    finish(swarm, LATE_JOINER, nodes, |swarm| match swarm.first_vote_ms.get(&late) {
        Some(voted_ms) => {
            let batch_s = (u64::from(batch) * unit_ms) as f64 / 1000.0;
            let seconds = (voted_ms - came_ms) as f64 / 1000.0;
            format!("first vote {seconds:.1} s after it came; a batch takes {batch_s:.1} s")
        }
        None => "it came too late for a batch".to_owned(),
    })
}

/// A hundred units meet a large idle network: how many peers wake up before all units are accepted. The
/// submitter's own audits, after which it seals, are not waited for.
pub fn herd(nodes: usize, seed: u64) -> Measured {
    let swarm = Swarm::new(nodes, manifest(nodes, 100, 1, seed), 30_000, seed, &[]);
    finish(swarm, HERD, nodes, |swarm| {
        let (started, took_part) = (swarm.counts.started, swarm.participants.len());
        format!("{started} executions started; {took_part} of {nodes} peers took part")
    })
}

/// Three in ten peers leave at the same moment, half-way.
pub fn third_leaves(nodes: usize, size: JobSize, seed: u64) -> Measured {
    let JobSize { units, batch, unit_ms } = size;
    let plain = one_job(nodes, size, None, seed);
    let mut swarm = Swarm::new(nodes, manifest(nodes, units, batch, seed), unit_ms, seed, &[]);
    let half_ms = 1000 + (plain.accepted_s * 500.0) as u64;
    let gone = |node: &usize| protocol::hash("gone", &[&node.to_le_bytes()]).as_bytes()[0] < 77;
    swarm.take_away(half_ms, (1..nodes).filter(gone));
    finish(swarm, THIRD_LEAVES, nodes, |swarm| {
        let left = (0..nodes).filter(|node| !swarm.is_up(*node)).count();
        format!("{left} left half-way; {:.0} s if all stay", plain.accepted_s)
    })
}
