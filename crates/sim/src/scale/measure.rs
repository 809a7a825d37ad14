//! What is measured at scale, and the rows it makes.

use engine::JobState;
use protocol::{
    Assurance, BlobRef, Manifest, PROTOCOL, Partition, Policy, Range, SEMANTICS, Source, Stage,
    Stdin, UnitLimits,
};

use super::swarm::{Swarm, key};

/// No job here lasts longer than this, in virtual milliseconds.
const LAST_MS: u64 = 30 * 86_400_000;

/// One job on one network.
#[derive(Clone, Debug)]
pub struct Measured {
    pub what: String,
    pub nodes: usize,
    pub units: u64,
    pub level: u8,
    /// Peers that joined the job's topic.
    pub participants: usize,
    /// Virtual seconds from the submission until every unit was accepted, and until it was sealed.
    pub accepted_s: f64,
    pub sealed_s: f64,
    pub executions_per_unit: f64,
    pub steps: u64,
    /// Messages delivered, per unit and per peer of the network.
    pub messages_per_unit: f64,
    pub messages_per_peer: f64,
    /// Bytes delivered, per unit and per participant.
    pub bytes_per_unit: f64,
    pub bytes_per_participant: f64,
    /// What is special about the run, in words.
    pub remark: String,
}

/// The level that a submitter chooses: about as many eligible peers as there are batches for.
fn level(nodes: usize, batches: u32) -> u8 {
    let wanted = (batches / 2).clamp(8, 4096);
    let ratio = nodes as u32 / wanted.max(1);
    ratio.checked_ilog2().unwrap_or(0) as u8
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
    let began_s = 1.0;
    assert!(swarm.run(LAST_MS, is_accepted), "{what}: the job does not finish");
    let accepted_s = swarm.now_ms as f64 / 1000.0 - began_s;
    assert!(swarm.run(LAST_MS, is_sealed), "{what}: the job is not sealed");
    let (counts, units) = (swarm.counts, swarm.manifest.unit_count());
    let participants = swarm.participants.len();
    Measured {
        what: what.to_owned(),
        nodes,
        units,
        level: swarm.manifest.policy.level,
        participants,
        accepted_s,
        sealed_s: swarm.now_ms as f64 / 1000.0 - began_s,
        executions_per_unit: counts.executions as f64 / units as f64,
        steps: counts.steps,
        messages_per_unit: counts.messages as f64 / units as f64,
        messages_per_peer: counts.messages as f64 / nodes as f64,
        bytes_per_unit: counts.bytes as f64 / units as f64,
        bytes_per_participant: counts.bytes as f64 / participants as f64,
        remark: remark(&swarm),
    }
}

/// One job of `units` units in batches of `batch`, each unit taking `unit_ms`.
pub fn one_job(nodes: usize, units: u64, batch: u32, unit_ms: u64, seed: u64) -> Measured {
    let swarm = Swarm::new(nodes, manifest(nodes, units, batch, seed), unit_ms, seed, &[]);
    finish(swarm, "one job", nodes, |swarm| format!("{} events", swarm.counts.events))
}

/// A node that comes when half of the work is done: how long until it has cast its first vote.
pub fn late_joiner(nodes: usize, units: u64, batch: u32, unit_ms: u64, seed: u64) -> Measured {
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
    finish(swarm, "late joiner", nodes, |swarm| match swarm.first_vote_ms.get(&late) {
        Some(voted_ms) => {
            let batch_s = (u64::from(batch) * unit_ms) as f64 / 1000.0;
            let seconds = (voted_ms - came_ms) as f64 / 1000.0;
            format!("first vote {seconds:.1} s after it came; a batch takes {batch_s:.1} s")
        }
        None => "it came too late for a batch".to_owned(),
    })
}

/// A hundred units meet a large idle network: how many peers wake up.
pub fn herd(nodes: usize, seed: u64) -> Measured {
    let swarm = Swarm::new(nodes, manifest(nodes, 100, 1, seed), 30_000, seed, &[]);
    finish(swarm, "herd", nodes, |swarm| {
        format!("{} of {nodes} peers took part", swarm.participants.len())
    })
}

/// Three in ten peers leave at the same moment, half-way.
pub fn third_leaves(nodes: usize, units: u64, batch: u32, unit_ms: u64, seed: u64) -> Measured {
    let plain = one_job(nodes, units, batch, unit_ms, seed);
    let mut swarm = Swarm::new(nodes, manifest(nodes, units, batch, seed), unit_ms, seed, &[]);
    let half_ms = 1000 + (plain.accepted_s * 500.0) as u64;
    let gone = |node: &usize| protocol::hash("gone", &[&node.to_le_bytes()]).as_bytes()[0] < 77;
    swarm.take_away(half_ms, (1..nodes).filter(gone));
    finish(swarm, "30 % leave", nodes, |swarm| {
        let left = (0..nodes).filter(|node| !swarm.is_up(*node)).count();
        format!("{left} left half-way; {:.0} s if all stay", plain.accepted_s)
    })
}

impl Measured {
    /// The heading of [`Measured::row`]s, as Markdown.
    pub fn heading() -> String {
        let columns = "| what | peers | units | level | participants | accepted, s | sealed, s | \
                       executions/unit | messages/unit | bytes/unit | messages/peer | \
                       KiB/participant | |";
        format!("{columns}\n|{}", "---|".repeat(13))
    }

    /// One line of the table.
    pub fn row(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {} |",
            self.what,
            self.nodes,
            self.units,
            self.level,
            self.participants,
            self.accepted_s,
            self.sealed_s,
            self.executions_per_unit,
            self.messages_per_unit,
            self.bytes_per_unit,
            self.messages_per_peer,
            self.bytes_per_participant / 1024.0,
            self.remark,
        )
    }
}
