//! The DHT: what one node provides, another finds through a third.

use net::Key;
use protocol::JobId;

use crate::harness::{in_time, node, until_fact};

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_found_and_reached_through_a_third_node() {
    let (provider, hub, seeker) = (node(1).await, node(2).await, node(3).await);
    let key = Key::job(JobId::new([7; 32]));
    provider.dial(&hub).await;
    // A newcomer tells its neighbours again once they are in its routing table.
    in_time(provider.net.provide(key)).await.unwrap();
    seeker.dial(&hub).await;
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(50));
    let finding = async {
        loop {
            let found = seeker.net.providers(key).await.unwrap();
            if !found.is_empty() {
                return found;
            }
            looks.tick().await;
        }
    };
    assert_eq!(in_time(finding).await, [provider.me()]);
    in_time(seeker.net.connect(provider.me())).await.unwrap();
    let other = Key::blob(JobId::new([7; 32]).blob());
    assert_eq!(seeker.net.providers(other).await, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_know_one_node_come_to_know_each_other() {
    let hub = node(1).await;
    let others = [node(2).await, node(3).await, node(4).await];
    for other in &others {
        other.dial(&hub).await;
    }
    until_fact(|| others.iter().all(|other| other.net.peers().len() == 3)).await;
}
