//! What the node counts, for a monitoring system to read.

use crate::Node;
use crate::shell::line;

impl Node {
    /// Everything that is counted, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        let shared = self.shared();
        shared.counters.write(&mut text);
        let gauge = |text: &mut String, name, about, value| line(text, name, "gauge", about, value);
        let usage = shared.store.usage();
        gauge(&mut text, "dugnad_store_quota_bytes", "What blobs may take.", usage.quota);
        gauge(&mut text, "dugnad_store_used_bytes", "What blobs take.", usage.used);
        gauge(&mut text, "dugnad_store_pinned_bytes", "What pinned blobs take.", usage.pinned);
        gauge(&mut text, "dugnad_store_blobs", "Blobs.", usage.blobs);
        let peers = shared.net.peers().len() as u64;
        gauge(&mut text, "dugnad_peers", "Connected peers.", peers);
        for (name, about, value) in net_stats(&shared.net.stats()) {
            line(&mut text, name, "counter", about, value);
        }
        text
    }
}

fn net_stats(stats: &net::Stats) -> [(&'static str, &'static str, u64); 10] {
    [
        ("dugnad_net_gossip_sent_bytes_total", "Gossip published.", stats.gossip_sent_bytes),
        ("dugnad_net_gossip_received_bytes_total", "Gossip received.", stats.gossip_received_bytes),
        ("dugnad_net_gossip_ignored_total", "Gossip not looked at.", stats.gossip_ignored),
        ("dugnad_net_talk_sent_bytes_total", "Messages sent directly.", stats.talk_sent_bytes),
        ("dugnad_net_talk_received_bytes_total", "Messages received.", stats.talk_received_bytes),
        ("dugnad_net_blob_sent_bytes_total", "Blobs served.", stats.blob_sent_bytes),
        ("dugnad_net_blob_received_bytes_total", "Blobs received.", stats.blob_received_bytes),
        ("dugnad_net_faults_total", "Misdeeds of peers.", stats.faults),
        ("dugnad_net_bans_total", "Peers sent away.", stats.bans),
        ("dugnad_net_foreign_total", "Peers of other networks.", stats.foreign),
    ]
}
