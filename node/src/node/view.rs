//! What people may know of a connected peer.

use std::time::Duration;

use engine::Standing;
use net::PeerInfo;
use protocol::{JobId, PeerId};

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    pub peer: PeerId,
    /// Multiaddresses at which it says it can be reached.
    pub addresses: Vec<String>,
    /// What it calls its program.
    pub agent: String,
    /// How long the link has been up.
    pub connected: Duration,
    /// The last round trip that was measured.
    pub round_trip: Option<Duration>,
    /// Jobs that it takes part in.
    pub jobs: Vec<JobId>,
    /// What this node has seen of it.
    pub standing: Standing,
}

impl PeerView {
    pub(crate) fn new(info: PeerInfo, standing: Standing) -> Self {
        let PeerInfo { peer, addresses, agent, connected_since, round_trip, jobs } = info;
        let connected = connected_since.elapsed();
        Self { peer, addresses, agent, connected, round_trip, jobs, standing }
    }
}
