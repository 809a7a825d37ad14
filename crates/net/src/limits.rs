//! Every bound of the network crate, each with its reason.

use std::time::Duration;

use protocol::limits::MESSAGE_BYTES_MAX;

/// Connections that others opened to us: about 90 KiB each, so 23 MiB.
pub const INCOMING_MAX: u32 = 256;
/// Connections that we opened.
pub const OUTGOING_MAX: u32 = 64;
/// Connections with one peer: simultaneous dials make two, a third lets one be replaced.
pub const PER_PEER_MAX: u32 = 3;
/// Handshakes that others may have under way.
pub const PENDING_INCOMING_MAX: u32 = 64;
/// Handshakes that we may have under way.
pub const PENDING_OUTGOING_MAX: u32 = 32;
/// Connections from one public address: a household or a small institute behind one router.
pub const PER_ADDRESS_MAX: usize = 8;
/// Connections from one public subnet (/24 or /48).
pub const PER_SUBNET_MAX: usize = 16;
/// A connection that carries nothing is closed after this; libp2p's 10 s closes between requests.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A connected peer must have said by then who it is and that it is of our network.
pub const IDENTIFY_WITHIN: Duration = Duration::from_secs(20);
/// A dial that the application waits for ends after this.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// Dials that somebody waits for at one time.
pub const CONNECT_WAITERS_MAX: usize = 1024;

/// Orders from handles to the swarm's task.
pub const COMMAND_QUEUE: usize = 256;
/// Bytes of one peer's messages that wait for the application, unless it is a single one: beyond, its gossip is
/// ignored and its stream is not read.
pub const LANE_BYTES_MAX: usize = 1 << 20;
/// The same, once [`INBOX_BYTES_MAX`] of all peers wait.
pub const LANE_BYTES_LITTLE: usize = 64 << 10;
/// What a message weighs beside its bytes, by what it costs to open one with nothing in it.
pub const LANE_MESSAGE_BYTES: usize = 2 << 10;
/// What a peer may have read before it is the next one's turn.
pub const TURN_BYTES: usize = 4 << 10;
/// Beyond this, lanes are short, and what departed peers said last is not heard.
pub const INBOX_BYTES_MAX: usize = 64 << 20;
/// Gossip of one peer that goes unread in a second: so much is no busy network but a flood, and each time a misdeed.
pub const UNREAD_PER_TICK_MAX: u32 = 1000;

/// A gossipsub frame; equal on all nodes, because a receiver closes the stream on a longer one.
pub const GOSSIP_FRAME_BYTES_MAX: usize = 64 << 10;
/// A message by gossip: the frame holds also the topic and protobuf's own bytes.
pub const GOSSIP_BYTES_MAX: usize = 60 << 10;
/// Frames that wait for one slow peer; 5,000 by default, which may be 310 MiB.
pub const GOSSIP_QUEUE: usize = 256;
/// How long a message is known as seen; each takes about 240 bytes.
pub const GOSSIP_MEMORY: Duration = Duration::from_secs(60);
/// Job messages remembered, in each of two generations, to hear each once.
pub const SEEN_MAX: usize = 8192;
/// Up to so many subscribed peers, job messages are pushed directly to each.
pub const SMALL_AUDIENCE: usize = 12;

/// Frames that wait for one peer's talk stream.
pub const TALK_QUEUE: usize = 512;
/// Bytes that wait for one peer's talk stream: a few of the largest messages.
pub const TALK_QUEUE_BYTES: usize = 4 * MESSAGE_BYTES_MAX;
/// Bytes written to a talk stream between two flushes.
pub const TALK_BURST_BYTES: usize = 256 << 10;
/// A frame on a talk stream: a message, its kind, its job and its audience.
pub const TALK_FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 1 + 32 + 8;
/// Once the first byte of a frame is there, the rest must come within this.
pub const TALK_FRAME_WITHIN: Duration = Duration::from_secs(60);
/// Writing one burst may take this long; then the stream is opened anew.
pub const TALK_WRITE_WITHIN: Duration = Duration::from_secs(30);
/// Answers to `ping` that are awaited at one time.
pub const PINGS_MAX: usize = 256;
/// How long `ping` waits for its answer.
pub const PING_WITHIN: Duration = Duration::from_secs(10);

/// Connected peers are kept up to this number; beyond, those that share no job may idle out.
pub const PEERS_KEPT: usize = 48;
/// A talk stream to a peer that need not be kept is closed after this without a message.
pub const TALK_IDLE: Duration = Duration::from_secs(60);

/// Tries to open a stream: libp2p-stream drops some when many are opened at once.
pub const OPEN_TRIES: u32 = 5;
/// One try to open a stream.
pub const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// Inbound streams that wait for a reader.
pub const ACCEPT_QUEUE: usize = 64;

/// Pieces that may be on their way to us over all transfers: 64 MiB.
pub const CHUNKS_IN_FLIGHT: usize = 64;
/// Pieces in one request.
pub const CHUNKS_PER_REQUEST: u32 = 4;
/// Requests that one transfer has open at one provider, so that the line never falls silent.
pub const REQUESTS_AHEAD: usize = 2;
/// Transfers at one time; others wait.
pub const FETCHES_MAX: usize = 32;
/// Providers that serve one transfer at one time; others are held in reserve.
pub const PROVIDERS_AT_ONCE: usize = 8;
/// Providers that one transfer looks at.
pub const PROVIDERS_MAX: usize = 64;
/// Verified pieces that wait for the disk, per transfer.
pub const SINK_QUEUE: usize = 4;
/// Requests of all transfers that wait for one provider's stream.
pub const LINK_QUEUE: usize = 16;
/// A blob stream that nobody uses is closed after this.
pub const LINK_IDLE: Duration = Duration::from_secs(60);
/// The first bytes of an answer: the provider may be busy serving others.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How often a provider may ask for patience before a piece: it has others to serve, or its owner
/// limits what it sends.
pub const WAITS_MAX: u32 = 60;
/// A provider asks for it this often.
pub const WAIT_EVERY: Duration = Duration::from_secs(5);
/// A probe ends after this, however often its peer asks for patience.
pub const PROBE_WITHIN: Duration = Duration::from_secs(60);
/// Blobs of so many pieces are fetched from those who are on their way to them, too.
pub const SPREAD_PIECES_MIN: u64 = 8;
/// A provider that is on its way to a blob is asked this often what it has, at most.
pub const REPORT_EVERY: Duration = Duration::from_millis(250);
/// One that has all of it is asked this often who else wants it.
pub const WHOLE_REPORT_EVERY: Duration = Duration::from_secs(1);
/// Blobs of which it is remembered who asked for them lately.
pub const ASKED_BLOBS_MAX: usize = 64;
/// Peers remembered to have asked for one blob.
pub const ASKERS_MAX: usize = 64;
/// Bytes that a provider must deliver within [`Patience::stall`](crate::Patience).
pub const STALL_BYTES: usize = 64 << 10;
/// Before that time has passed twice, another provider is asked for the list of subtrees as well.
pub const TREE_HEDGE: Duration = Duration::from_millis(500);

/// Requests that are served at one time over all peers: each holds up to three pieces in memory.
pub const SERVES_MAX: usize = 16;
/// Blob streams that one peer may keep open to us.
pub const SERVES_PER_PEER: usize = 2;
/// A peer that does not take a piece within this is not served any longer.
pub const SERVE_WRITE_WITHIN: Duration = Duration::from_secs(30);
/// Pieces that were read and wait to be written to one peer.
pub const SERVE_QUEUE: usize = 2;

/// Provider records that others may leave with us, and our own.
pub const DHT_KEYS_MAX: usize = 65_536;
/// Providers of one key.
pub const DHT_PROVIDERS_MAX: usize = 64;
/// Addresses kept in one provider record.
pub const DHT_ADDRESSES_MAX: usize = 8;
/// A provider that vanished is forgotten after this (libp2p: two days).
pub const DHT_TTL: Duration = Duration::from_secs(45 * 60);
/// Our own records are renewed this often.
pub const DHT_RENEW: Duration = Duration::from_secs(15 * 60);
/// A look-up ends after this with what it has.
pub const DHT_QUERY_WITHIN: Duration = Duration::from_secs(20);
/// A request or response of the DHT.
pub const DHT_PACKET_BYTES_MAX: usize = 16 << 10;
/// Keys that we ourselves provide.
pub const DHT_OWN_KEYS_MAX: usize = 4096;
/// Provider records sent out again per tick when the neighbourhood changed.
pub const DHT_RENEWALS_PER_TICK: usize = 16;
/// Look-ups that somebody waits for at one time.
pub const DHT_QUERIES_MAX: usize = 256;
/// Peers of one public subnet in the routing table.
pub const DHT_PER_SUBNET_MAX: usize = 8;

/// Peers whose addresses are remembered.
pub const BOOK_PEERS_MAX: usize = 2048;
/// Addresses remembered of one peer.
pub const BOOK_ADDRESSES_MAX: usize = 8;
/// Characters kept of what a peer calls its program.
pub const AGENT_CHARS_MAX: usize = 100;
/// Remembered peers dialled at one time when nobody is connected.
pub const REDIAL_REMEMBERED: usize = 8;
/// The first wait before the ways in are tried again; doubles up to [`REDIAL_MAX`].
pub const REDIAL_MIN: Duration = Duration::from_secs(1);
/// The longest wait before the ways in are tried again.
pub const REDIAL_MAX: Duration = Duration::from_secs(60);

/// Misdeeds after which a peer is sent away; each is forgiven after [`FAULT_FORGIVEN`].
pub const FAULTS_MAX: u32 = 16;
/// How long one misdeed counts.
pub const FAULT_FORGIVEN: Duration = Duration::from_secs(60);
/// How long a peer that was sent away stays away.
pub const BAN: Duration = Duration::from_secs(3600);
/// Peers with misdeeds or a ban that are remembered.
pub const FAULT_PEERS_MAX: usize = 4096;

/// The system gives an address to listen on within this.
pub const LISTEN_WITHIN: Duration = Duration::from_secs(10);

/// How often timers are looked at.
pub const TICK: Duration = Duration::from_secs(1);
