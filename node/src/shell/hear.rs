//! Hearing: what peers say is opened and its signatures checked, beside the engine and in order.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use engine::Event;
use net::{Events, Token, Topic};
use protocol::{Message, MessageError, PeerId};
use tokio::sync::mpsc;
use tracing::{debug, info, trace, warn};

use crate::shell::Shared;
use crate::shell::stamps::{Admitted, Counted};

/// Messages that may wait for each of the openers; more of them wait in the network's inbox, where peers take turns.
const WAITING_MAX: usize = 2;
/// Openers at most: more would only wait for the engine.
const OPENERS_MAX: usize = 4;

/// A message that nobody has looked into.
#[derive(Debug)]
struct Sealed {
    from: PeerId,
    topic: Topic,
    bytes: Vec<u8>,
    token: Token,
}

/// Passes the network's events on until it stops.
pub(crate) async fn hear(shared: Arc<Shared>, mut events: Events) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let openers: Vec<mpsc::Sender<Sealed>> =
        (0..cores.min(OPENERS_MAX)).map(|_| opener(&shared)).collect();
    while let Some(event) = events.next().await {
        match event {
            net::Event::Message { from, topic, bytes, token } => {
                // One peer's messages all go the same way, so they stay in order.
                let own = usize::from(from.as_bytes()[0]) % openers.len();
                let _ = openers[own].send(Sealed { from, topic, bytes, token }).await;
            }
            net::Event::PeerUp { peer } => {
                debug!(%peer, "connected");
                shared.peers_changed.send_modify(|count| *count += 1);
                shared.tell(Event::PeerUp { peer }).await;
            }
            net::Event::PeerDown { peer } => {
                debug!(%peer, "disconnected");
                shared.tell(Event::PeerDown { peer }).await;
            }
            net::Event::Joined { peer, job } => {
                // It may hold what the job needs.
                trace!(%peer, %job, "takes part");
                shared.peers_changed.send_modify(|count| *count += 1);
            }
            net::Event::Left { peer, job } => trace!(%peer, %job, "takes part no longer"),
            net::Event::Listening { address } => info!(address, "reachable at"),
        }
    }
    if !shared.stop.is_cancelled() {
        warn!("the network has stopped by itself: the node stops");
        shared.stop.cancel();
    }
}

fn opener(shared: &Arc<Shared>) -> mpsc::Sender<Sealed> {
    let (queue, mut waiting) = mpsc::channel::<Sealed>(WAITING_MAX);
    let this = Arc::clone(shared);
    shared.spawn(async move {
        while let Some(sealed) = waiting.recv().await {
            open(&this, sealed).await;
        }
    });
    queue
}

async fn open(shared: &Arc<Shared>, Sealed { from, topic, bytes, token }: Sealed) {
    let this = Arc::clone(shared);
    // Five hundred signatures take 20 ms: too long between two looks at the sockets.
    let opened = tokio::task::spawn_blocking(move || look_into(&this, from, &bytes)).await;
    match opened {
        Ok(Ok(None)) => {
            shared.counters.messages_unwanted.add(1);
            let _ = shared.net.judge(token, net::Judgement::Ignore).await;
        }
        Ok(Ok(Some(Admitted::Message(message)))) => {
            shared.counters.messages_heard.add(1);
            let receipt = match topic {
                Topic::Announcements | Topic::Job(_) => Some(shared.receipts.issue(token)),
                Topic::Direct => None,
            };
            shared.tell(Event::Heard { from, message, receipt }).await;
        }
        Ok(Ok(Some(Admitted::TooMany))) => {
            shared.counters.messages_postponed.add(1);
            debug!(peer = %from, "too many stamps to check");
            let _ = shared.net.judge(token, net::Judgement::Ignore).await;
        }
        Ok(Ok(Some(Admitted::Unsound))) => {
            reject(shared, from, token, &"a stamp was not paid for").await;
        }
        Ok(Err(error)) => reject(shared, from, token, &error).await,
        // Only if the runtime is going down, or the opener panicked, which tests exclude.
        Err(error) => warn!(peer = %from, %error, "a message was not opened"),
    }
}

/// What is cheap first: whether anybody wants it, then signatures, then stamps. Nothing, if nobody does.
fn look_into(
    shared: &Shared,
    from: PeerId,
    bytes: &[u8],
) -> Result<Option<Admitted>, MessageError> {
    let opened = Message::open_if(bytes, shared.network, |said| shared.known.wants(said))?;
    let Some(message) = opened else { return Ok(None) };
    let mut counted = Counted::default();
    let admitted = shared.stamps.admit(shared.network, from, message, Instant::now(), &mut counted);
    shared.counters.stamps_checked.add(counted.checked);
    shared.counters.stamps_unchecked.add(counted.unchecked);
    if let Admitted::Message(Message::Announce(announcement)) = &admitted {
        shared.known.announced(announcement.value().job);
    }
    Ok(Some(admitted))
}

async fn reject(shared: &Shared, from: PeerId, token: Token, why: &(dyn Display + Sync)) {
    shared.counters.messages_rejected.add(1);
    debug!(peer = %from, error = %why, "a message breaks a rule");
    // A network that has stopped holds nothing against anybody.
    let _ = shared.net.judge(token, net::Judgement::Reject).await;
}
