//! A node is killed and comes back with its journal.

use engine::{Event, JobState};
use protocol::{Manifest, Message};

use crate::told::{Told, executed, job_of};

/// A worker that was killed, and starts again with its journal and these executions.
fn restarted(executions: Vec<(u16, u64)>, before: &Told, manifest: &Manifest) -> Told {
    let mut worker = Told::new("worker");
    let job = manifest.job();
    let records = before.journal.clone().into_iter().collect();
    let executions =
        executions.into_iter().map(|(stage, unit)| (job, stage, unit, executed(unit))).collect();
    worker.knows(manifest);
    worker.tell(Event::Resumed { records, executions });
    worker
}

#[test]
fn what_was_voted_on_is_not_executed_again_and_the_vote_reaches_the_others() {
    let manifest = job_of("submitter", 1, 1);
    let mut before = Told::new("worker");
    before.meet("submitter");
    before.learn("submitter", &manifest);
    let [(run, units)] = before.runs().try_into().expect("one run");
    before.finish(run, &units);
    // Killed here: the vote is on disk, and nobody has heard it.
    let mut worker = restarted(vec![], &before, &manifest);
    worker.get_everything();
    worker.meet("submitter");
    assert!(worker.runs().is_empty());
    let heads =
        protocol::Heads { job: manifest.job(), heads: vec![], forked: vec![], answer: true };
    assert_eq!(worker.hear("submitter", Message::Heads(heads)), ["send vote"]);
    assert_eq!(worker.wait(60_000), ["send heads"]);
    assert!(worker.runs().is_empty());
}

#[test]
fn of_an_unfinished_batch_only_what_is_missing_is_run() {
    let manifest = job_of("submitter", 4, 4);
    let mut before = Told::new("worker");
    before.meet("submitter");
    before.learn("submitter", &manifest);
    let [(_, first)] = before.runs().try_into().expect("one run");
    assert_eq!(first.len(), 2, "half of what is left goes into a batch of half the size");
    let done = first[0];
    let mut worker = restarted(vec![(0, done)], &before, &manifest);
    worker.get_everything();
    let missing: Vec<u64> = first.into_iter().filter(|unit| *unit != done).collect();
    assert!(worker.runs().iter().any(|(_, units)| *units == missing), "{:?}", worker.runs());
}

#[test]
fn a_submitter_that_comes_back_still_knows_its_job() {
    let manifest = job_of("worker", 1, 1);
    let mut before = Told::new("worker");
    before.tell(Event::Submit { manifest: manifest.clone(), stamp: None });
    before.sync();
    let after = restarted(vec![], &before, &manifest);
    let job = after.engine.job(manifest.job()).expect("it is in the journal");
    assert_eq!(job.state, JobState::Fetching);
    assert_eq!(job.submitter, manifest.submitter);
}
