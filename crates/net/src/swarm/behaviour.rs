//! The protocols of the swarm, composed and configured.

use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{self, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, BucketInserts, Mode, StoreInserts};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{identify, mdns, ping};

use crate::limits::{
    DHT_KEYS_MAX, DHT_PACKET_BYTES_MAX, DHT_PROVIDERS_MAX, DHT_QUERY_WITHIN, DHT_RENEW, DHT_TTL,
    GOSSIP_FRAME_BYTES_MAX, GOSSIP_MEMORY, GOSSIP_QUEUE, INCOMING_MAX, OUTGOING_MAX,
    PENDING_INCOMING_MAX, PENDING_OUTGOING_MAX, PER_PEER_MAX, TICK,
};
use crate::names::Names;
use crate::{Config, Reachability};

/// Those that deny connections come first.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(super) blocked: allow_block_list::Behaviour<BlockedPeers>,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) kad: kad::Behaviour<MemoryStore>,
    pub(super) gossip: gossipsub::Behaviour,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) streams: libp2p_stream::Behaviour,
}

type SetupError = Box<dyn std::error::Error + Send + Sync>;

impl Behaviour {
    pub(crate) fn new(key: &Keypair, config: &Config, names: &Names) -> Result<Self, SetupError> {
        let peer = key.public().to_peer_id();
        let mdns = match config.mdns {
            true => Some(mdns::tokio::Behaviour::new(mdns::Config::default(), peer)?),
            false => None,
        };
        let agent = format!("dugnad/{}", env!("CARGO_PKG_VERSION"));
        let identify = identify::Config::new(names.family(), key.public())
            .with_agent_version(agent)
            .with_push_listen_addr_updates(true);
        Ok(Self {
            blocked: allow_block_list::Behaviour::default(),
            limits: connection_limits::Behaviour::new(limits()),
            ping: ping::Behaviour::default(),
            identify: identify::Behaviour::new(identify),
            kad: kad(peer, names, config.reachability),
            gossip: gossip(names)?,
            mdns: mdns.into(),
            streams: libp2p_stream::Behaviour::new(),
        })
    }
}

fn limits() -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_INCOMING_MAX))
        .with_max_pending_outgoing(Some(PENDING_OUTGOING_MAX))
        .with_max_established_incoming(Some(INCOMING_MAX))
        .with_max_established_outgoing(Some(OUTGOING_MAX))
        .with_max_established_per_peer(Some(PER_PEER_MAX))
}

fn kad(peer: libp2p::PeerId, names: &Names, reach: Reachability) -> kad::Behaviour<MemoryStore> {
    let store = MemoryStoreConfig {
        // We keep no values, only who provides what.
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: DHT_PROVIDERS_MAX,
        max_provided_keys: DHT_KEYS_MAX,
    };
    let mut config = kad::Config::new(names.kad());
    config
        .set_query_timeout(DHT_QUERY_WITHIN)
        .disjoint_query_paths(true)
        .set_kbucket_inserts(BucketInserts::Manual)
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_max_packet_size(DHT_PACKET_BYTES_MAX)
        .set_provider_record_ttl(Some(DHT_TTL))
        .set_provider_publication_interval(Some(DHT_RENEW));
    let mut kad = kad::Behaviour::with_config(peer, MemoryStore::with_config(peer, store), config);
    kad.set_mode(match reach {
        Reachability::Auto => None,
        Reachability::Public => Some(Mode::Server),
        Reachability::Private => Some(Mode::Client),
    });
    kad
}

fn gossip(names: &Names) -> Result<gossipsub::Behaviour, SetupError> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(names.gossip())
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        // Without authors and sequence numbers, the default would give all messages one id.
        .message_id_fn(|message| MessageId::new(&blake3::hash(&message.data).as_bytes()[..20]))
        .max_transmit_size(GOSSIP_FRAME_BYTES_MAX)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .duplicate_cache_time(GOSSIP_MEMORY)
        .flood_publish(true)
        .heartbeat_interval(TICK)
        .heartbeat_initial_delay(TICK)
        .build()?;
    Ok(gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config)?)
}
