//! A peer is asked to keep a job.

use protocol::Message;

use crate::told::{Told, job_of};

#[test]
fn it_fetches_everything_before_it_says_that_it_keeps_the_job() {
    let mut keeper = Told::new("keeper");
    keeper.meet("submitter");
    let manifest = job_of("submitter", 1, 1);
    assert_eq!(keeper.hear("submitter", Message::Keep(manifest.job())), ["send want jobs", "seek"]);
    let told = keeper.learn("submitter", &manifest);
    let kept = told.iter().position(|line| line == "send kept").expect("it answers");
    let inputs = told.iter().position(|line| line == "fetch inputs").expect("it fetches");
    assert!(inputs < kept, "{told:?}");
}

#[test]
fn a_stranger_cannot_ask_in_the_submitters_name() {
    let mut keeper = Told::new("keeper");
    keeper.meet("submitter");
    keeper.meet("stranger");
    let manifest = job_of("submitter", 1, 1);
    keeper.hear("stranger", Message::Keep(manifest.job()));
    let told = keeper.learn("submitter", &manifest);
    assert!(!told.contains(&"send kept".to_owned()), "{told:?}");
}
