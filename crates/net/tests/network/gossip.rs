//! Gossip: what is passed on, and what is not.

use net::{Event, Judgement, Topic};
use protocol::JobId;

use crate::harness::{Message, Node, in_time, node, shy, until_fact};

const JOB: JobId = JobId::new([7; 32]);

/// Announces numbered messages until one has come from `first` over `middle` to `last`, so that
/// the ways of gossip are known to be open.
async fn open_the_way(first: &mut Node, middle: &mut Node, last: &mut Node) {
    let mut tries = tokio::time::interval(std::time::Duration::from_millis(50));
    let opening = async {
        for number in 0u32.. {
            first.net.announce(number.to_be_bytes().to_vec()).unwrap();
            let arrived = async {
                loop {
                    tokio::select! {
                        event = middle.events.next() => {
                            if let Some(Event::Message { token, .. }) = event {
                                middle.net.judge(token, Judgement::Accept).await.unwrap();
                            }
                        }
                        event = last.events.next() => {
                            if matches!(event, Some(Event::Message { .. })) {
                                return;
                            }
                        }
                    }
                }
            };
            tokio::select! {
                () = arrived => return,
                _ = tries.tick() => {}
            }
        }
    };
    in_time(opening).await;
}

async fn next_saying(node: &mut Node, words: &[&[u8]]) -> Message {
    loop {
        let message = node.message().await;
        if words.contains(&&message.bytes[..]) {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_accepted_is_passed_on() {
    let (mut first, mut middle, mut last) = (shy(1).await, node(2).await, shy(3).await);
    first.dial(&middle).await;
    last.dial(&middle).await;
    open_the_way(&mut first, &mut middle, &mut last).await;

    let words: [&[u8]; 3] = [b"rejected", b"ignored", b"accepted"];
    let judgements = [Judgement::Reject, Judgement::Ignore, Judgement::Accept];
    for (word, judgement) in words.into_iter().zip(judgements) {
        first.net.announce(word.to_vec()).unwrap();
        let heard = next_saying(&mut middle, &[word]).await;
        assert_eq!((heard.from, heard.topic), (first.me(), Topic::Announcements));
        middle.judge(heard.token, judgement).await;
    }
    let heard = next_saying(&mut last, &words).await;
    assert_eq!(heard.bytes, b"accepted");
    assert_eq!(heard.from, middle.me());
    assert_eq!(middle.net.stats().rejects, 1);
    assert_eq!(first.net.peers().len(), 1, "the story needs a line");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_again_and_again_gets_a_peer_banned() {
    let (mut first, mut second) = (shy(1).await, node(2).await);
    first.dial(&second).await;
    first.until_up(second.me()).await;
    second.until_up(first.me()).await;
    for number in 0..8u8 {
        first.net.send(second.me(), vec![number]).unwrap();
        let heard = second.message().await;
        second.judge(heard.token, Judgement::Reject).await;
    }
    second.until_down(first.me()).await;
    assert_eq!(second.net.stats().bans, 1);
    // Until it has noticed, a dial says that it is connected already.
    first.until_down(second.me()).await;
    assert!(first.net.dial(&second.address()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_audience_hears_everything_in_order() {
    let mut speaker = node(1).await;
    let mut audience = [node(2).await, node(3).await, node(4).await];
    speaker.net.join(JOB).await.unwrap();
    for listener in &audience {
        listener.net.join(JOB).await.unwrap();
        listener.dial(&speaker).await;
    }
    let mut joined = std::collections::BTreeSet::new();
    while joined.len() < audience.len() {
        let peer = speaker.until(|event| match event {
            Event::Joined { peer, job } if job == JOB => Some(peer),
            _ => None,
        });
        joined.insert(peer.await);
    }
    for number in 0..100u8 {
        speaker.net.broadcast(JOB, vec![number]).unwrap();
    }
    for listener in &mut audience {
        for number in 0..100u8 {
            let heard = listener.message().await;
            assert_eq!((heard.topic, heard.bytes), (Topic::Job(JOB), vec![number]));
            listener.judge(heard.token, Judgement::Accept).await;
        }
    }
    assert_eq!(speaker.net.stats().gossip_sent, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn participants_who_do_not_see_each_other_hear_each_other_through_a_third() {
    let (mut hub, mut first, mut second) = (node(1).await, shy(2).await, shy(3).await);
    for member in [&hub, &first, &second] {
        member.net.join(JOB).await.unwrap();
    }
    for leaf in [&mut first, &mut second] {
        leaf.dial(&hub).await;
        let hub = hub.me();
        leaf.until(|e| matches!(e, Event::Joined { peer, .. } if peer == hub).then_some(())).await;
    }
    until_fact(|| hub.net.members(JOB).len() == 2).await;

    first.net.broadcast(JOB, b"refused".to_vec()).unwrap();
    first.net.broadcast(JOB, b"passed on".to_vec()).unwrap();
    for judgement in [Judgement::Ignore, Judgement::Accept] {
        let heard = hub.message().await;
        assert_eq!(heard.from, first.me());
        hub.judge(heard.token, judgement).await;
    }
    let heard = second.message().await;
    assert_eq!((heard.from, &heard.bytes[..]), (hub.me(), &b"passed on"[..]));
    second.judge(heard.token, Judgement::Accept).await;
    // Nobody hears anything twice, nor its own words.
    second.net.broadcast(JOB, b"answer".to_vec()).unwrap();
    let heard = hub.message().await;
    assert_eq!(heard.bytes, b"answer");
    hub.judge(heard.token, Judgement::Accept).await;
    assert_eq!(first.message().await.bytes, b"answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn saying_something_to_nobody_is_no_error() {
    let alone = node(1).await;
    alone.net.join(JOB).await.unwrap();
    assert_eq!(alone.net.announce(b"anybody?".to_vec()), Ok(()));
    assert_eq!(alone.net.broadcast(JOB, b"anybody?".to_vec()), Ok(()));
    let long = vec![0; net::limits::GOSSIP_BYTES_MAX + 1];
    assert!(matches!(alone.net.announce(long), Err(net::SendError::TooLong { .. })));
}
