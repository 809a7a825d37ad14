//! The handle through which the rest of the program uses the network.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use protocol::limits::MESSAGE_BYTES_MAX;
use protocol::{BlobRef, JobId, PeerId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::command::Command;
use crate::event::{Relay, Way};
use crate::limits::{
    CONNECT_WITHIN, DHT_QUERY_WITHIN, GOSSIP_BYTES_MAX, PING_WITHIN, SMALL_AUDIENCE,
};
use crate::shared::Shared;
use crate::talk::{Frame, Queue};
use crate::{
    ConnectError, DhtError, FetchError, Fetched, Judgement, Key, ProbeError, SendError, Sink,
    Stats, Stopped, Token, blob,
};

/// A running node. Clones are handles to the same node, which stops with the last of them.
#[derive(Clone, Debug)]
pub struct Net {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    pub peer: PeerId,
    /// Where it says it listens, as far as that makes sense to us.
    pub addresses: Vec<String>,
    /// What it calls its program.
    pub agent: String,
    pub connected_since: Instant,
    /// The last round trip that was measured.
    pub round_trip: Option<Duration>,
    /// The jobs that it subscribed to.
    pub jobs: Vec<JobId>,
}

impl Net {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Sender<Command>) -> Self {
        Self { shared, commands }
    }

    /// Our own name.
    pub fn me(&self) -> PeerId {
        self.shared.me
    }

    /// Where we listen; each address ends in our name and can be given to [`Net::dial`].
    pub fn listen_addrs(&self) -> Vec<String> {
        self.shared.listening()
    }

    /// The connected peers, in the order of their names.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.shared.roster.each(|peer, entry, jobs| PeerInfo {
            peer,
            addresses: entry.addresses.iter().map(Multiaddr::to_string).collect(),
            agent: entry.agent.clone(),
            connected_since: entry.since,
            round_trip: entry.round_trip,
            jobs,
        })
    }

    /// How many other peers the network has: those connected, or what the routing table makes of the
    /// distances in it. A guess within a third or so, for choices that need no more.
    pub fn network_size(&self) -> u64 {
        let connected = self.shared.roster.len() as u64;
        connected.max(self.shared.network_size.load(Relaxed))
    }

    /// Connected peers that subscribed to a job.
    pub fn members(&self, job: JobId) -> Vec<PeerId> {
        self.shared.roster.members(job).into_iter().map(|(peer, _)| peer).collect()
    }

    /// What was counted since the start.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Takes part in a job's topic.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn join(&self, job: JobId) -> Result<(), Stopped> {
        self.order(Command::Join(job)).await
    }

    /// Leaves a job's topic.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn leave(&self, job: JobId) -> Result<(), Stopped> {
        self.order(Command::Leave(job)).await
    }

    /// Says something to everybody. That nobody is there is no error: neighbours reconcile later.
    ///
    /// # Errors
    /// [`SendError::TooLong`] above 60 KiB, [`SendError::Full`] when the node is behind.
    pub fn announce(&self, bytes: Vec<u8>) -> Result<(), SendError> {
        fits(bytes.len(), GOSSIP_BYTES_MAX)?;
        self.try_order(Command::Announce(bytes))
    }

    /// Says something to the participants of a job: directly to each while those we are connected
    /// to are few, by gossip above that. Participants who accept it pass it on to those whom we do
    /// not see. That nobody is there is no error.
    ///
    /// # Errors
    /// [`SendError::TooLong`] above 60 KiB; [`SendError::Full`] when the node is behind, or when
    /// no participant had room for it.
    pub fn broadcast(&self, job: JobId, bytes: Vec<u8>) -> Result<(), SendError> {
        fits(bytes.len(), GOSSIP_BYTES_MAX)?;
        // Whoever passes it on may pass it back to us.
        self.shared.seen.first(job, &bytes, Instant::now());
        let members = self.shared.roster.members(job);
        let audience = self.shared.roster.audience(&members);
        self.push(job, &members, audience, bytes.into())
    }

    /// Says something to one connected peer. In order, and reliable while the connection holds.
    ///
    /// # Errors
    /// [`SendError`], at once: it never waits.
    pub fn send(&self, peer: PeerId, bytes: Vec<u8>) -> Result<(), SendError> {
        fits(bytes.len(), MESSAGE_BYTES_MAX)?;
        let queue = self.shared.roster.queue(peer).ok_or(SendError::NotConnected)?;
        queue.offer(Frame::Direct(bytes.into())).inspect_err(|_| {
            self.shared.counters.talk_refused.add(1);
        })
    }

    /// Answers a message: what is accepted is passed on, gossip only within five seconds; what is
    /// rejected counts against whoever sent it, also on its own stream.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn judge(&self, token: Token, judgement: Judgement) -> Result<(), Stopped> {
        match (&token.way, judgement) {
            (Way::Pushed(relay), Judgement::Accept) => self.relay(token.from, relay),
            (Way::Direct | Way::Pushed(_), Judgement::Accept | Judgement::Ignore) => {}
            (Way::Gossip(_), Judgement::Accept | Judgement::Ignore)
            | (Way::Direct | Way::Pushed(_) | Way::Gossip(_), Judgement::Reject) => {
                self.order(Command::Judge(token, judgement)).await?;
            }
        }
        Ok(())
    }

    /// Connects to an address, with or without `/p2p/<peer>`, and waits until its peer is up.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn dial(&self, address: &str) -> Result<PeerId, ConnectError> {
        let parsed = address.parse().map_err(|_| ConnectError::BadAddress(address.to_owned()))?;
        let (answer, result) = oneshot::channel();
        self.connecting(Command::Dial(parsed, answer), result).await
    }

    /// Connects to a peer whose address was heard of, and waits until it is up.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self, peer: PeerId) -> Result<(), ConnectError> {
        if self.shared.roster.is_up(peer) {
            return Ok(());
        }
        let (answer, result) = oneshot::channel();
        self.connecting(Command::Connect(peer, answer), result).await.map(|_| ())
    }

    /// Closes all connections with a peer. It may come back.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn disconnect(&self, peer: PeerId) -> Result<(), Stopped> {
        self.order(Command::Disconnect(peer)).await
    }

    /// How long a message to the peer and back takes, through both applications' streams.
    ///
    /// # Errors
    /// [`ConnectError`]: not connected, or no answer in time.
    pub async fn ping(&self, peer: PeerId) -> Result<Duration, ConnectError> {
        let queue = self.shared.roster.queue(peer).ok_or(ConnectError::Closed)?;
        let (number, answer) = self.shared.pings.start(peer).ok_or(ConnectError::Busy)?;
        let asked = Instant::now();
        queue.offer(Frame::Ping(number)).map_err(|_| ConnectError::Busy)?;
        match timeout(PING_WITHIN, answer).await {
            Ok(Ok(())) => Ok(asked.elapsed()),
            Ok(Err(_)) | Err(_) => Err(ConnectError::TimedOut),
        }
    }

    /// Tells the DHT that we provide something, now and until [`Net::stop_providing`].
    ///
    /// # Errors
    /// [`DhtError`]; after a time-out the key is provided all the same, and told again later.
    pub async fn provide(&self, key: Key) -> Result<(), DhtError> {
        let (answer, result) = oneshot::channel();
        self.asking(Command::Provide(key, answer), result).await
    }

    /// Stops renewing a provider record; others forget it within 45 minutes.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn stop_providing(&self, key: Key) -> Result<(), Stopped> {
        self.order(Command::StopProviding(key)).await
    }

    /// Asks the DHT who provides something. The answer is a hint, never a proof. The peers' addresses
    /// are remembered, so that [`Net::connect`] finds them.
    ///
    /// # Errors
    /// [`DhtError`].
    pub async fn providers(&self, key: Key) -> Result<Vec<PeerId>, DhtError> {
        let (answer, result) = oneshot::channel();
        self.asking(Command::Providers(key, answer), result).await
    }

    /// The peers heard of lately and their addresses, to be kept for the next start.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn known_addresses(&self) -> Result<Vec<(PeerId, Vec<String>)>, Stopped> {
        let (answer, result) = oneshot::channel();
        self.order(Command::KnownAddresses(answer)).await?;
        result.await.map_err(|_| Stopped)
    }

    /// Fetches what `sink` misses of a blob, from several providers at once. Every piece is checked
    /// against the blob's name before the sink sees it. Dropping the future ends the transfer; what
    /// the sink has taken stays with it.
    ///
    /// # Errors
    /// [`FetchError`]; which provider did what is in it.
    pub async fn fetch(
        &self,
        blob: BlobRef,
        providers: Vec<PeerId>,
        sink: Box<dyn Sink>,
    ) -> Result<Fetched, FetchError> {
        blob::fetch(self.shared.clone(), blob, providers, sink).await
    }

    /// Fetches and checks a single piece from one peer, to see whether it really holds the blob.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn probe(
        &self,
        peer: PeerId,
        blob: BlobRef,
        index: u64,
    ) -> Result<Vec<u8>, ProbeError> {
        blob::probe(&self.shared, peer, blob, index).await
    }

    /// Stops the node; all handles fall silent.
    pub async fn stop(&self) {
        // It may have stopped already.
        let _ = self.order(Command::Stop).await;
        self.commands.closed().await;
    }

    /// Passes on what was pushed to us, unless its sender sees the same participants as we do.
    fn relay(&self, from: PeerId, relay: &Relay) {
        let mut members = self.shared.roster.members(relay.job);
        let audience = self.shared.roster.audience(&members);
        if audience != relay.audience {
            members.retain(|(peer, _)| *peer != from);
            // Those who have no room for it will reconcile.
            let _ = self.push(relay.job, &members, audience, relay.bytes.clone());
        }
    }

    fn push(
        &self,
        job: JobId,
        members: &[(PeerId, Queue)],
        audience: u64,
        bytes: Arc<[u8]>,
    ) -> Result<(), SendError> {
        if SMALL_AUDIENCE < members.len() {
            return self.try_order(Command::Publish(job, bytes.to_vec()));
        }
        let frame = Frame::Job { job, audience, bytes };
        let full = |queue: &Queue| queue.offer(frame.clone()) == Err(SendError::Full);
        let refused = members.iter().filter(|(_, queue)| full(queue)).count();
        self.shared.counters.talk_refused.add(refused as u64);
        if 0 < refused && refused == members.len() { Err(SendError::Full) } else { Ok(()) }
    }

    async fn order(&self, order: Command) -> Result<(), Stopped> {
        self.commands.send(order).await.map_err(|_| Stopped)
    }

    fn try_order(&self, order: Command) -> Result<(), SendError> {
        self.commands.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => SendError::Full,
            TrySendError::Closed(_) => SendError::Stopped,
        })
    }

    async fn connecting(
        &self,
        order: Command,
        result: oneshot::Receiver<Result<PeerId, ConnectError>>,
    ) -> Result<PeerId, ConnectError> {
        self.order(order).await.map_err(|_| ConnectError::Stopped)?;
        match timeout(CONNECT_WITHIN, result).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ConnectError::Stopped),
            Err(_) => Err(ConnectError::TimedOut),
        }
    }

    async fn asking<T>(
        &self,
        order: Command,
        result: oneshot::Receiver<Result<T, DhtError>>,
    ) -> Result<T, DhtError> {
        self.order(order).await.map_err(|_| DhtError::Stopped)?;
        match timeout(DHT_QUERY_WITHIN + Duration::from_secs(2), result).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DhtError::Stopped),
            Err(_) => Err(DhtError::TimedOut),
        }
    }
}

fn fits(len: usize, max: usize) -> Result<(), SendError> {
    if max < len { Err(SendError::TooLong { len, max }) } else { Ok(()) }
}
