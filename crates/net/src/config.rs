//! What a node's voice is told when it starts.

use std::fmt;
use std::time::Duration;

use protocol::NetworkId;

/// Who we are, where we listen and how we find others.
#[derive(Clone)]
pub struct Config {
    /// The ed25519 secret whose public key is our name.
    pub secret: [u8; 32],
    /// Peers of other networks are sent away.
    pub network: NetworkId,
    /// Multiaddresses to listen on, such as `/ip4/0.0.0.0/tcp/4001`; port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Multiaddresses of the ways in, with or without `/p2p/<peer>`.
    pub bootstrap: Vec<String>,
    /// Addresses at which others reach us although we do not listen on them (a forwarded port).
    pub external: Vec<String>,
    /// Peers of earlier sessions, as [`Net::known_addresses`](crate::Net::known_addresses) gave them.
    pub remembered: Vec<(protocol::PeerId, Vec<String>)>,
    /// Whether to look for peers on the local network.
    pub mdns: bool,
    /// Whether others can reach us, which decides our part in the DHT.
    pub reachability: Reachability,
    /// How long slow peers are suffered.
    pub patience: Patience,
    /// What the owner lets blobs take of the line.
    pub rates: Rates,
}

/// Bytes of blobs per second; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub upload: Option<u64>,
    pub download: Option<u64>,
}

/// Whether others can reach this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    /// As if private, until an external address is confirmed.
    #[default]
    Auto,
    /// Everything we listen on can be dialled: we serve the DHT.
    Public,
    /// We only ask the DHT.
    Private,
}

/// When a peer is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest silence while bytes are due; 64 KiB must arrive within it.
    pub stall: Duration,
    /// Bytes per second below which a piece of 1 MiB is given up.
    pub min_rate: u64,
    /// After so long without a piece others are asked beside those who only promise.
    pub silence: Duration,
    /// Who is on the way to a blob itself and has nothing for us is let go once nothing has arrived for
    /// so long.
    pub useless: Duration,
    /// A fetcher that takes nothing of what it asked for within this is not served on while others
    /// wait for their turn.
    pub untaken: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(10),
            min_rate: 32 << 10,
            silence: Duration::from_secs(10),
            useless: Duration::from_secs(30),
            untaken: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// A node that listens on loopback at ports chosen by the system and knows nobody.
    pub fn loopback(secret: [u8; 32], network: NetworkId) -> Self {
        Self {
            secret,
            network,
            listen: vec![
                "/ip4/127.0.0.1/tcp/0".to_owned(),
                "/ip4/127.0.0.1/udp/0/quic-v1".to_owned(),
            ],
            bootstrap: Vec::new(),
            external: Vec::new(),
            remembered: Vec::new(),
            mdns: false,
            reachability: Reachability::Public,
            patience: Patience::default(),
            rates: Rates::default(),
        }
    }
}

/// The secret is never printed.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("network", &self.network)
            .field("listen", &self.listen)
            .field("bootstrap", &self.bootstrap)
            .field("external", &self.external)
            .field("mdns", &self.mdns)
            .field("reachability", &self.reachability)
            .field("patience", &self.patience)
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}
