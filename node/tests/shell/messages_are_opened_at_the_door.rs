//! Talking and hearing: messages arrive in order, and a broken one is held against its sender.

use engine::{Effect, Event};
use protocol::{Hello, JobId, Message};

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
