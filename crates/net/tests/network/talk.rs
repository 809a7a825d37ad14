//! The talk stream: messages, and frames that are none.

use net::Topic;
use protocol::limits::MESSAGE_BYTES_MAX;

use crate::harness::{node, until_fact};
use crate::raw::{Raw, name_of};

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_in_order_and_in_both_directions() {
    let (mut first, mut second) = (node(1).await, node(2).await);
    first.dial(&second).await;
    second.until_up(first.me()).await;
    for number in 0..50u8 {
        first.net.send(second.me(), vec![number]).unwrap();
        second.net.send(first.me(), vec![100 + number]).unwrap();
    }
    for number in 0..50u8 {
        let (there, here) = (second.message().await, first.message().await);
        assert_eq!((there.from, there.topic), (first.me(), Topic::Direct));
        assert_eq!((there.bytes, here.bytes), (vec![number], vec![100 + number]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_message_arrives_and_a_longer_one_is_refused() {
    let (first, mut second) = (node(1).await, node(2).await);
    first.dial(&second).await;
    second.until_up(first.me()).await;
    first.net.send(second.me(), vec![7; MESSAGE_BYTES_MAX]).unwrap();
    assert_eq!(second.message().await.bytes.len(), MESSAGE_BYTES_MAX);
    let refused = first.net.send(second.me(), vec![7; MESSAGE_BYTES_MAX + 1]);
    assert!(matches!(refused, Err(net::SendError::TooLong { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_are_counted_and_the_node_lives_on() {
    let mut node_under_test = node(1).await;
    let mut raw = Raw::connect(9, &node_under_test.address()).await;
    node_under_test.until_up(name_of(9)).await;

    raw.write_and_wait("talk/1", &[0xff, 0xff, 0xff, 0xff, 0], false).await;
    until_fact(|| node_under_test.net.stats().faults == 1).await;
    raw.write_and_wait("talk/1", &[0, 0, 0, 100, 0, 1, 2], true).await;
    until_fact(|| node_under_test.net.stats().faults == 2).await;
    raw.write_and_wait("talk/1", &[0, 0, 0, 1, 77], false).await;
    until_fact(|| node_under_test.net.stats().faults == 3).await;
    raw.write_and_wait("blob/2", &[0xff; 53], false).await;
    until_fact(|| node_under_test.net.stats().faults == 4).await;

    let other = node(2).await;
    other.dial(&node_under_test).await;
    other.net.send(node_under_test.me(), b"still there?".to_vec()).unwrap();
    assert_eq!(node_under_test.message().await.bytes, b"still there?");
}
