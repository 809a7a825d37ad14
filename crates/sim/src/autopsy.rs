//! The autopsy: after a promise was broken, what all steps together say, and where each job stands.

use protocol::{About, Ledger, Message, Standing};

use crate::world::World;

impl World {
    /// What is not settled, by the union of all logs and by each node's own view.
    pub fn autopsy(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, truth) in self.truths.iter().enumerate() {
            let mut ledger = Ledger::new(truth.plan.clone());
            for step in &self.record.steps {
                if step.value().job == truth.job {
                    let _ = ledger.insert(step.clone());
                }
            }
            let heads = self.names.message(&Message::Heads(ledger.heads(false)));
            lines.push(format!("j{number} by all steps: {heads}"));
            self.dissect(&mut ledger, &mut lines);
            for node in &self.nodes {
                let view = node.engine.as_ref().and_then(|engine| engine.job(truth.job));
                if let Some(view) = view {
                    let (index, why) = (node.index, &view.idle_reason);
                    let text = self.state_text(index, &view);
                    lines.push(format!("j{number} n{index} {:?} {why:?} {text}", view.state));
                }
            }
        }
        lines
    }

    fn dissect(&self, ledger: &mut Ledger, lines: &mut Vec<String>) {
        let verdict = ledger.verdict().clone();
        for stage in ledger.plan().clone().stages() {
            for (batch, verdict) in verdict.batches(stage).iter().enumerate() {
                let standing = match &verdict.standing {
                    Standing::Open => "open".to_owned(),
                    Standing::SelfExecuted { .. } => "self-executed".to_owned(),
                    Standing::Quorum { voters, .. } => {
                        let voters = voters.iter().map(|peer| self.names.peer(*peer));
                        format!("quorum {}", voters.collect::<Vec<_>>().join("+"))
                    }
                };
                if !verdict.is_verified() {
                    lines.push(format!(
                        "  stage {stage} batch {batch}: {standing}, units {:?}, leaves wanted {}, effective {}",
                        verdict.units,
                        verdict.leaves_wanted.len(),
                        verdict.effective.is_some(),
                    ));
                }
            }
        }
        for (slot, book) in ledger.books() {
            let About::Batch(batch) = slot.about else { continue };
            if verdict.batch(slot.stage, batch).is_verified() {
                continue;
            }
            let votes: Vec<String> = book
                .votes()
                .map(|(peer, cast)| {
                    let by = book.votes().filter(|(by, _)| book.is_shown(peer, *by));
                    let by: Vec<String> = by.map(|(by, _)| self.names.peer(by)).collect();
                    let root: String = cast.root.to_string().chars().take(6).collect();
                    format!("{}={root} shown by [{}]", self.names.peer(peer), by.join(" "))
                })
                .collect();
            let stage = slot.stage;
            lines.push(format!("  stage {stage} batch {batch} said: {}", votes.join(", ")));
        }
        let names = |peers: Vec<protocol::PeerId>| {
            peers.into_iter().map(|peer| self.names.peer(peer)).collect::<Vec<_>>().join(" ")
        };
        lines.push(format!(
            "  contested {:?}, decided {:?}, convicted [{}], equivocators [{}]",
            verdict.contested,
            verdict.decided,
            names(verdict.convicted.keys().copied().collect()),
            names(verdict.equivocators.iter().copied().collect()),
        ));
    }
}
