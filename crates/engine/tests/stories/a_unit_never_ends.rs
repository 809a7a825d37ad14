//! A unit gives no outcome on anybody's machine.

use engine::JobState;
use protocol::{Loss, Message, Reason};

use crate::told::{Told, job_of, peer};

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
