//! A peer is short of the level that a job asks for, and waits for its turn.

use protocol::limits::LEVEL_MAX;
use protocol::{Announcement, Manifest, Message, levels_short};

use crate::told::{Told, job_of, key, network, peer};

/// How long a peer waits for each level that it is short of.
const LEVEL_MS: u64 = 120_000;

/// A job, and a worker that is one level short of what it asks for.
fn one_short() -> (Manifest, Told) {
    let mut manifest = job_of("submitter", 1, 1);
    manifest.policy.level = 2;
    let is_short = |name: &String| levels_short(manifest.job(), peer(name), 2) == 1;
    let name = (0..100).map(|n| format!("w{n}")).find(is_short).expect("every fourth is");
    let mut worker = Told::new(&name);
    worker.meet("submitter");
    worker.knows(&manifest);
    (manifest, worker)
}

fn announced(manifest: &Manifest, level: u8) -> Message {
    let said = Announcement { level, ..Announcement::of(manifest) };
    Message::Announce(key("submitter").sign(network(), said))
}

#[test]
fn it_joins_when_its_turn_has_come() {
    let (manifest, mut worker) = one_short();
    assert_eq!(worker.hear("submitter", announced(&manifest, 2)), ["record"]);
    assert!(worker.wait(LEVEL_MS - 1).is_empty());
    assert_eq!(worker.wait(1), ["fetch manifest"]);
    assert!(worker.get_everything().contains(&"join".to_owned()));
}

#[test]
fn it_does_not_join_a_job_that_needs_nobody_any_more() {
    let (manifest, mut worker) = one_short();
    worker.hear("submitter", announced(&manifest, 2));
    worker.wait(1_000);
    assert_eq!(worker.hear("submitter", announced(&manifest, LEVEL_MAX)), ["record"]);
    // What neighbours tell who have not heard of it changes nothing.
    assert!(worker.hear("neighbour", announced(&manifest, 2)).is_empty());
    assert!(worker.wait(3 * LEVEL_MS).is_empty());
    // Should the job be re-opened after all, everybody's turn comes in the end.
    assert_eq!(worker.wait(u64::from(LEVEL_MAX) * LEVEL_MS), ["fetch manifest"]);
    assert!(worker.get_everything().contains(&"join".to_owned()));
}
