//! Talking and hearing: messages arrive in order, and a broken one is held against its sender.

use engine::{Effect, Event};
use protocol::{Announcement, BlobRef, Claim, Hello, JobId, Keypair, Message, NetworkId};

use crate::body::{Body, config};

fn kept(number: u8) -> Message {
    Message::Kept(JobId::new([number; 32]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_one_peer_arrive_in_order_whichever_way_they_are_said() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, mut other) = Body::pair(config(dirs[0].path()), config(dirs[1].path())).await;
    let to = other.node.me();
    one.does(Effect::Send {
        to,
        message: Message::Hello(Hello { works: true, keeps: false, stamp: None }),
    })
    .await;
    for number in 0..100 {
        let effect = match number % 2 {
            0 => Effect::Send { to, message: kept(number) },
            _ => Effect::Broadcast { job: JobId::new([1; 32]), message: kept(number) },
        };
        one.does(effect).await;
    }
    let mut heard = vec![];
    while heard.len() < 100 {
        match other.until(|event| matches!(event, Event::Heard { .. })).await {
            Event::Heard { from, message: Message::Kept(job), .. } => {
                assert_eq!(from, one.node.me());
                heard.push(job.blob().as_bytes()[0]);
            }
            Event::Heard { message: Message::Hello(hello), .. } => assert!(hello.works),
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(heard, (0..100).collect::<Vec<u8>>());
    assert!(other.node.metrics().contains("dugnad_messages_heard_total 101"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_wanted_and_signed_for_this_network_is_heard() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, mut other) = Body::pair(config(dirs[0].path()), config(dirs[1].path())).await;
    let (to, network, key) =
        (other.node.me(), other.node.network(), Keypair::from_secret(&[7; 32]));
    let job = JobId::new([1; 32]);
    let claim = Claim { job, shard: 0, stage: 0, batches: vec![0], span_ms: 1000 };
    let claim = Message::Claim(key.sign(network, claim));
    let announce = |network, expires_ms| {
        Message::Announce(key.sign(network, Announcement { expires_ms, ..announcement(job) }))
    };
    // Under another network's name its signature is nobody's.
    let foreign = announce(NetworkId::named("another"), u64::MAX);
    let (over, own) = (announce(network, 2), announce(network, u64::MAX));
    let said = [claim.clone(), foreign, over, own.clone(), claim.clone()];
    for message in said {
        one.does(Effect::Send { to, message }).await;
    }
    for expected in [own, claim] {
        match other.until(|event| matches!(event, Event::Heard { .. })).await {
            Event::Heard { message, .. } => assert_eq!(message, expected),
            event => panic!("{event:?}"),
        }
    }
    let metrics = other.node.metrics();
    for (what, count) in [("heard", 2), ("rejected", 1), ("unwanted", 2)] {
        let line = format!("dugnad_messages_{what}_total {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

fn announcement(job: JobId) -> Announcement {
    Announcement {
        job,
        manifest_bytes: 1000,
        semantics: protocol::SEMANTICS,
        created_ms: 1,
        expires_ms: u64::MAX,
        units: 1,
        work_ms: 1,
        module: BlobRef::of(b"module"),
        memory_bytes: 1 << 20,
        priority: 0,
        level: 0,
        stamp: None,
        feed: None,
    }
}
