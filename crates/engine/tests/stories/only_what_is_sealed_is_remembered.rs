//! Memory across jobs: only what the submitter itself has audited and sealed enters it, and only of its own jobs.

use std::collections::VecDeque;

use engine::{Effect, Event};
use protocol::{Announcement, BlobRef, Hash, Item, Manifest, Message, Signed, Step, merkle_root};

use crate::told::{Told, executed, job_of, key, network};

type Steps = Vec<Signed<Step>>;

/// A job of one unit, which whoever did not vote on it audits.
fn job() -> Manifest {
    let mut manifest = job_of("submitter", 1, 1);
    manifest.policy.audit_ppm = 1_000_000;
    manifest
}

fn root(gives: u64) -> Hash {
    merkle_root(&[executed(gives).outcome.digest()])
}

/// Does what a node asks for in ten seconds, and knows nothing of earlier jobs: the unit gives what unit `gives`
/// does. Returns everything that it has asked for.
fn go_on(node: &mut Told, gives: u64) -> Vec<Effect> {
    let mut all = vec![];
    let mut asked: VecDeque<Effect> = std::mem::take(&mut node.last).into();
    let mut seconds = 0;
    while seconds <= 10 {
        let Some(effect) = asked.pop_front() else {
            seconds += 1;
            node.wait(1_000);
            asked.extend(std::mem::take(&mut node.last));
            continue;
        };
        all.push(effect.clone());
        let event = match effect {
            Effect::Fetch { fetch, job, want, .. } => {
                Event::Fetched { fetch, got: Ok(node.right(job, &want)) }
            }
            Effect::Run { run, units, .. } => {
                let units = units.iter().map(|unit| (*unit, Ok(executed(gives)))).collect();
                Event::Ran { run, units }
            }
            Effect::Pack { pack, .. } => {
                Event::Packed { pack, blob: BlobRef::of(&gives.to_le_bytes()) }
            }
            Effect::Record { id: Some(record), .. } => Event::Recorded { record },
            Effect::Recall { recall, .. } => Event::Recalled { recall, units: vec![] },
            _ => continue,
        };
        node.tell(event);
        asked.extend(std::mem::take(&mut node.last));
    }
    all
}

fn said(effects: &[Effect]) -> Steps {
    let steps = |effect: &Effect| match effect {
        Effect::Broadcast { message: Message::Steps(steps), .. } => Some(steps.clone()),
        _ => None,
    };
    effects.iter().filter_map(steps).flatten().collect()
}

/// Two who execute the job and vote alike; the submitter has published it, and looked into its memory.
struct Town {
    workers: [Told; 2],
    submitter: Told,
    /// What the two have said, and what the submitter has before it heard of that.
    said: Steps,
    published: Steps,
}

impl Town {
    fn of(manifest: &Manifest, gives: u64) -> Self {
        let mut workers = [Told::new("a"), Told::new("b")];
        for (worker, other) in workers.iter_mut().zip(["b", "a"]) {
            worker.meet("submitter");
            worker.meet(other);
            worker.knows(manifest);
            let announcement = key("submitter").sign(network(), Announcement::of(manifest));
            worker.hear("submitter", Message::Announce(announcement));
        }
        let mut all = vec![];
        for _ in 0..5 {
            let [a, b] = &mut workers;
            let of_a = said(&go_on(a, gives));
            hear(b, "a", &of_a);
            let of_b = said(&go_on(b, gives));
            hear(a, "b", &of_b);
            all.extend(of_a.into_iter().chain(of_b));
        }
        let mut submitter = Told::new("submitter");
        submitter.meet("a");
        submitter.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: true });
        let asked = go_on(&mut submitter, gives);
        assert!(asked.iter().any(|effect| matches!(effect, Effect::Recall { .. })), "{asked:?}");
        Self { workers, submitter, said: all, published: said(&asked) }
    }
}

/// Tells a node steps, beside what it is still waiting for.
fn hear(node: &mut Told, from: &str, steps: &[Signed<Step>]) {
    let mut asked = std::mem::take(&mut node.last);
    node.hear(from, Message::Steps(steps.to_vec()));
    asked.append(&mut node.last);
    node.last = asked;
}

/// The roots of what is entered into memory.
fn remembered(effects: &[Effect]) -> Vec<Hash> {
    let packs = |effect: &Effect| match effect {
        Effect::Remember { packs, .. } => Some(packs.clone()),
        _ => None,
    };
    effects.iter().filter_map(packs).flatten().map(|pack| pack.root).collect()
}

fn seals(effect: &Effect) -> bool {
    let steps = said(std::slice::from_ref(effect));
    steps.iter().flat_map(|step| &step.value().items).any(|item| matches!(item, Item::Seal(_)))
}

#[test]
fn what_a_quorum_accepts_is_remembered_once_it_is_sealed_and_not_before() {
    let mut town = Town::of(&job(), 0);
    let submitter = &mut town.submitter;
    hear(submitter, "a", &town.said);
    assert_eq!(remembered(&submitter.last), [], "it is provisional");
    let asked = go_on(submitter, 0);
    assert_eq!(remembered(&asked), [root(0)]);
    let sealed = asked.iter().position(seals).expect("it seals the job");
    let entered = |effect: &Effect| matches!(effect, Effect::Remember { .. });
    assert!(sealed < asked.iter().position(entered).unwrap(), "{asked:?}");
}

#[test]
fn what_an_audit_revokes_is_never_remembered() {
    let mut town = Town::of(&job(), 0);
    hear(&mut town.submitter, "a", &town.said);
    let asked = go_on(&mut town.submitter, 9);
    let steps = said(&asked);
    let mut items = steps.iter().flat_map(|step| &step.value().items);
    let found = executed(9).outcome.digest();
    let is_against = |item: &Item| matches!(item, Item::Vote(vote) if vote.root == found);
    assert!(items.any(is_against), "it casts a ballot against them: {steps:?}");
    assert!(!remembered(&asked).contains(&root(0)), "{asked:?}");
}

#[test]
fn nobody_remembers_or_recalls_anything_of_a_job_that_is_not_its_own() {
    let mut town = Town::of(&job(), 0);
    hear(&mut town.submitter, "a", &town.said);
    let of_submitter = [town.published, said(&go_on(&mut town.submitter, 0))].concat();
    let worker = &mut town.workers[0];
    hear(worker, "submitter", &of_submitter);
    let asked = go_on(worker, 0);
    let job = worker.engine.job(job().job()).unwrap();
    assert_eq!(job.assurance, protocol::Assurance::Sealed, "it knows of the seal");
    let of_memory =
        |effect: &Effect| matches!(effect, Effect::Remember { .. } | Effect::Recall { .. });
    assert!(!asked.iter().any(of_memory), "{asked:?}");
}
