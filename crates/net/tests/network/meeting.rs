//! How nodes meet, and whom they refuse.

use std::sync::Arc;

use net::{Config, ConnectError, StartError};
use protocol::NetworkId;

use crate::harness::{Shelf, config, in_time, node, start};

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_meet_through_the_bootstrap_list() {
    let mut first = node(1).await;
    let with = Config { bootstrap: vec![first.address()], ..config(2) };
    let mut second = start(with, Shelf::default()).await;
    first.until_up(second.me()).await;
    second.until_up(first.me()).await;

    let peers = second.net.peers();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].peer, first.me());
    assert!(peers[0].agent.starts_with("dugnad/"), "{}", peers[0].agent);
    assert!(!peers[0].addresses.is_empty());
    in_time(second.net.ping(first.me())).await.unwrap();
    let known = second.net.known_addresses().await.unwrap();
    assert_eq!(known.iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [first.me()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_finds_its_peers_of_an_earlier_session() {
    let first = node(1).await;
    let second = node(2).await;
    second.dial(&first).await;
    let remembered = second.net.known_addresses().await.unwrap();
    second.net.stop().await;
    let mut again = start(Config { remembered, ..config(2) }, Shelf::default()).await;
    again.until_up(first.me()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_leaves_is_missed() {
    let (mut first, second) = (node(1).await, node(2).await);
    second.dial(&first).await;
    first.until_up(second.me()).await;
    second.net.stop().await;
    first.until_down(second.me()).await;
    assert!(first.net.peers().is_empty());
    assert_eq!(first.net.send(second.me(), vec![1]), Err(net::SendError::NotConnected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_network_is_refused() {
    let first = node(1).await;
    let other = Config { network: NetworkId::named("other"), ..config(2) };
    let other = start(other, Shelf::default()).await;
    let refused = other.net.dial(&first.address()).await.unwrap_err();
    // Whoever notices first closes the connection.
    assert!(matches!(refused, ConnectError::OtherNetwork | ConnectError::Closed), "{refused}");
    assert!(first.net.peers().is_empty() && other.net.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dials_that_cannot_succeed_say_why() {
    let first = node(1).await;
    let bad = first.net.dial("localhost:4001").await;
    assert_eq!(bad, Err(ConnectError::BadAddress("localhost:4001".to_owned())));
    let own = first.net.dial(&first.address()).await;
    assert_eq!(own, Err(ConnectError::Ourselves));
    let stranger = protocol::Keypair::from_secret(&[99; 32]).peer();
    assert_eq!(first.net.connect(stranger).await, Err(ConnectError::NoAddress));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = first.net.dial(&format!("/ip4/127.0.0.1/tcp/{closed}")).await;
    assert!(matches!(nobody, Err(ConnectError::Unreachable(_))), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let with = Config { listen: vec![address.clone()], ..config(1) };
    match net::start(with, Arc::new(Shelf::default())).await {
        Err(StartError::InUse { address: named }) => assert_eq!(named, address),
        other => panic!("{other:?}"),
    }
}
