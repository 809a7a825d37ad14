//! Nodes on loopback, and waiting for what they tell, with one deadline each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use net::{Blobs, Config, Event, Events, Judgement, Net, Reachability, Sink, Token, Topic};
use protocol::{BlobId, BlobRef, Hash, NetworkId, PeerId, Subtrees};

/// Far beyond what any of these stories takes, so that only a real failure meets it.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn network() -> NetworkId {
    NetworkId::named("test")
}

pub(crate) struct Node {
    pub(crate) net: Net,
    pub(crate) events: Events,
}

pub(crate) struct Message {
    pub(crate) from: PeerId,
    pub(crate) topic: Topic,
    pub(crate) bytes: Vec<u8>,
    pub(crate) token: Token,
}

pub(crate) fn config(name: u8) -> Config {
    Config::loopback([name; 32], network())
}

/// A node that everybody can reach.
pub(crate) async fn node(name: u8) -> Node {
    start(config(name), Shelf::default()).await
}

/// A node whom nobody tells others about, so that it keeps to the peers that it dials.
pub(crate) async fn shy(name: u8) -> Node {
    start(Config { reachability: Reachability::Private, ..config(name) }, Shelf::default()).await
}

pub(crate) async fn holder(name: u8, shelf: Shelf) -> Node {
    start(config(name), shelf).await
}

pub(crate) async fn start(config: Config, shelf: Shelf) -> Node {
    let (net, events) = net::start(config, Arc::new(shelf)).await.unwrap();
    Node { net, events }
}

impl Node {
    pub(crate) fn me(&self) -> PeerId {
        self.net.me()
    }

    /// Where it listens, on TCP.
    pub(crate) fn address(&self) -> String {
        let mut addresses = self.net.listen_addrs().into_iter();
        addresses.find(|address| address.contains("/tcp/")).expect("it listens on TCP")
    }

    pub(crate) async fn dial(&self, other: &Self) {
        assert_eq!(self.net.dial(&other.address()).await, Ok(other.me()));
    }

    /// The next event that `pick` takes.
    pub(crate) async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let picked = async {
            loop {
                let event = self.events.next().await.expect("the node runs");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        };
        in_time(picked).await
    }

    pub(crate) async fn message(&mut self) -> Message {
        self.until(|event| match event {
            Event::Message { from, topic, bytes, token } => {
                Some(Message { from, topic, bytes, token })
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn until_up(&mut self, other: PeerId) {
        self.until(|event| matches!(event, Event::PeerUp { peer } if peer == other).then_some(()))
            .await;
    }

    pub(crate) async fn until_down(&mut self, other: PeerId) {
        self.until(|event| {
            matches!(event, Event::PeerDown { peer } if peer == other).then_some(())
        })
        .await;
    }

    pub(crate) async fn judge(&self, token: Token, judgement: Judgement) {
        self.net.judge(token, judgement).await.unwrap();
    }
}

pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("it happens in time")
}

/// Waits for a fact that no event tells.
pub(crate) async fn until_fact(fact: impl Fn() -> bool) {
    let looking = async {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        while !fact() {
            looks.tick().await;
        }
    };
    in_time(looking).await;
}

pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// A door that stays shut until the story opens it, or ends.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Drop for Gate {
    fn drop(&mut self) {
        // Threads that wait for ever would keep a story that failed from ending.
        self.open();
    }
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let shut = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(shut, |open| !*open).unwrap());
    }
}

/// How a provider treats those who fetch from it.
#[derive(Clone, Default)]
pub(crate) enum Manner {
    #[default]
    Honest,
    /// Right in length and in nothing else.
    WrongBytes,
    WrongTree,
    ShortPieces,
    /// Reads wait at the gate.
    Waits(Gate),
    /// Reads of this piece and later ones do.
    WaitsAt(u64, Gate),
}

/// Blobs in memory.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) blobs: BTreeMap<BlobId, Vec<u8>>,
    pub(crate) manner: Manner,
    /// Of this, what has come is given as well.
    pub(crate) coming: Basket,
}

impl Shelf {
    pub(crate) fn showing(self, basket: &Basket) -> Self {
        Self { coming: basket.clone(), ..self }
    }

    pub(crate) fn of(bytes: &[u8], manner: Manner) -> Self {
        let blobs = [(BlobId::of(bytes), bytes.to_vec())].into();
        Self { blobs, manner, coming: Basket::default() }
    }

    /// A blob of the shelf, or the one that was coming and has come.
    fn whole(&self, blob: BlobId) -> Option<Cow<'_, [u8]>> {
        let come = || {
            let has_ended = self.coming.look().ended;
            let bytes = if has_ended { self.coming.bytes() } else { return None };
            (BlobId::of(&bytes) == blob).then_some(Cow::Owned(bytes))
        };
        self.blobs.get(&blob).map(|bytes| Cow::Borrowed(&bytes[..])).or_else(come)
    }
}

impl Blobs for Shelf {
    fn size(&self, blob: BlobId) -> Option<u64> {
        self.whole(blob).map(|bytes| bytes.len() as u64)
    }

    fn subtrees(&self, blob: BlobId) -> io::Result<Vec<Hash>> {
        let bytes = self.whole(blob).ok_or(io::ErrorKind::NotFound)?;
        let pieces: Vec<&[u8]> = bytes.chunks(1 << 20).collect();
        let mut values: Vec<Hash> = match pieces.len() {
            0 | 1 => Vec::new(),
            _ => (0..).zip(pieces).map(|(i, piece)| Subtrees::value_of(i, piece)).collect(),
        };
        if matches!(self.manner, Manner::WrongTree) {
            values.reverse();
        }
        Ok(values)
    }

    fn read_chunk(&self, blob: BlobId, index: u64) -> io::Result<Vec<u8>> {
        if let Some(piece) = self.coming.look().pieces.get(&index) {
            return Ok(piece.clone());
        }
        let bytes = self.blobs.get(&blob).ok_or(io::ErrorKind::NotFound)?;
        let mut piece = match bytes.chunks(1 << 20).nth(index as usize) {
            Some(piece) => piece.to_vec(),
            None => Vec::new(),
        };
        match &self.manner {
            Manner::Honest | Manner::WrongTree => {}
            Manner::WrongBytes => piece.iter_mut().for_each(|byte| *byte ^= 1),
            Manner::ShortPieces => drop(piece.pop()),
            Manner::Waits(gate) => gate.pass(),
            Manner::WaitsAt(from, gate) if *from <= index => gate.pass(),
            Manner::WaitsAt(..) => {}
        }
        Ok(piece)
    }
}

/// Takes a blob into memory and can be looked at from outside.
#[derive(Clone, Default)]
pub(crate) struct Basket(Arc<Mutex<Taken>>);

#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) missing: Vec<u64>,
    /// How many pieces fit, if not all.
    pub(crate) room: Option<usize>,
    pub(crate) pieces: BTreeMap<u64, Vec<u8>>,
    pub(crate) ended: bool,
}

impl Basket {
    pub(crate) fn missing(pieces: impl IntoIterator<Item = u64>) -> Self {
        let taken = Taken { missing: pieces.into_iter().collect(), ..Taken::default() };
        Self(Arc::new(Mutex::new(taken)))
    }

    pub(crate) fn all_of(blob: BlobRef) -> Self {
        Self::missing(0..protocol::chunk_count(blob.size))
    }

    /// One that is full after so many pieces.
    pub(crate) fn with_room_for(blob: BlobRef, pieces: usize) -> Self {
        let basket = Self::all_of(blob);
        basket.look().room = Some(pieces);
        basket
    }

    pub(crate) fn make_room(&self) {
        self.look().room = None;
    }

    pub(crate) fn sink(&self) -> Box<dyn Sink> {
        Box::new(self.clone())
    }

    pub(crate) fn look(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.0.lock().unwrap()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.look().pieces.values().flatten().copied().collect()
    }
}

impl Sink for Basket {
    fn missing(&mut self) -> Vec<u64> {
        let mut taken = self.look();
        let Taken { missing, pieces, .. } = &mut *taken;
        missing.retain(|index| !pieces.contains_key(index));
        missing.clone()
    }

    fn begin(&mut self, _: &Subtrees) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, index: u64, bytes: &[u8]) -> io::Result<()> {
        let mut taken = self.look();
        if taken.room.is_some_and(|room| room <= taken.pieces.len()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let before = taken.pieces.insert(index, bytes.to_vec());
        assert!(before.is_none(), "piece {index} is given once");
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.look().ended = true;
        Ok(())
    }
}
