//! A unit gives no outcome on anybody's machine.

use std::collections::VecDeque;

use engine::{Effect, Event, JobState};
use protocol::{BlobRef, Execution, Loss, Message, Reason};

use crate::told::{Told, executed, job_of, peer};

#[test]
fn who_gives_up_says_so_and_the_job_names_the_unit_and_the_reason() {
    let (mut a, mut b) = (Told::new("a"), Told::new("b"));
    let manifest = job_of("submitter", 1, 1);
    let mut said = vec![];
    for (worker, other) in [(&mut a, "b"), (&mut b, "a")] {
        worker.meet("submitter");
        worker.meet(other);
        worker.learn("submitter", &manifest);
        let [(run, units)] = worker.runs().try_into().expect("one run");
        assert_eq!(worker.lose(run, &units, &Loss::Timeout), ["record, and say when"]);
        assert_eq!(worker.sync(), ["tell all abstention"]);
        said.push(worker.said());
    }
    let of_b = said.pop().unwrap();
    a.hear("b", Message::Steps(of_b));
    let JobState::Stuck(stuck) = a.engine.job(manifest.job()).unwrap().state else {
        panic!("not stuck")
    };
    assert_eq!((stuck[0].stage, stuck[0].unit), (0, 0));
    let mut reasons = vec![(peer("a"), Reason::Timeout), (peer("b"), Reason::Timeout)];
    reasons.sort();
    assert_eq!(stuck[0].reasons, reasons);
}

#[test]
fn a_run_that_was_stopped_here_is_no_abstention() {
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    let manifest = job_of("submitter", 1, 1);
    worker.learn("submitter", &manifest);
    let [(run, units)] = worker.runs().try_into().expect("one run");
    assert!(worker.lose(run, &units, &Loss::Cancelled).is_empty());
}

#[test]
fn where_one_vote_is_enough_a_lone_worker_gives_up_the_unit_and_not_its_batch() {
    let mut manifest = job_of("submitter", 3, 3);
    manifest.policy.quorum = 1;
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.learn("submitter", &manifest);
    live(&mut worker, |unit| if unit == 1 { Err(Loss::Timeout) } else { Ok(executed(unit)) });
    let view = worker.engine.job(manifest.job()).unwrap();
    assert_eq!((view.stages[0].accepted, view.stages[0].units), (2, 3));
    assert!(matches!(&view.state, JobState::Stuck(stuck) if stuck.len() == 1), "{:?}", view.state);
}

#[test]
fn a_submitter_alone_gives_up_the_batch_for_its_own_word_accepts_no_unit() {
    let mut manifest = job_of("submitter", 3, 3);
    manifest.policy.quorum = 1;
    let mut submitter = Told::new("submitter");
    let job = manifest.job();
    submitter.tell(Event::Submit { manifest, stamp: None, recalls: false });
    live(&mut submitter, |unit| if unit == 1 { Err(Loss::Timeout) } else { Ok(executed(unit)) });
    let state = submitter.engine.job(job).unwrap().state;
    assert!(matches!(&state, JobState::Stuck(stuck) if stuck.len() == 1), "{state:?}");
}

/// Does what a node asks of its machine, for half a minute.
fn live(worker: &mut Told, execute: fn(u64) -> Result<Execution, Loss>) {
    let mut asked: VecDeque<Effect> = std::mem::take(&mut worker.last).into();
    for _ in 0..30 {
        while let Some(effect) = asked.pop_front() {
            let event = match effect {
                Effect::Run { run, units, .. } => {
                    let units = units.into_iter().map(|unit| (unit, execute(unit))).collect();
                    Event::Ran { run, units }
                }
                Effect::Pack { pack, units, .. } => {
                    Event::Packed { pack, blob: BlobRef::of(&units[0].to_le_bytes()) }
                }
                Effect::Record { id: Some(record), .. } => Event::Recorded { record },
                Effect::Fetch { fetch, job, want, .. } => {
                    Event::Fetched { fetch, got: Ok(worker.right(job, &want)) }
                }
                _ => continue,
            };
            worker.tell(event);
            asked.append(&mut std::mem::take(&mut worker.last).into());
        }
        worker.wait(1_000);
        asked = std::mem::take(&mut worker.last).into();
    }
}
