//! Finishing: what every job must come to once the faults have stopped.

use engine::{JobState, JobView};
use protocol::Assurance;

use crate::node::Node;
use crate::world::World;

impl World {
    /// **Every job finishes once the faults stop**, at every honest node that takes part in it, and
    /// all of those nodes see the same, sealed where its submitter is there; what is missing for that.
    pub(crate) fn unfinished(&self) -> Option<String> {
        (0..self.truths.len()).find_map(|job| self.job_unfinished(job))
    }

    fn job_unfinished(&self, job: usize) -> Option<String> {
        let (truth, fate) = (&self.truths[job], &self.jobs[job]);
        if fate.is_excused || !fate.is_submitted || self.scenario.is_staged(job) {
            return None;
        }
        let mut first: Option<(usize, String)> = None;
        for node in self.nodes.iter().filter(|node| node.is_honest()) {
            let Some(engine) = &node.engine else { continue };
            let takes_part = node.joined.contains(&truth.job) || truth.spec.submitter == node.index;
            let Some(view) = engine.job(truth.job) else { continue };
            if !takes_part && !is_end(&view.state) {
                continue;
            }
            if !self.is_final(job, &view) {
                let text = self.state_text(node.index, &view);
                return Some(format!("j{job} at n{} is {:?}: {text}", node.index, view.state));
            }
            if node.index == truth.spec.submitter && self.waits_for_seals(job, &view) {
                return Some(format!("j{job} waits for seals, {:?}", view.stages));
            }
            let text = self.outcome_text(node.index, &view);
            if let Some((other, theirs)) = &first
                && *theirs != text
            {
                return Some(format!("j{job}: n{other} sees {theirs}, n{} {text}", node.index));
            }
            first.get_or_insert((node.index, text));
        }
        if first.is_none() { Some(format!("nobody takes part in j{job}")) } else { None }
    }

    /// Whether the state is one in which this job may end.
    fn is_final(&self, job: usize, view: &JobView) -> bool {
        let (truth, fate) = (&self.truths[job], &self.jobs[job]);
        let lied_away = !self.is_below_bound(truth.job);
        let endless = !truth.spec.looping.is_empty();
        match view.state {
            JobState::Verified => !endless || lied_away,
            JobState::Failed { .. } => truth.fails(),
            JobState::Stuck(_) => endless,
            JobState::SelfExecuted => self.workers(job) < usize::from(truth.spec.quorum),
            JobState::Cancelled => fate.is_cancelled,
            // Whoever makes outcomes up may also keep their bytes, or have none; and what nobody can execute
            // nobody can make again.
            JobState::Running => {
                let (first, endless) = (&view.stages[0], truth.spec.looping.len() as u64);
                let made_up =
                    !self.is_below_bound(truth.job) && first.units <= first.accepted + endless;
                made_up || (view.disputed != 0 && self.may_stay_contested(job))
            }
            JobState::Seeking
            | JobState::Fetching
            | JobState::Broken { .. }
            | JobState::Expired => false,
        }
    }

    /// Whether a contest may wait for ever: for workers who have left and had a say, where no anchor is left to
    /// decide it. A liar's unconfirmed ballot counts twice (`docs/decisions/0004`).
    fn may_stay_contested(&self, job: usize) -> bool {
        let spec = &self.truths[job].spec;
        let anchors = std::iter::once(&spec.submitter).chain(&spec.co_anchors);
        let has_anchor = anchors.clone().any(|index| !self.nodes[*index].is_gone);
        let named: Vec<&usize> = anchors.collect();
        let honest = |node: &&Node| node.is_honest() && !named.contains(&&node.index);
        let gone = self.nodes.iter().filter(honest).filter(|node| node.is_gone).count();
        let (present, liars) = (self.workers(job), self.scenario.liar_count());
        let ahead = present.saturating_sub(liars);
        !has_anchor && ahead <= gone + liars && ahead < usize::from(spec.lead)
    }

    /// Honest nodes that may work on a job whatever else happens.
    fn workers(&self, job: usize) -> usize {
        let spec = &self.truths[job].spec;
        let is_worker = |node: &&Node| {
            let named = node.index == spec.submitter || spec.co_anchors.contains(&node.index);
            node.is_honest() && node.is_up() && !named
        };
        self.nodes.iter().filter(is_worker).count()
    }

    /// Whether its submitter, who sees it verified by enough independent peers, has not sealed all of it.
    fn waits_for_seals(&self, job: usize, view: &JobView) -> bool {
        let enough = usize::from(self.truths[job].spec.quorum) <= self.workers(job);
        let is_verified = matches!(view.state, JobState::Verified);
        enough && is_verified && view.assurance != Assurance::Sealed
    }

    pub(crate) fn finish(&mut self) {
        self.is_over = true;
        for job in 0..self.truths.len() {
            let fate = &self.jobs[job];
            if fate.is_cancelled || fate.is_excused || self.scenario.is_staged(job) {
                continue;
            }
            self.audits_happen(job);
            self.coins_differ(job);
            let (id, submitter) = (self.truths[job].job, self.truths[job].spec.submitter);
            let engine = self.nodes[submitter].engine.as_ref();
            let results = engine.and_then(|engine| engine.results(id)).unwrap_or_default();
            let wrong = results.iter().any(|result| {
                let units = result.first_unit..result.first_unit + result.units;
                let right = self.truths[job].root(result.stage, units);
                result.verified && right.is_some_and(|right| right != result.root)
            });
            if wrong {
                self.watch.mark("jobs that ended wrong above the bound");
            }
        }
    }
}

/// Whether a node that has left the job's topic may have done so.
fn is_end(state: &JobState) -> bool {
    match state {
        JobState::Verified
        | JobState::SelfExecuted
        | JobState::Failed { .. }
        | JobState::Stuck(_)
        | JobState::Broken { .. }
        | JobState::Cancelled
        | JobState::Expired => true,
        JobState::Seeking | JobState::Fetching | JobState::Running => false,
    }
}
