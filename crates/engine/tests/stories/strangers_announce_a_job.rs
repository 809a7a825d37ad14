//! Strangers announce somebody else's job, under their own names and with false numbers.

use engine::{Effect, Event, FetchId, FetchLoss, Got, JobState};
use protocol::{Announcement, Manifest, Message, Signed};

use crate::told::{Told, job_of, key, network, peer};

fn announced(by: &str, what: Announcement) -> Message {
    Message::Announce(key(by).sign(network(), what))
}

fn of(manifest: &Manifest) -> Announcement {
    Announcement::of(manifest)
}

/// Everything that was announced to neighbours by the last event.
fn passed_on(told: &Told) -> Vec<&Signed<Announcement>> {
    let announcement = |effect| match effect {
        &Effect::Send { message: Message::Announce(ref announcement), .. } => Some(announcement),
        _ => None,
    };
    told.last.iter().filter_map(announcement).collect()
}

fn fetch(told: &Told) -> Option<FetchId> {
    told.last.iter().find_map(|effect| match effect {
        Effect::Fetch { fetch, .. } => Some(*fetch),
        _ => None,
    })
}

#[test]
fn a_stranger_s_announcement_does_not_keep_the_submitter_s_out() {
    let manifest = job_of("submitter", 1, 1);
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.knows(&manifest);
    assert_eq!(
        worker.hear("stranger", announced("stranger", of(&manifest))),
        ["record", "fetch manifest"]
    );
    // The true one comes while the manifest is on its way.
    assert_eq!(worker.hear("submitter", announced("submitter", of(&manifest))), ["record"]);
    worker.hear("stranger", announced("stranger", of(&manifest)));
    let mut other = Told::new("other");
    other.meet("submitter");
    other.knows(&manifest);
    other.hear("stranger", announced("stranger", of(&manifest)));
    // Here it comes after the manifest, and is passed on to neighbours who may have been told lies, too.
    let told = other.get_everything();
    assert!(told.contains(&"send want jobs".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line.starts_with("run")), "{told:?}");
    other.hear("submitter", announced("submitter", of(&manifest)));
    assert_eq!(passed_on(&other).len(), 1);
    other.get_everything();
    let told = other.hear_nothing_known("submitter", &manifest);
    assert!(told.contains(&"run [0]".to_owned()), "{told:?}");
}

#[test]
fn an_announcement_with_another_expiry_never_makes_a_worker_forget_what_it_signed() {
    let manifest = job_of("submitter", 1, 1);
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.knows(&manifest);
    let early = Announcement { expires_ms: 3_000, ..of(&manifest) };
    worker.hear("submitter", announced("submitter", early));
    let told = worker.get_everything();
    assert!(!told.iter().any(|line| line.starts_with("run")), "nothing true was heard: {told:?}");
    worker.hear("submitter", announced("submitter", of(&manifest)));
    worker.get_everything();
    worker.hear_nothing_known("submitter", &manifest);
    let (run, units) = worker.runs()[0].clone();
    worker.finish(run, &units);
    worker.sync();
    worker.now.unix_ms = 4_000;
    let told = worker.wait(1);
    assert!(!told.contains(&"forget".to_owned()), "{told:?}");
}

#[test]
fn false_sizes_cost_a_try_each() {
    let manifest = job_of("submitter", 1, 1);
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    let small = Announcement { manifest_bytes: 1, ..of(&manifest) };
    worker.hear("stranger", announced("stranger", small));
    let fetch = fetch(&worker);
    worker.hear("submitter", announced("submitter", of(&manifest)));
    let lost = Err(FetchLoss::Missing(manifest.job().blob()));
    worker.tell(Event::Fetched { fetch: fetch.unwrap(), got: lost });
    worker.knows(&manifest);
    worker.wait(500);
    worker.get_everything();
    let told = worker.hear_nothing_known("submitter", &manifest);
    assert!(told.contains(&"run [0]".to_owned()), "{told:?}");
}

#[test]
fn an_impossible_size_is_refused_and_counted() {
    let manifest = job_of("submitter", 1, 1);
    let mut worker = Told::new("worker");
    let huge = Announcement { manifest_bytes: 1 << 40, ..of(&manifest) };
    let message = announced("stranger", huge);
    let receipt = Some(engine::Receipt(1));
    let told = worker.tell(Event::Heard { from: peer("stranger"), message, receipt });
    assert_eq!(told, ["judge Reject"]);
    assert!(worker.engine.job(manifest.job()).is_none());
}

#[test]
fn a_crowd_of_strangers_takes_up_bounded_room_and_is_gone_with_the_manifest() {
    let manifest = job_of("submitter", 1, 1);
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    let mut fetches = vec![];
    for n in 0..20 {
        let stranger = format!("stranger {n}");
        worker.hear(&stranger, announced(&stranger, of(&manifest)));
        fetches.extend(fetch(&worker));
    }
    assert_eq!(worker.engine.job(manifest.job()).unwrap().state, JobState::Fetching);
    worker.hear("neighbour", Message::WantJobs(vec![manifest.job()]));
    assert_eq!(passed_on(&worker).len(), 4);
    let got = Ok(Got::Manifest(Box::new(manifest.clone())));
    worker.tell(Event::Fetched { fetch: fetches[0], got });
    worker.get_everything();
    worker.hear("submitter", announced("submitter", of(&manifest)));
    worker.get_everything();
    let told = worker.hear_nothing_known("submitter", &manifest);
    assert_eq!(fetches.len(), 1);
    assert!(told.contains(&"run [0]".to_owned()), "{told:?}");
}

#[test]
fn strangers_with_false_sizes_make_room_as_they_fail() {
    let manifest = job_of("submitter", 1, 1);
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    for n in 0..4 {
        let stranger = format!("stranger {n}");
        let small = Announcement { manifest_bytes: 1 + n, ..of(&manifest) };
        worker.hear(&stranger, announced(&stranger, small));
        let Some(fetch) = fetch(&worker) else { continue };
        let told = worker
            .tell(Event::Fetched { fetch, got: Err(FetchLoss::Missing(manifest.job().blob())) });
        assert!(told.contains(&"seek".to_owned()), "{told:?}");
    }
    worker.hear("submitter", announced("submitter", of(&manifest)));
    worker.knows(&manifest);
    worker.wait(500);
    worker.get_everything();
    let told = worker.hear_nothing_known("submitter", &manifest);
    assert!(told.contains(&"run [0]".to_owned()), "{told:?}");
}

#[test]
fn a_dispute_about_a_job_that_is_not_for_us_costs_its_manifest_and_no_more() {
    let mut manifest = job_of("submitter", 1, 1);
    manifest.stages[0].limits.memory_bytes = 2 << 30;
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.knows(&manifest);
    assert_eq!(worker.hear("submitter", announced("submitter", of(&manifest))), ["record"]);
    let mut told = worker.hear("stranger", announced("stranger", of(&manifest)));
    assert!(told.contains(&"fetch manifest".to_owned()), "{told:?}");
    told = worker.get_everything();
    assert_eq!(told, ["record"], "nothing is joined or fetched");
    assert_eq!(worker.wait(60_000), Vec::<String>::new());
}

#[test]
fn a_false_announcement_that_came_alone_is_questioned_once_it_leads_nowhere() {
    let manifest = job_of("submitter", 1, 1);
    let mut worker = Told::new("worker");
    worker.meet("neighbour");
    worker.knows(&manifest);
    let of_manifest = of(&manifest);
    let false_size = Announcement { manifest_bytes: of_manifest.manifest_bytes + 1, ..of_manifest };
    worker.hear("stranger", announced("stranger", false_size));
    let missing = FetchLoss::Missing(manifest.job().blob());
    let fetch = fetch(&worker).expect("the manifest is fetched");
    let told = worker.tell(Event::Fetched { fetch, got: Err(missing) });
    assert!(told.contains(&"send want jobs".to_owned()), "{told:?}");
    worker.hear("neighbour", announced("submitter", of(&manifest)));
    worker.wait(60_000);
    worker.get_everything();
    assert!(!matches!(worker.engine.job(manifest.job()).unwrap().state, JobState::Fetching));
}
