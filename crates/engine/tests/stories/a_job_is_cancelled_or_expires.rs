//! A submitter does not want its job any more, or its time is over.

use engine::{Event, JobState};
use protocol::Message;

use crate::told::{Told, job_of};

#[test]
fn workers_stop_when_the_submitter_cancels() {
    let manifest = job_of("submitter", 1, 1);
    let mut submitter = Told::new("submitter");
    submitter.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: false });
    submitter.sync();
    submitter.tell(Event::Cancel { job: manifest.job() });
    let told = submitter.sync();
    assert!(told.contains(&"tell all cancel".to_owned()), "{told:?}");
    let cancel = submitter.said();
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.learn("submitter", &manifest);
    let told = worker.hear("submitter", Message::Steps(cancel));
    assert_eq!(told, ["record", "leave", "stop"]);
    assert_eq!(worker.engine.job(manifest.job()).unwrap().state, JobState::Cancelled);
}

#[test]
fn nobody_else_can_cancel_a_job() {
    let manifest = job_of("submitter", 1, 1);
    let mut other = Told::new("other");
    other.meet("submitter");
    other.learn("submitter", &manifest);
    let told = other.tell(Event::Cancel { job: manifest.job() });
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn an_expired_job_is_forgotten() {
    let manifest = job_of("submitter", 1, 1);
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.learn("submitter", &manifest);
    worker.now.unix_ms = manifest.expires_ms + 1;
    assert_eq!(worker.wait(1), ["leave", "forget"]);
    assert!(worker.engine.job(manifest.job()).is_none());
}
