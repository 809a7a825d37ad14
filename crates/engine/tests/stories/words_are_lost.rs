//! Gossip is lost in the middle of a log, while others go on talking.

use protocol::{About, Abstention, Hash, Item, JobId, Message, Reason, Signed, Slot, Step, StepId};

use crate::told::{Told, job_of, key, network};

/// A log of so many steps that say little.
fn log(name: &str, job: JobId, steps: u64) -> Vec<Signed<Step>> {
    let mut prev = StepId::new([0; 32]);
    let step = |seq: u64| {
        let slot = Slot { stage: 0, about: About::Batch(0), units: Hash::ZERO };
        let items =
            vec![Item::Abstention(Abstention { slot, unit: seq % 10, reason: Reason::Timeout })];
        let step = Step { job, shard: 0, seq, prev, level: 0, stamp: None, report: None, items };
        let signed = key(name).sign(network(), step);
        prev = signed.id();
        signed
    };
    (0..steps).map(step).collect()
}

#[test]
fn what_is_missing_is_asked_for_although_there_is_always_news() {
    let manifest = job_of("submitter", 40, 40);
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.meet("gappy");
    worker.meet("talker");
    worker.learn("submitter", &manifest);
    let gappy = log("gappy", manifest.job(), 3);
    let talk = log("talker", manifest.job(), 40);
    let mut asks = |steps: &[Signed<Step>]| {
        let asks = steps.iter().filter(|step| {
            worker.hear("talker", Message::Steps(vec![(*step).clone()]));
            worker.wait(200).contains(&"send heads".to_owned())
        });
        asks.count()
    };
    assert_eq!(asks(&talk[..10]), 0);
    // The first of them is lost.
    assert_eq!(asks(&gappy[1..]) + asks(&talk[10..25]), 3, "once a second");
    assert_eq!(asks(&gappy[..1]) + asks(&talk[25..]), 0, "it has come");
}

#[test]
fn steps_that_merely_overtook_each_other_are_not_asked_for() {
    let manifest = job_of("submitter", 40, 40);
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.learn("submitter", &manifest);
    let mut steps = log("talker", manifest.job(), 20);
    steps.swap(0, 1);
    for step in steps {
        worker.hear("talker", Message::Steps(vec![step]));
        let told = worker.wait(200);
        assert!(!told.contains(&"send heads".to_owned()), "{told:?}");
    }
}
