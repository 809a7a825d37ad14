//! The terms: what a network asks of identities and jobs is made here, filled in, and checked at the door.

use engine::{Effect, Event};
use protocol::{Hello, JobId, Message, Stamp, Stamped};

use crate::body::{Body, config};
use crate::guests;

fn junk() -> Stamp {
    Stamp { epoch: 680, bits: 9, nonce: 7 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stamp_that_was_not_paid_for_is_turned_away_with_its_message() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, mut other) = Body::pair(config(dirs[0].path()), config(dirs[1].path())).await;
    let to = other.node.me();
    let of = Stamped::Peer(one.node.me());
    let good = Stamp::mint(one.node.network(), of, 680, 0, 0..1 << 20).unwrap();
    for stamp in [junk(), good] {
        let message = Message::Hello(Hello { works: true, keeps: false, stamp: Some(stamp) });
        one.does(Effect::Send { to, message }).await;
    }
    let heard = other.until(|event| matches!(event, Event::Heard { .. })).await;
    let Event::Heard { message: Message::Hello(hello), .. } = heard else { panic!("{heard:?}") };
    assert_eq!(hello.stamp, Some(good));
    let metrics = other.node.metrics();
    assert!(metrics.contains("dugnad_messages_rejected_total 1\n"), "{metrics}");
    assert!(metrics.contains("dugnad_stamps_checked_total 2\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_makes_its_stamp_once_and_has_it_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.stamp_bits = 1;
    let mut body = Body::start(config.clone()).await;
    let stamped = body.until(|event| matches!(event, Event::Stamped { .. })).await;
    let Event::Stamped { stamp } = stamped else { panic!("{stamped:?}") };
    assert!(stamp.is_sound(body.node.network(), Stamped::Peer(body.node.me())));
    assert!(stamp.bits == 1 && body.node.is_stamped());
    body.is_durable().await;
    body.node.shutdown().await;
    let again = Body::start(config.clone()).await;
    assert!(again.node.is_stamped());
    again.node.shutdown().await;
    // A network that asks for more gets a new one.
    config.stamp_bits = 2;
    let mut more = Body::start(config).await;
    assert!(!more.node.is_stamped());
    let stamped = more.until(|event| matches!(event, Event::Stamped { .. })).await;
    assert!(matches!(stamped, Event::Stamped { stamp } if stamp.bits == 2), "{stamped:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_carries_its_stamp_and_what_its_author_left_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    (config.stamp_bits, config.job_stamp) = (1, Some(0));
    let mut body = Body::start(config).await;
    for (wanted, bits) in [(None, 1), (Some(5), 5)] {
        let mut draft = guests::squares(&body.node);
        (draft.policy.stamp_bits, draft.policy.level) = (wanted, wanted);
        let job: JobId = body.node.submit(draft).await.unwrap();
        let submitted = body.until(|event| matches!(event, Event::Submit { .. })).await;
        let Event::Submit { manifest, stamp, .. } = submitted else { panic!("{submitted:?}") };
        assert_eq!(manifest.job(), job);
        // Nobody else is there: a job that leaves the level open is for everybody.
        assert_eq!(
            (manifest.policy.stamp_bits, manifest.policy.level),
            (bits, wanted.unwrap_or(0))
        );
        let stamp = stamp.expect("the network asks for one");
        assert_eq!(stamp.bits, protocol::job_stamp_bits(manifest.work_ms(), 0));
        assert!(stamp.is_sound(body.node.network(), Stamped::Job(job)));
    }
    let mut large = guests::squares(&body.node);
    large.stages[0].source = client::DraftSource::Range { from: 0, to: 1 << 24, block: 1 };
    large.stages[0].batch = 1024;
    large.stages[0].limits.cpu_ms = 86_400_000;
    let refused = body.node.submit(large).await.unwrap_err().to_string();
    assert!(refused.contains("32 bits") && refused.contains("hint: lower"), "{refused}");
}
