//! How events and effects are written down: one short line each, in traces and under the trace's hash.

use std::collections::BTreeMap;
use std::fmt::Display;

use engine::{Effect, Event, Got, Want};
use protocol::{About, Item, JobId, Message, PeerId, Signed, Slot, Step};

/// Short names for peers and jobs: `n3`, `j0`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) peers: BTreeMap<PeerId, usize>,
    pub(crate) jobs: BTreeMap<JobId, usize>,
}

impl Names {
    pub(crate) fn peer(&self, peer: PeerId) -> String {
        self.peers.get(&peer).map_or_else(|| "n?".to_owned(), |index| format!("n{index}"))
    }

    pub(crate) fn job(&self, job: JobId) -> String {
        self.jobs.get(&job).map_or_else(|| "j?".to_owned(), |index| format!("j{index}"))
    }

    pub(crate) fn event(&self, event: &Event) -> String {
        match event {
            Event::Resumed { records, executions } => {
                format!("Resumed {} records {} executions", records.len(), executions.len())
            }
            Event::Submit { manifest, .. } => format!("Submit {}", self.job(manifest.job())),
            Event::Stamped { stamp } => format!("Stamped {} bits", stamp.bits),
            Event::Open { job } => format!("Open {}", self.job(*job)),
            Event::Cancel { job } => format!("Cancel {}", self.job(*job)),
            Event::Work { on } => format!("Work {on}"),
            Event::PeerUp { peer } => format!("PeerUp {}", self.peer(*peer)),
            Event::PeerDown { peer } => format!("PeerDown {}", self.peer(*peer)),
            Event::Heard { from, message, receipt } => {
                let how = if receipt.is_some() { "gossip" } else { "direct" };
                format!("Heard {how} from {} {}", self.peer(*from), self.message(message))
            }
            Event::Recorded { record } => format!("Recorded {}", record.0),
            Event::Fetched { fetch, got } => {
                let got = match got {
                    Ok(Got::Manifest(manifest)) => format!("manifest {}", self.job(manifest.job())),
                    Ok(Got::Inputs { parts }) => format!("inputs, {} part trees", parts.len()),
                    Ok(Got::Packs { packs, failed }) => {
                        format!("{} packs, {failed} failed", packs.len())
                    }
                    Ok(Got::Leaves(leaves)) => format!("{} leaves", leaves.len()),
                    Err(loss) => format!("{loss:?}"),
                };
                format!("Fetched {} {got}", fetch.0)
            }
            Event::Ran { run, units } => {
                let units = units.iter().map(|(unit, ran)| match ran {
                    Ok(execution) => format!("{unit}={}", short(execution.outcome.digest())),
                    Err(loss) => format!("{unit}={loss:?}"),
                });
                format!("Ran r{} {}", run.0, units.collect::<Vec<_>>().join(" "))
            }
            Event::Packed { pack, blob } => format!("Packed {} {}", pack.0, short(blob.id)),
            Event::Probed { probe, held } => format!("Probed {} {held}", probe.0),
            Event::Recalled { recall, units } => {
                format!("Recalled {} {} units", recall.0, units.len())
            }
            Event::Tick => "Tick".to_owned(),
        }
    }

    pub(crate) fn effect(&self, effect: &Effect) -> String {
        match effect {
            Effect::Record { id, record } => {
                let id = id.map_or_else(|| "-".to_owned(), |id| id.0.to_string());
                let value = record.value.as_ref().map(Vec::len);
                format!("Record {id} {} {value:?}", short(protocol::hash("key", &[&record.key])))
            }
            Effect::Send { to, message } => {
                format!("Send {} {}", self.peer(*to), self.message(message))
            }
            Effect::Broadcast { job, message } => {
                format!("Broadcast {} {}", self.job(*job), self.message(message))
            }
            Effect::Announce { message } => format!("Announce {}", self.message(message)),
            Effect::Judge { receipt, judgement } => format!("Judge {} {judgement:?}", receipt.0),
            Effect::Join { job } => format!("Join {}", self.job(*job)),
            Effect::Leave { job } => format!("Leave {}", self.job(*job)),
            Effect::Provide { job, blobs } => {
                format!("Provide {} {} blobs", self.job(*job), blobs.len())
            }
            Effect::Seek { job } => format!("Seek {}", self.job(*job)),
            Effect::Fetch { fetch, job, want, from } => {
                let want = match want {
                    Want::Manifest(_) => "manifest".to_owned(),
                    Want::Inputs { blobs, trees, .. } => {
                        format!("{} blobs {} trees", blobs.len(), trees.len())
                    }
                    Want::Packs { wants, .. } => format!("{} packs", wants.len()),
                    Want::Reads { stage, packs, .. } => {
                        format!("{} packs that stage {stage} reads", packs.len())
                    }
                    Want::Leaves(pack) => format!("leaves of s{}b{}", pack.stage, pack.batch),
                };
                let from: Vec<String> = from.iter().map(|peer| self.peer(*peer)).collect();
                format!("Fetch {} {} {want} from {}", fetch.0, self.job(*job), from.join(","))
            }
            Effect::Run { run, job, stage, units, .. } => {
                format!("Run r{} {} s{stage} {units:?}", run.0, self.job(*job))
            }
            Effect::Recall { recall, stage, .. } => format!("Recall {} s{stage}", recall.0),
            Effect::Remember { job, .. } => format!("Remember {}", self.job(*job)),
            Effect::Stop { run } => format!("Stop r{}", run.0),
            Effect::Pack { pack, job, stage, units, .. } => {
                format!("Pack {} {} s{stage} {units:?}", pack.0, self.job(*job))
            }
            Effect::Release { stage, units, .. } => format!("Release s{stage} {units:?}"),
            Effect::Probe { probe, peer, .. } => {
                format!("Probe {} {}", probe.0, self.peer(*peer))
            }
            Effect::Changed { job } => format!("Changed {}", self.job(*job)),
            Effect::Forget { job } => format!("Forget {}", self.job(*job)),
        }
    }

    pub(crate) fn message(&self, message: &Message) -> String {
        match message {
            Message::Hello(hello) => format!("Hello works={} keeps={}", hello.works, hello.keeps),
            Message::Announce(announcement) => {
                format!("Announce {}", self.job(announcement.value().job))
            }
            Message::Jobs(jobs) => format!("Jobs {}", self.jobs(jobs)),
            Message::WantJobs(jobs) => format!("WantJobs {}", self.jobs(jobs)),
            Message::Steps(steps) => {
                let steps: Vec<String> = steps.iter().map(|step| self.step(step)).collect();
                format!("Steps [{}]", steps.join("; "))
            }
            Message::Claim(claim) => {
                let value = claim.value();
                let (author, job) = (self.peer(claim.author()), self.job(value.job));
                format!(
                    "Claim {author} {job} s{} {:?} {}ms",
                    value.stage, value.batches, value.span_ms
                )
            }
            Message::Heads(heads) => {
                let rows =
                    heads.heads.iter().map(|h| format!("{}:{}", self.peer(h.author), h.next));
                format!(
                    "Heads {} [{}] forked {} answer={}",
                    self.job(heads.job),
                    rows.collect::<Vec<_>>().join(" "),
                    heads.forked.len(),
                    heads.answer
                )
            }
            Message::Keep(job) => format!("Keep {}", self.job(*job)),
            Message::Kept(job) => format!("Kept {}", self.job(*job)),
        }
    }

    fn jobs(&self, jobs: &[JobId]) -> String {
        jobs.iter().map(|job| self.job(*job)).collect::<Vec<_>>().join(",")
    }

    fn step(&self, step: &Signed<Step>) -> String {
        let value = step.value();
        let items: Vec<String> = value.items.iter().map(|item| self.item(item)).collect();
        let author = self.peer(step.author());
        format!(
            "{author}#{} {} {}: {}",
            value.seq,
            self.job(value.job),
            short(step.id()),
            items.join(", ")
        )
    }

    fn item(&self, item: &Item) -> String {
        match item {
            Item::Vote(vote) => {
                let path = if vote.path.is_empty() { "" } else { " with path" };
                format!("vote {} {}{path}", slot(&vote.slot), short(vote.root))
            }
            Item::Certificate(certificate) => {
                let voters = certificate.proofs.iter().map(|shown| self.peer(shown.voter));
                let voters = voters.collect::<Vec<_>>().join("+");
                format!("cert {} {} {voters}", slot(&certificate.slot), short(certificate.root))
            }
            Item::Leaves(leaves) => format!(
                "leaves {} {} ({})",
                slot(&leaves.slot),
                short(leaves.root),
                leaves.digests.len()
            ),
            Item::Abstention(abstention) => format!(
                "abstain {} unit {} {:?}",
                slot(&abstention.slot),
                abstention.unit,
                abstention.reason
            ),
            Item::Seal(seal) => {
                format!("seal s{} from b{}: {}", seal.stage, seal.first, seal.batches.len())
            }
            Item::Keepers(peers) => {
                let peers: Vec<String> = peers.iter().map(|peer| self.peer(*peer)).collect();
                format!("keepers {}", peers.join(","))
            }
            Item::Cancel => "cancel".to_owned(),
        }
    }
}

fn slot(slot: &Slot) -> String {
    match slot.about {
        About::Batch(batch) => format!("s{}b{batch}/{}", slot.stage, short(slot.units)),
        About::Unit(unit) => format!("s{}u{unit}/{}", slot.stage, short(slot.units)),
    }
}

fn short(id: impl Display) -> String {
    let text = id.to_string();
    text[text.len() - 6..].to_owned()
}
