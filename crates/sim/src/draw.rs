//! Scenarios at random: every seed draws its own world, faults and liars, and turns many of them off
//! (swarm testing, Groce et al. 2012: a feature that is always on hides the bugs that need it off).

use crate::chance::Chance;
use crate::liars::{LiarKind, Liars};
use crate::scenario::{Disk, Faults, Job, Network, Planned, Scenario, SourceKind, Then, What};

/// One in so many worlds is flooded with identities: that costs seconds.
const FLOODS: u64 = 250;

impl Scenario {
    /// The scenario that this seed stands for.
    pub fn drawn(seed: u64) -> Self {
        let mut chance = Chance::fork(seed, "scenario", 0);
        let (mut nodes, mut liars) = (draw_nodes(&mut chance), Vec::new());
        if seed % FLOODS == FLOODS - 1 {
            (nodes, liars) = (5, vec![Liars::of(LiarKind::Flood, 1)]);
        } else {
            liars.extend(draw_liars(&mut chance, nodes));
            draw_impostor(seed, &mut liars);
        }
        let liar_count = liars.iter().map(|liars| liars.count).sum::<usize>();
        let honest = nodes - liar_count;
        let mut jobs = draw_jobs(&mut chance, honest);
        stage_a_job(&mut chance, nodes, &liars, &mut jobs);
        let faults = draw_faults(&mut chance, nodes, honest, liar_count);
        let has_puppets = |of: &Liars| of.kind.has_puppets() || of.kind == LiarKind::Flood;
        if 0 < faults.dying || liars.iter().any(has_puppets) {
            // Without an anchor a majority of identities has the last word.
            jobs.iter_mut().for_each(|job| job.submitter_leaves = false);
        }
        let wire_bytes = seed % 20 == 7;
        if wire_bytes {
            // At the door stamps would be checked, and nobody here has worked for his.
            jobs.iter_mut().for_each(|job| job.stamp_bits = 0);
        }
        let chaos_ms = chance.within(20_000..=120_000);
        Self {
            name: format!("seed {seed}"),
            nodes,
            cores: chance.within(1..=4) as usize,
            speed_spread: *chance.pick(&[0, 30, 100]),
            chaos_ms,
            wire_bytes,
            network: draw_network(&mut chance),
            disk: Disk {
                sync_max_us: *chance.pick(&[200, 10_000, 10_000, 200_000]),
                commit_max_ms: 1000,
            },
            faults,
            events: draw_events(&mut chance, &jobs, honest, chaos_ms),
            jobs,
            liars,
        }
    }
}

fn draw_nodes(chance: &mut Chance) -> usize {
    let (low, high) = match chance.below(20) {
        0 => (1, 2),
        1..=12 => (3, 7),
        13..=18 => (8, 12),
        _ => (13, 25),
    };
    chance.within(low..=high) as usize
}

/// Fewer liars than a third: an honest majority must be left among those that vote on any one unit.
fn draw_liars(chance: &mut Chance, nodes: usize) -> Vec<Liars> {
    let kinds: Vec<LiarKind> =
        LiarKind::ALL.into_iter().filter(|kind| *kind != LiarKind::Impostor).collect();
    let mut room = nodes.saturating_sub(2) / 3;
    let mut liars: Vec<Liars> = Vec::new();
    while 0 < room && chance.percent(60) {
        let mut kind = *chance.pick(&kinds);
        // Floods have worlds of their own, and only one liar can submit.
        let has_stager = liars.iter().any(|liars| liars.kind == LiarKind::Stager);
        if kind == LiarKind::Flood || (kind == LiarKind::Stager && has_stager) {
            kind = LiarKind::WrongOutcome;
        }
        let goes_together = kind.colludes() && kind != LiarKind::Swarm;
        let count = if goes_together { chance.within(1..=room as u64) as usize } else { 1 };
        let mut of = Liars::of(kind, count);
        of.rate = *chance.pick(&[30, 60, 100]);
        of.after = chance.below(20);
        if 0 < of.identities {
            of.identities = *chance.pick(&[2, 4, 5, 8]);
        }
        liars.push(of);
        room -= count;
    }
    liars
}

/// Makes an impostor of a lone liar now and then; by a chance of its own, so that all other worlds are what
/// they would be without impostors.
fn draw_impostor(seed: u64, liars: &mut [Liars]) {
    let mut chance = Chance::fork(seed, "impostors", 0);
    let is_lone = |of: &&mut Liars| of.count == 1 && of.kind != LiarKind::Stager;
    if chance.percent(20)
        && let Some(of) = liars.iter_mut().find(is_lone)
    {
        *of = Liars::of(LiarKind::Impostor, 1);
        of.identities = *chance.pick(&[0, 2, 4, 8]);
    }
}

/// A liar that stages jobs gets one to stage.
fn stage_a_job(chance: &mut Chance, nodes: usize, liars: &[Liars], jobs: &mut Vec<Job>) {
    let mut submitter = nodes;
    for of in liars {
        submitter -= of.count;
        if of.kind == LiarKind::Stager {
            let source = *chance.pick(&[SourceKind::Range, SourceKind::Grid]);
            let staged = draw_job(chance, 1);
            jobs.push(Job { submitter, source, submitter_leaves: false, ..staged });
        }
    }
}

fn draw_jobs(chance: &mut Chance, honest: usize) -> Vec<Job> {
    let count = if chance.percent(60) { 1 } else { chance.within(2..=3) };
    (0..count).map(|_| draw_job(chance, honest)).collect()
}

fn draw_job(chance: &mut Chance, honest: usize) -> Job {
    let small = chance.percent(30);
    let units = if small { chance.within(1..=6) } else { chance.within(5..=80) };
    let some = |chance: &mut Chance, percent| {
        let count = if chance.percent(percent) { chance.within(1..=3) } else { 0 };
        let mut units: Vec<u64> = (0..count).map(|_| chance.below(units)).collect();
        units.sort_unstable();
        units.dedup();
        units
    };
    let mut job = Job {
        submitter: if chance.percent(70) { 0 } else { chance.below(honest as u64) as usize },
        at_ms: chance.within(200..=15_000),
        source: *chance.pick(&[SourceKind::Range, SourceKind::Grid, SourceKind::Parts]),
        units,
        batch: *chance.pick(&[1, 2, 3, 5, 8, 16]),
        unit_ms: *chance.pick(&[10, 100, 500, 2000]),
        then: draw_stages(chance),
        quorum: draw_quorum(chance, honest),
        lead: *chance.pick(&[3, 6, 6]),
        audit_ppm: *chance.pick(&[0, 100_000, 100_000, 500_000]),
        level: if chance.percent(10) { chance.within(1..=2) as u8 } else { 0 },
        stamp_bits: if chance.percent(10) { 8 } else { 0 },
        co_anchors: draw_co_anchors(chance, honest),
        looping: some(chance, 8),
        failing: some(chance, 12),
        submitter_leaves: 5 <= honest && chance.percent(10),
    };
    job.co_anchors.retain(|anchor| *anchor != job.submitter);
    job
}

fn draw_stages(chance: &mut Chance) -> Vec<Then> {
    let stages: &[Then] = match chance.below(16) {
        0..=5 => &[],
        6 | 7 => &[Then::Gather],
        8 => &[Then::Gather, Then::Gather],
        9 => &[Then::Each],
        10 => &[Then::Each, Then::Gather],
        11 => &[Then::Tree, Then::Tree],
        12 => &[Then::Tree, Then::ByName],
        13 => &[Then::ByName, Then::Each],
        14 => &[Then::Beside, Then::Gather],
        _ => &[Then::Each, Then::Tree, Then::Gather, Then::Beside],
    };
    stages.to_vec()
}

fn draw_quorum(chance: &mut Chance, honest: usize) -> u8 {
    match chance.below(100) {
        0..=7 => 1,
        8..=27 if 4 <= honest => 3,
        28..=34 if 6 <= honest => 4,
        _ => 2,
    }
}

fn draw_co_anchors(chance: &mut Chance, honest: usize) -> Vec<usize> {
    let some = 5 <= honest && chance.percent(8);
    some.then(|| chance.below(honest as u64) as usize).into_iter().collect()
}

fn draw_network(chance: &mut Chance) -> Network {
    let bad =
        |chance: &mut Chance, max| if chance.percent(50) { chance.within(0..=max) } else { 0 };
    Network {
        delay_min_ms: chance.within(0..=30),
        delay_mean_ms: chance.within(1..=150),
        tail: bad(chance, 10),
        loss: bad(chance, 30),
        direct_loss: bad(chance, 10),
        duplicates: bad(chance, 20),
    }
}

fn draw_faults(chance: &mut Chance, nodes: usize, honest: usize, liars: usize) -> Faults {
    let some =
        |chance: &mut Chance, max: u64| if chance.percent(50) { chance.within(1..=max) } else { 0 };
    Faults {
        crashes: some(chance, nodes as u64 * 2),
        down_ms: *chance.pick(&[500, 5000, 30_000]),
        partitions: if 2 <= nodes { some(chance, 4) } else { 0 },
        partition_ms: *chance.pick(&[2000, 15_000, 60_000]),
        pauses: some(chance, 4),
        pause_ms: *chance.pick(&[500, 5000, 40_000]),
        clock_steps: some(chance, 4),
        clock_step_max_ms: *chance.pick(&[1000, 600_000, 86_400_000]),
        run_loss: *chance.pick(&[0, 0, 0, 2, 10]),
        flaps: if 2 <= nodes { some(chance, 3) / 2 } else { 0 },
        mutes: if 2 <= nodes { some(chance, 3) / 2 } else { 0 },
        mute_ms: *chance.pick(&[2000, 20_000]),
        slow: some(chance, 2) / 2,
        dying: u64::from(6 <= honest && liars * 2 + 2 < honest && chance.percent(10)),
    }
}

fn draw_events(chance: &mut Chance, jobs: &[Job], honest: usize, chaos_ms: u64) -> Vec<Planned> {
    let mut events = Vec::new();
    for (job, spec) in jobs.iter().enumerate() {
        let later = |chance: &mut Chance| spec.at_ms + chance.within(0..=chaos_ms);
        if chance.percent(4) {
            let at_ms = later(chance);
            events.push(Planned { at_ms, what: What::Cancel, nodes: vec![spec.submitter], job });
        }
        if chance.percent(15) {
            let node = chance.below(honest as u64) as usize;
            let at_ms = later(chance);
            events.push(Planned { at_ms, what: What::Open, nodes: vec![node], job });
        }
    }
    if chance.percent(10) {
        let nodes = vec![chance.below(honest as u64) as usize];
        let at_ms = chance.below(chaos_ms);
        events.push(Planned { at_ms, what: What::WorkOff, nodes: nodes.clone(), job: 0 });
        let at_ms = chance.within(at_ms..=chaos_ms);
        events.push(Planned { at_ms, what: What::WorkOn, nodes, job: 0 });
    }
    events
}
