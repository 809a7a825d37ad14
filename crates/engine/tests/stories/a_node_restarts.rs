//! A node is killed and comes back with its journal.

use engine::{Event, JobState};
use protocol::limits::{HEADS_MAX, STEPS_SENT_MAX};
use protocol::{About, Hash, Item, Manifest, Message, Signed, Slot, Step, StepId, Vote, hash};

use crate::told::{Told, executed, job_of, key, network, peer};

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
    worker.hear_nothing_known("submitter", &manifest);
    let missing: Vec<u64> = first.into_iter().filter(|unit| *unit != done).collect();
    assert!(worker.runs().iter().any(|(_, units)| *units == missing), "{:?}", worker.runs());
}

#[test]
fn a_submitter_that_comes_back_still_knows_its_job() {
    let manifest = job_of("worker", 1, 1);
    let mut before = Told::new("worker");
    before.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: false });
    before.sync();
    let after = restarted(vec![], &before, &manifest);
    let job = after.engine.job(manifest.job()).expect("it is in the journal");
    assert_eq!(job.state, JobState::Fetching);
    assert_eq!(job.submitter, manifest.submitter);
}

// With thousands of authors, a ledger lets logs go that nobody has joined: here, our own.
#[test]
fn who_was_driven_out_of_a_job_does_not_begin_a_second_log() {
    // Who goes hangs on the job's name: in this one, our turn is among the last.
    let named = |nonce: u8| Manifest { nonce: Hash::new([nonce; 32]), ..job_of("submitter", 2, 1) };
    let turn = |job: &Manifest| {
        hash("author", &[job.job().as_bytes(), peer("worker").as_bytes()]).as_bytes()[0]
    };
    let manifest = (0..=u8::MAX).map(named).max_by_key(turn).expect("there are many");
    let mut before = Told::new("worker");
    before.meet("submitter");
    before.learn("submitter", &manifest);
    let [(run, units)] = before.runs().try_into().expect("one run");
    let results = vec![(units[0], Ok(executed(units[0])))];
    before.tell(Event::Ran { run, units: results });
    let began = before.runs();
    before.store_packs();
    let [(second, _)] = began.try_into().expect("the other unit's");
    before.sync();
    let crowd: Vec<_> =
        (0..2 * HEADS_MAX).map(|n| first_step(&format!("x{n}"), &manifest)).collect();
    for steps in crowd.chunks(STEPS_SENT_MAX) {
        before.hear("submitter", Message::Steps(steps.to_vec()));
    }
    let mut after = restarted(vec![], &before, &manifest);
    after.get_everything();
    for told in [&before, &after] {
        let kept = told.engine.proof(manifest.job()).unwrap().open().unwrap().ledger;
        assert!(!kept.authors().any(|author| author == peer("worker")), "it was driven out");
    }
    // What still runs leads to nothing, and nothing new is begun.
    let other = 1 - units[0];
    for (mut told, run) in [(before, Some(second)), (after, None)] {
        let mut lines = run.map_or(vec![], |run| told.finish(run, &[other]));
        lines.extend(told.wait(60_000));
        assert!(!lines.iter().any(|l| l.starts_with("run") || l.contains("say when")), "{lines:?}");
    }
}

/// A stranger's first word in a job.
fn first_step(who: &str, manifest: &Manifest) -> Signed<Step> {
    let slot = Slot { stage: 0, about: About::Batch(0), units: Hash::ZERO };
    let (root, prev) = (Hash::ZERO, StepId::new([0; 32]));
    let vote = Vote { slot, root, seal: Hash::ZERO, pack: None, path: vec![] };
    let (job, items) = (manifest.job(), vec![Item::Vote(vote)]);
    let step = Step { job, shard: 0, seq: 0, prev, level: 0, stamp: None, report: None, items };
    key(who).sign(network(), step)
}
