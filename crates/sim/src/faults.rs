//! Faults: what goes wrong and when, drawn before the world begins.

use engine::Event;

use crate::chance::Chance;
use crate::promise::Promise;
use crate::scenario::{Faults, Scenario, What};
use crate::world::{Happening, JobFate, World};

/// Everything that will happen whatever the nodes do, with its time.
pub(crate) fn plan(scenario: &Scenario, seed: u64) -> Vec<(u64, Happening)> {
    let mut chance = Chance::fork(seed, "faults", 0);
    let mut plan: Vec<(u64, Happening)> = (0..scenario.nodes)
        .map(|node| (chance.below(2_000_000), Happening::Start { node }))
        .collect();
    plan.extend(
        (0..scenario.jobs.len())
            .map(|job| (scenario.jobs[job].at_ms * 1000, Happening::Submit { job })),
    );
    plan.extend(
        (0..scenario.events.len())
            .map(|event| (scenario.events[event].at_ms * 1000, Happening::Planned { event })),
    );
    chaos(scenario, &mut chance, &mut plan);
    let last = plan.iter().map(|(at_us, _)| *at_us).max().unwrap_or(0);
    plan.push((last.max(scenario.chaos_ms * 1000) + 1000, Happening::Calm));
    plan.push((1_000_000, Happening::Inspect));
    plan
}

fn chaos(scenario: &Scenario, chance: &mut Chance, plan: &mut Vec<(u64, Happening)>) {
    let end_us = scenario.chaos_ms * 1000;
    let Faults { crashes, partitions, pauses, clock_steps, .. } = scenario.faults;
    let faults = &scenario.faults;
    let node = |chance: &mut Chance| chance.below(scenario.nodes as u64) as usize;
    for _ in 0..crashes {
        let (node, at_us) = (node(chance), chance.below(end_us));
        let back_us = at_us + 1000 + chance.wait(faults.down_ms * 1000);
        plan.push((at_us, Happening::Crash { node }));
        plan.push((back_us.min(end_us), Happening::Start { node }));
    }
    for _ in 0..partitions {
        let at_us = chance.below(end_us);
        let share = *chance.pick(&[20, 50]);
        let side = (0..scenario.nodes).filter(|_| chance.percent(share)).collect();
        let heal_us = at_us + chance.wait(faults.partition_ms * 1000);
        plan.push((at_us, Happening::Partition { side }));
        plan.push((heal_us.min(end_us), Happening::Heal));
    }
    for _ in 0..pauses {
        let (node, at_us) = (node(chance), chance.below(end_us));
        let for_us = chance.wait(faults.pause_ms * 1000).min(end_us - at_us);
        plan.push((at_us, Happening::Pause { node, for_us }));
    }
    for _ in 0..faults.flaps {
        flap(scenario, chance, plan);
    }
    for _ in 0..faults.mutes {
        let at_us = chance.below(end_us);
        let nodes = (0..scenario.nodes).filter(|_| chance.percent(30)).collect();
        let heard_us = (at_us + chance.wait(faults.mute_ms * 1000)).min(end_us);
        plan.push((at_us, Happening::Mute { nodes }));
        plan.push((heard_us, Happening::Mute { nodes: Vec::new() }));
    }
    for _ in 0..faults.slow {
        plan.push((chance.below(end_us), Happening::Slow { node: node(chance) }));
    }
    let last_submitter = scenario.jobs.iter().map(|job| job.submitter).max().unwrap_or(0);
    let honest = scenario.nodes - scenario.liar_count();
    for node in (0..honest).rev().take(faults.dying as usize).filter(|n| last_submitter < *n) {
        let at_us = chance.below(end_us);
        plan.push((at_us / 2, Happening::Slow { node }));
        plan.push((at_us, Happening::Leave { node }));
    }
    for _ in 0..clock_steps {
        let far = chance.below(faults.clock_step_max_ms + 1) as i64;
        let by_ms = if chance.percent(50) { far } else { -far };
        plan.push((chance.below(end_us), Happening::StepClock { node: node(chance), by_ms }));
    }
}

/// A partition that comes and goes within seconds.
fn flap(scenario: &Scenario, chance: &mut Chance, plan: &mut Vec<(u64, Happening)>) {
    let side: Vec<usize> = (0..scenario.nodes).filter(|_| chance.percent(50)).collect();
    let end_us = scenario.chaos_ms * 1000;
    let mut at_us = chance.below(end_us);
    for _ in 0..chance.within(3..=8) {
        plan.push((at_us.min(end_us), Happening::Partition { side: side.clone() }));
        at_us += chance.within(100_000..=2_000_000);
        plan.push((at_us.min(end_us), Happening::Heal));
        at_us += chance.within(100_000..=3_000_000);
    }
}

impl World {
    /// Some nodes are not heard any more; none let everybody be heard.
    pub(crate) fn mute(&mut self, nodes: &[usize]) {
        self.note(0, "**", &format!("nobody hears {nodes:?}"));
        self.links.mute(nodes);
        self.watch.mark("one-way partitions");
    }

    pub(crate) fn slow(&mut self, index: usize) {
        self.note(index, "**", "becomes slow");
        self.nodes[index].drag = 10.0;
        self.watch.mark("nodes that became slow");
    }

    pub(crate) fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.is_up() || node.is_gone {
            return;
        }
        let has_past = 0 < node.life;
        node.start(self.network, self.scenario.cores, &mut self.chance);
        self.note(index, "**", "starts");
        if has_past {
            let disk = &self.nodes[index].disk;
            let (records, executions) = (disk.records(), disk.executions());
            self.tell(index, Event::Resumed { records, executions });
            if !self.nodes[index].works {
                self.tell(index, Event::Work { on: false });
            }
        }
        self.reach_out(index);
        for job in 0..self.jobs.len() {
            self.submit_again(job);
        }
    }

    pub(crate) fn crash(&mut self, index: usize) {
        if !self.nodes[index].is_up() {
            return;
        }
        let lost = self.nodes[index].crash();
        self.note(index, "**", &format!("crashes, {lost} writes lost"));
        self.watch.mark("crashes");
        self.watch.crashed(index, lost);
        for other in 0..self.nodes.len() {
            self.links.set_seen(index, other, false);
            if self.links.is_up(index, other) {
                self.links.set_up(index, other, false);
                let in_us = 20_000 + self.chance.wait(1_000_000);
                self.later(in_us, Happening::NoticeLoss { node: other, of: index });
            }
        }
    }

    pub(crate) fn leave(&mut self, index: usize) {
        if self.nodes[index].is_gone {
            return;
        }
        self.crash(index);
        self.nodes[index].is_gone = true;
        self.watch.mark("departures");
        for (fate, truth) in self.jobs.iter_mut().zip(&self.truths) {
            if truth.spec.submitter == index && !fate.was_safe {
                fate.is_excused = true;
            }
        }
    }

    pub(crate) fn pause(&mut self, index: usize, for_us: u64) {
        self.watch.mark("pauses");
        self.note(index, "**", &format!("stands still for {} ms", for_us / 1000));
        let node = &mut self.nodes[index];
        node.paused_until_us = node.paused_until_us.max(self.now_us + for_us);
    }

    /// Puts some nodes on one side of a partition; none of them heal it.
    pub(crate) fn divide(&mut self, side: &[usize]) {
        self.note(0, "**", &format!("partition {side:?}"));
        self.links.divide(side);
        self.watch.mark(if side.is_empty() { "heals" } else { "partitions" });
        for a in 0..self.nodes.len() {
            for b in 0..a {
                if self.links.is_up(a, b) && !self.links.same_side(a, b) {
                    self.links.set_up(a, b, false);
                    for (node, of) in [(a, b), (b, a)] {
                        let in_us = self.chance.within(500_000..=15_000_000);
                        self.later(in_us, Happening::NoticeLoss { node, of });
                    }
                }
            }
        }
        for node in 0..self.nodes.len() {
            self.reach_out(node);
        }
    }

    pub(crate) fn planned(&mut self, event: usize) {
        let crate::scenario::Planned { what, nodes, job, .. } = self.scenario.events[event].clone();
        match what {
            What::Crash => nodes.iter().for_each(|node| self.crash(*node)),
            What::Restart => nodes.iter().for_each(|node| self.start(*node)),
            What::Leave => nodes.iter().for_each(|node| self.leave(*node)),
            What::Partition => self.divide(&nodes),
            What::Heal => self.divide(&[]),
            What::Open => {
                let job = self.truths[job].job;
                nodes.iter().for_each(|node| self.tell(*node, Event::Open { job }));
            }
            What::Cancel => self.cancel(job),
            What::WorkOff | What::WorkOn => {
                let on = what == What::WorkOn;
                for node in nodes {
                    self.nodes[node].works = on;
                    self.tell(node, Event::Work { on });
                }
            }
        }
    }

    pub(crate) fn submit(&mut self, job: usize) {
        self.jobs[job].is_submitted = true;
        self.submit_again(job);
    }

    /// The owner submits a job that its node does not know, for instance after a crash.
    fn submit_again(&mut self, job: usize) {
        let truth = &self.truths[job];
        let node = &self.nodes[truth.spec.submitter];
        let Some(engine) = &node.engine else { return };
        let JobFate { is_submitted, is_cancelled, .. } = self.jobs[job];
        if is_submitted && !is_cancelled && engine.job(truth.job).is_none() {
            let manifest = truth.manifest.clone();
            self.tell(
                self.truths[job].spec.submitter,
                Event::Submit { manifest, stamp: None, recalls: false },
            );
        }
    }

    fn cancel(&mut self, job: usize) {
        let truth = &self.truths[job];
        let (index, job_id) = (truth.spec.submitter, truth.job);
        let knows = self.nodes[index].engine.as_ref().is_some_and(|e| e.job(job_id).is_some());
        if knows {
            self.jobs[job].is_cancelled = true;
            self.tell(index, Event::Cancel { job: job_id });
        }
    }

    /// The faults end: everybody comes back, every link heals, nothing is lost any more.
    pub(crate) fn calm(&mut self) {
        self.note(0, "**", "calm");
        self.calm_since_us = Some(self.now_us);
        self.deadline_us = self.now_us + self.patience_us();
        for node in &mut self.nodes {
            node.paused_until_us = self.now_us;
            node.drag = 1.0;
        }
        self.links.mute(&[]);
        self.divide(&[]);
        for index in 0..self.nodes.len() {
            self.start(index);
            if !self.nodes[index].works {
                self.nodes[index].works = true;
                self.tell(index, Event::Work { on: true });
            }
        }
        for (a, b) in self.links.torn() {
            if self.links.is_up(a, b) {
                self.links.set_up(a, b, false);
                self.later(1000, Happening::NoticeLoss { node: a, of: b });
                self.later(1000, Happening::NoticeLoss { node: b, of: a });
                self.later(100_000, Happening::Connect { a, b });
            }
        }
        for job in 0..self.jobs.len() {
            self.submit_again(job);
        }
        if self.nodes.iter().all(|node| !node.is_up()) {
            self.broken(Promise::Calm, "nobody is left".to_owned());
        }
    }

    /// Ten times what the work would take without losses, and ten minutes.
    fn patience_us(&self) -> u64 {
        let hands = (self.scenario.nodes - self.scenario.liar_count()) * self.scenario.cores;
        let work = |spec: &crate::scenario::Job| {
            let units = spec.units * (1 + spec.then.len() as u64);
            let looping = spec.looping.len() as u64 * (spec.unit_ms * 20 + 2000);
            units * spec.unit_ms * u64::from(spec.quorum) + looping * 10
        };
        let work_ms: u64 = self.scenario.jobs.iter().map(work).sum();
        (work_ms * 10 * 4 / hands as u64 + 600_000) * 1000
    }
}
