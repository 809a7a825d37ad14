//! Work and bytes: executing units, packing outcomes, fetching and probing blobs.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::{Event, FetchLoss, Got, PackWant, Reads, RunId, Want};
use protocol::{
    BlobId, BlobRef, Execution, JobId, Loss, Manifest, Outcome, Pack, PeerId, Plan, Tree,
    merkle_root,
};

use crate::node::Running;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn run_units(
        &mut self,
        index: usize,
        run: RunId,
        (job, plan, stage): (JobId, Arc<Plan>, u16),
        units: Vec<u64>,
        reads: Arc<Reads>,
    ) {
        let chunk = self.chance.within(1..=4) as usize;
        let node = &self.nodes[index];
        let packs = reads.packs().map(|(_, _, pack)| pack);
        let parts = units.iter().filter_map(|unit| plan.part(stage, *unit));
        let needed = plan.manifest().blobs().into_iter().chain(packs).chain(parts);
        let missing = needed.map(|blob| blob.id).find(|blob| !node.store.contains(blob));
        let todo = VecDeque::from(units);
        let (done, is_stopped) = (Vec::new(), false);
        let running = Running { job, plan, stage, reads, todo, done, chunk, missing, is_stopped };
        self.nodes[index].runs.insert(run, running);
        self.next_unit(index, run);
    }

    pub(crate) fn unit_ends(&mut self, index: usize, life: u64, run: RunId) {
        if !self.is_alive(index, life) || !self.nodes[index].runs.contains_key(&run) {
            return;
        }
        let running = self.nodes[index].runs.get_mut(&run).expect("it was just seen");
        let Some(unit) = running.todo.pop_front() else { return };
        let (job, stage) = (running.job, running.stage);
        let ran = self.execute(index, run, unit);
        self.watch.ran(index, self.nodes[index].is_honest(), ran.is_ok());
        let node = &mut self.nodes[index];
        if let Ok(execution) = &ran {
            node.disk.keep((job, stage, unit), execution.clone());
            self.commit_later(index);
        }
        let running = self.nodes[index].runs.get_mut(&run).expect("it was just seen");
        running.done.push((unit, ran));
        let is_over = running.todo.is_empty();
        if is_over || running.chunk <= running.done.len() {
            let units = std::mem::take(&mut running.done);
            if is_over {
                self.nodes[index].runs.remove(&run);
            }
            self.tell(index, Event::Ran { run, units });
        }
        self.next_unit(index, run);
    }

    /// A run that was told to stop ends here, with whatever it has.
    pub(crate) fn stopped(&mut self, index: usize, life: u64, run: RunId) {
        if !self.is_alive(index, life) {
            return;
        }
        let Some(running) = self.nodes[index].runs.remove(&run) else { return };
        let rest = running.todo.into_iter().map(|unit| (unit, Err(Loss::Cancelled)));
        let units = running.done.into_iter().chain(rest).collect();
        self.tell(index, Event::Ran { run, units });
    }

    /// Makes the pack and puts it into the node's store.
    pub(crate) fn pack(
        &mut self,
        index: usize,
        job: JobId,
        stage: u16,
        units: &[u64],
        outcomes: Vec<Outcome>,
    ) -> BlobRef {
        let pack = Pack::new(outcomes, |id| self.blobs[&id].clone());
        let bytes = pack.to_bytes();
        let blob = BlobRef::of(&bytes);
        self.blobs.insert(blob.id, bytes);
        let node = &mut self.nodes[index];
        node.store.insert(blob.id);
        node.disk.packed(job, stage, units);
        blob
    }

    pub(crate) fn probe(&mut self, index: usize, peer: PeerId, blobs: &[BlobRef]) -> bool {
        let Some(other) = self.names.peers.get(&peer).copied() else { return false };
        let reachable = self.can_reach(index, other);
        reachable
            && (blobs.is_empty() || {
                let blob = *self.chance.pick(blobs);
                self.nodes[other].serves() && self.nodes[other].store.contains(&blob.id)
            })
    }

    /// Brings what is wanted into the node's store, if somebody within reach has it.
    pub(crate) fn fetch(
        &mut self,
        index: usize,
        job: JobId,
        want: &Want,
        from: &[PeerId],
    ) -> Result<Got, FetchLoss> {
        let mut sources: Vec<usize> =
            from.iter().filter_map(|peer| self.names.peers.get(peer)).copied().collect();
        sources.retain(|other| self.can_reach(index, *other));
        match want {
            Want::Manifest(blob) => {
                sources.extend(self.reachable_providers(index, job));
                self.bring(index, blob.id, &sources)?;
                if self.blobs[&blob.id].len() as u64 != blob.size {
                    return Err(FetchLoss::Missing(blob.id));
                }
                let manifest = Manifest::from_bytes(&self.blobs[&blob.id])
                    .map_err(|_| FetchLoss::Malformed(blob.id))?;
                Ok(Got::Manifest(Box::new(manifest)))
            }
            Want::Inputs { blobs, trees, parts } => {
                sources.extend(self.reachable_providers(index, job));
                for blob in blobs {
                    self.bring(index, blob.id, &sources)?;
                }
                for tree in trees {
                    self.bring_tree(index, tree.id, &sources)?;
                }
                let parts: Result<_, FetchLoss> =
                    parts.iter().map(|tree| Ok((tree.id, self.tree(tree.id)?))).collect();
                Ok(Got::Inputs { parts: parts? })
            }
            Want::Leaves(want) => {
                self.add_holders(index, want, &mut sources);
                let (pack, _) = self.bring_pack(index, want, &sources)?;
                let pack = Pack::from_bytes(&self.blobs[&pack.id]);
                Ok(Got::Leaves(pack.expect("a pack that fits is readable").digests()))
            }
            Want::Packs { wants, .. } => self.bring_packs(index, wants, sources),
            Want::Reads { plan, stage, units, packs } => {
                let given: Vec<usize> =
                    sources.iter().copied().chain(self.reachable_providers(index, job)).collect();
                for part in units.clone().filter_map(|unit| plan.part(*stage, unit)) {
                    self.bring(index, part.id, &given)?;
                }
                self.bring_packs(index, packs, sources)
            }
        }
    }

    fn bring_packs(
        &mut self,
        index: usize,
        wants: &[PackWant],
        mut sources: Vec<usize>,
    ) -> Result<Got, FetchLoss> {
        let (mut packs, mut failed) = (Vec::new(), 0);
        for want in wants {
            self.add_holders(index, want, &mut sources);
            let (pack, failures) = self.bring_pack(index, want, &sources)?;
            packs.push(pack);
            failed += failures;
        }
        Ok(Got::Packs { packs, failed })
    }

    fn add_holders(&self, index: usize, want: &PackWant, sources: &mut Vec<usize>) {
        let known = want.holders.iter().filter_map(|peer| self.names.peers.get(peer)).copied();
        sources.extend(known.filter(|other| self.can_reach(index, *other)));
    }

    fn bring(&mut self, index: usize, blob: BlobId, sources: &[usize]) -> Result<(), FetchLoss> {
        let held = |node: usize| self.nodes[node].store.contains(&blob);
        let given = |node: usize| held(node) && self.nodes[node].serves();
        if !held(index) && !sources.iter().any(|source| given(*source)) {
            return Err(FetchLoss::Missing(blob));
        }
        self.nodes[index].store.insert(blob);
        Ok(())
    }

    fn tree(&self, id: BlobId) -> Result<Tree, FetchLoss> {
        Tree::from_bytes(&self.blobs[&id]).map_err(|_| FetchLoss::Malformed(id))
    }

    fn bring_tree(&mut self, index: usize, id: BlobId, sources: &[usize]) -> Result<(), FetchLoss> {
        self.bring(index, id, sources)?;
        for entry in self.tree(id)?.entries() {
            self.bring(index, entry.blob.id, sources)?;
        }
        Ok(())
    }

    /// Brings any pack that has the right outcomes; how many of those are no successes.
    fn bring_pack(
        &mut self,
        index: usize,
        want: &PackWant,
        sources: &[usize],
    ) -> Result<(BlobRef, u64), FetchLoss> {
        for blob in &want.packs {
            let Some(bytes) = self.blobs.get(&blob.id) else { continue };
            let Ok(pack) = Pack::from_bytes(bytes) else { continue };
            let fits = pack.outcomes().len() as u64 == want.units
                && merkle_root(&pack.digests()) == want.root;
            if fits && self.bring(index, blob.id, sources).is_ok() {
                let failures = pack.outcomes().iter().filter(|o| !o.is_success()).count();
                return Ok((*blob, failures as u64));
            }
        }
        let missing = want.packs.first().map_or(BlobId::new([0; 32]), |blob| blob.id);
        Err(FetchLoss::Missing(missing))
    }

    fn execute(&mut self, index: usize, run: RunId, unit: u64) -> Result<Execution, Loss> {
        let running = &self.nodes[index].runs[&run];
        if let Some(blob) = running.missing {
            self.watch.mark("runs without their blobs");
            return Err(Loss::MissingBlob(blob));
        }
        let Running { job, ref plan, stage, ref reads, .. } = *running;
        let Some(truth) = self.truths.iter().find(|truth| truth.job == job) else {
            return Err(Loss::Refused("a job that nobody knows".to_owned()));
        };
        if !self.is_calm() && self.chance.percent(self.scenario.faults.run_loss) {
            return Err(match self.chance.below(3) {
                0 => Loss::WorkerCrash,
                1 => Loss::HostMemory,
                _ => Loss::Timeout,
            });
        }
        let gathered = reads.gathered(plan, stage, unit);
        let derived = plan.unit(stage, unit, gathered).expect("a unit that runs can be derived");
        let (execution, said) = truth.execute(stage, unit, &derived).ok_or(Loss::Timeout)?;
        self.blobs.insert(BlobId::of(&said), said);
        Ok(execution)
    }

    fn next_unit(&mut self, index: usize, run: RunId) {
        let node = &self.nodes[index];
        let Some(running) = node.runs.get(&run) else { return };
        let Some(unit) = running.todo.front().copied() else { return };
        let (life, slowness) = (node.life, node.slowness * node.drag);
        let number = self.names.jobs.get(&running.job).copied();
        let spec = number.map(|number| &self.scenario.jobs[number]);
        let unit_us = spec.map_or(0, |spec| spec.unit_ms * 1000);
        let is_endless = running.stage == 0 && spec.is_some_and(|s| s.looping.contains(&unit));
        let in_us = if running.missing.is_some() {
            1000
        } else if is_endless {
            running.plan.stage(running.stage).limits.cpu_ms * 1000
        } else {
            (unit_us as f64 * slowness * self.chance.factor(20)) as u64 + 100
        };
        self.later(in_us, Happening::UnitEnds { node: index, life, run });
    }
}
