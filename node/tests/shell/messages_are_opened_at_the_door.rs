//! Talking and hearing: messages arrive in order, and a broken one is held against its sender.

use engine::{Effect, Event};
use protocol::{Claim, Hello, JobId, Keypair, Message, NetworkId};

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
async fn a_statement_of_another_network_is_refused_and_counted() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, mut other) = Body::pair(config(dirs[0].path()), config(dirs[1].path())).await;
    let to = other.node.me();
    let key = Keypair::from_secret(&[7; 32]);
    let claim =
        Claim { job: JobId::new([1; 32]), shard: 0, stage: 0, batches: vec![0], span_ms: 1000 };
    // Here its signature is nobody's.
    let foreign = Message::Claim(key.sign(NetworkId::named("another"), claim.clone()));
    let own = Message::Claim(key.sign(other.node.network(), claim));
    for message in [foreign, own.clone()] {
        one.does(Effect::Send { to, message }).await;
    }
    match other.until(|event| matches!(event, Event::Heard { .. })).await {
        Event::Heard { message, .. } => assert_eq!(message, own),
        event => panic!("{event:?}"),
    }
    let metrics = other.node.metrics();
    assert!(metrics.contains("dugnad_messages_heard_total 1\n"), "{metrics}");
    assert!(metrics.contains("dugnad_messages_rejected_total 1\n"), "{metrics}");
}
