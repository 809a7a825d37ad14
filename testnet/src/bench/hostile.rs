//! Hostile peers: each speaks libp2p well and says only what is invalid, as fast as it can be sent; who is sent
//! away comes back under a new name.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use net::{Blobs, Net, Reachability, SendError};
use protocol::{
    About, Announcement, BlobId, BlobRef, Hash, Item, JobId, Keypair, Leaves, Message, NetworkId,
    PeerId, Slot, Step, StepId, hash,
};

/// Steps in one message that are signed rightly.
const STEPS: u64 = 64;
/// Signed messages that are said again and again: signing costs the sender more than sending.
const POOL: usize = 64;
/// A body that is longer than a step may be, and fits into a gossip frame.
const OVERSIZE: u16 = 50 << 10;
/// How long a sender whose queue is full waits.
const FULL: Duration = Duration::from_millis(1);
/// How long one waits who is not let in.
const SHUT_OUT: Duration = Duration::from_millis(20);
/// Messages between two looks at whether the node still listens.
const LOOK_EVERY: u64 = 64;

/// What is wrong with what a peer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wrong {
    BadSignature,
    BadCbor,
    Oversize,
    UnknownJob,
    Stale,
    Useless,
}

pub(super) const ALL: [Wrong; 6] = [
    Wrong::BadSignature,
    Wrong::BadCbor,
    Wrong::Oversize,
    Wrong::UnknownJob,
    Wrong::Stale,
    Wrong::Useless,
];

/// What peers of one kind have sent, as far as it was written to sockets.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) messages: AtomicU64,
    pub(super) names: AtomicU64,
}

/// All of them, in threads of their own.
#[derive(Debug)]
pub(super) struct Crowd {
    stop: Arc<AtomicBool>,
    sent: Arc<[Sent; ALL.len()]>,
    thread: Option<JoinHandle<()>>,
}

/// One peer and what it does.
#[derive(Clone, Copy, Debug)]
struct Hostile {
    number: usize,
    /// Its place in [`ALL`].
    kind: usize,
    by_gossip: bool,
}

/// Whom to annoy.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    pub(super) address: String,
    pub(super) network: NetworkId,
    /// A job that it knows.
    pub(super) job: JobId,
}

impl Wrong {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BadSignature => "bad signature",
            Self::BadCbor => "bad CBOR",
            Self::Oversize => "oversize",
            Self::UnknownJob => "unknown job",
            Self::Stale => "stale",
            Self::Useless => "useless steps",
        }
    }

    /// Statements in one message.
    pub(super) fn statements(self) -> u64 {
        match self {
            Self::UnknownJob | Self::Useless => STEPS,
            Self::BadSignature | Self::BadCbor | Self::Oversize | Self::Stale => 1,
        }
    }
}

impl Crowd {
    /// Lets so many peers begin, of all kinds in turn or of one.
    pub(super) fn start(
        peers: usize,
        only: Option<Wrong>,
        victim: &Victim,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("no runtime for hostile peers")?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (victim, ended, counts) = (victim.clone(), Arc::clone(&stop), Arc::clone(&sent));
        let all = async move {
            let tasks = (0..peers).map(|number| {
                let (victim, ended) = (victim.clone(), Arc::clone(&ended));
                let kinds = ALL.len();
                let kind = only.and_then(|only| ALL.iter().position(|wrong| *wrong == only));
                let kind = kind.unwrap_or(number % kinds);
                let hostile = Hostile { number, kind, by_gossip: number / kinds % 2 == 1 };
                tokio::spawn(harass(hostile, victim, Arc::clone(&counts), ended))
            });
            for task in tasks.collect::<Vec<_>>() {
                // One that panics is one less.
                let _ = task.await;
            }
        };
        let thread = std::thread::Builder::new().name("hostile".to_owned());
        let thread = thread.spawn(move || runtime.block_on(all)).context("no thread")?;
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    /// Ends them; what each kind has sent, and under how many names.
    pub(super) fn end(mut self) -> Vec<(Wrong, u64, u64)> {
        self.finish();
        let of = |(wrong, sent): (&Wrong, &Sent)| {
            (*wrong, sent.messages.load(Relaxed), sent.names.load(Relaxed))
        };
        ALL.iter().zip(self.sent.iter()).map(of).collect()
    }

    fn finish(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends with its tasks, whatever became of them.
            let _ = thread.join();
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.finish();
    }
}

/// One peer, under ever new names.
async fn harass(
    hostile: Hostile,
    victim: Victim,
    sent: Arc<[Sent; ALL.len()]>,
    stop: Arc<AtomicBool>,
) {
    let Hostile { number, kind, by_gossip } = hostile;
    let wrong = ALL[kind];
    for life in 0u64.. {
        if stop.load(Relaxed) {
            return;
        }
        let seed = [number.to_le_bytes(), (life as usize).to_le_bytes()].concat();
        let secret = *hash("hostile", &[victim.network.as_bytes(), &seed]).as_bytes();
        let loopback = net::Config::loopback(secret, victim.network);
        let config =
            net::Config { listen: vec![], reachability: Reachability::Private, ..loopback };
        let Ok((net, mut events)) = net::start(config, Arc::new(Nothing)).await else { return };
        let deaf = tokio::spawn(async move { while events.next().await.is_some() {} });
        if let Ok(peer) = net.dial(&victim.address).await {
            sent[kind].names.fetch_add(1, Relaxed);
            let lies = lies(wrong, &Keypair::from_secret(&secret), &victim);
            // Gossip passes each message on once: who has few says them directly.
            let is_direct = !by_gossip || 1 < lies.len();
            speak(&net, is_direct.then_some(peer), lies, &stop).await;
        } else {
            tokio::time::sleep(SHUT_OUT).await;
        }
        let stats = net.stats();
        sent[kind].messages.fetch_add(stats.talk_sent + stats.gossip_sent, Relaxed);
        net.stop().await;
        deaf.abort();
    }
}

/// Says it all as fast as it leaves, directly or by gossip, until the node listens no more.
async fn speak(net: &Net, to: Option<PeerId>, mut lies: Vec<Vec<u8>>, stop: &AtomicBool) {
    for count in 0u64.. {
        let is_gone = || count % LOOK_EVERY == 0 && net.peers().is_empty();
        if stop.load(Relaxed) || is_gone() {
            return;
        }
        let pool = lies.len();
        let lie = &mut lies[count as usize % pool];
        if pool == 1 {
            // The end is a digest, or nothing at all: another one makes another message.
            let tail = lie.len() - 8;
            lie[tail..].copy_from_slice(&count.to_le_bytes());
        }
        let said = match to {
            Some(peer) => net.send(peer, lie.clone()),
            None => net.announce(lie.clone()),
        };
        match said {
            Ok(()) => {}
            Err(SendError::Full) => tokio::time::sleep(FULL).await,
            Err(SendError::NotConnected | SendError::Stopped | SendError::TooLong { .. }) => return,
        }
        tokio::task::consume_budget().await;
    }
}

/// Messages of one kind: one whose last eight bytes may be anything, or several.
fn lies(wrong: Wrong, key: &Keypair, victim: &Victim) -> Vec<Vec<u8>> {
    let network = victim.network;
    let known = *victim.job.blob().as_bytes();
    match wrong {
        Wrong::BadSignature => {
            vec![Message::Steps(vec![key.sign(network, step(0, Hash::new(known)))]).to_bytes()]
        }
        Wrong::BadCbor => vec![vec![0xff; 256]],
        Wrong::Oversize => vec![oversize(key.peer())],
        Wrong::UnknownJob => {
            let job = |n: usize| hash("nobody's", &[&n.to_le_bytes()]);
            let steps = |n| (0..STEPS).map(move |seq| key.sign(network, step(seq, job(n))));
            (0..POOL).map(|n| Message::Steps(steps(n).collect()).to_bytes()).collect()
        }
        // A log that nobody has the beginning of.
        Wrong::Useless => {
            let steps = |n| {
                let from = (n as u64 + 1) * STEPS;
                (from..from + STEPS).map(|seq| key.sign(network, step(seq, Hash::new(known))))
            };
            (0..POOL).map(|n| Message::Steps(steps(n).collect()).to_bytes()).collect()
        }
        Wrong::Stale => {
            let old = |n| Message::Announce(key.sign(network, expired(n))).to_bytes();
            (0..POOL as u64).map(old).collect()
        }
    }
}

fn step(seq: u64, job: Hash) -> Step {
    let slot = Slot { stage: 0, about: About::Batch(0), units: Hash::ZERO };
    let leaves = Leaves { slot, root: Hash::ZERO, digests: vec![Hash::ZERO; 4] };
    let (job, prev) = (JobId::new(*job.as_bytes()), StepId::new([u8::from(seq != 0); 32]));
    let items = vec![Item::Leaves(leaves)];
    Step { job, shard: 0, seq, prev, level: 0, stamp: None, report: None, items }
}

/// An announcement of a job whose time was over long ago.
fn expired(priority: u64) -> Announcement {
    Announcement {
        job: JobId::new(*hash("stale", &[&priority.to_le_bytes()]).as_bytes()),
        manifest_bytes: 1000,
        semantics: protocol::SEMANTICS,
        created_ms: 1,
        expires_ms: 2,
        units: 1,
        work_ms: 1,
        module: BlobRef::of(b"module"),
        memory_bytes: 1 << 20,
        priority: 0,
        level: 0,
        stamp: None,
        feed: None,
    }
}

/// A step whose body is too long, as no honest program can sign it.
fn oversize(author: PeerId) -> Vec<u8> {
    let mut bytes = b"\xa1\x65Steps\x81\x83\x58\x20".to_vec();
    bytes.extend(author.as_bytes());
    bytes.extend(b"\x58\x40");
    bytes.extend([7; 64]);
    bytes.push(0x59);
    bytes.extend(OVERSIZE.to_be_bytes());
    bytes.extend(vec![0; usize::from(OVERSIZE)]);
    bytes
}

/// A store without blobs.
#[derive(Debug)]
struct Nothing;

impl Blobs for Nothing {
    fn size(&self, _: BlobId) -> Option<u64> {
        None
    }

    fn subtrees(&self, _: BlobId) -> io::Result<Vec<Hash>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn read_chunk(&self, _: BlobId, _: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use protocol::{DecodeError, MessageError, VerifyError};

    use super::*;

    #[test]
    fn every_lie_is_wrong_in_its_own_way_or_well_formed_and_of_no_use() {
        let (key, network) = (Keypair::from_secret(&[1; 32]), NetworkId::named("flood"));
        let job = JobId::new([1; 32]);
        let victim = Victim { address: String::new(), network, job };
        for wrong in ALL {
            for mut lie in lies(wrong, &key, &victim) {
                let tail = lie.len() - 8;
                if matches!(wrong, Wrong::BadSignature | Wrong::BadCbor | Wrong::Oversize) {
                    lie[tail..].copy_from_slice(&1u64.to_le_bytes());
                }
                let opened = Message::open(&lie, network);
                match wrong {
                    Wrong::BadSignature => assert_eq!(
                        opened.unwrap_err(),
                        MessageError::Verify(VerifyError::BadSignature)
                    ),
                    Wrong::BadCbor => {
                        let malformed =
                            |e| matches!(e, MessageError::Decode(DecodeError::Malformed { .. }));
                        assert!(opened.is_err_and(malformed));
                    }
                    Wrong::Oversize => assert!(opened.is_err()),
                    Wrong::UnknownJob | Wrong::Stale | Wrong::Useless => assert!(opened.is_ok()),
                }
                assert!(lie.len() <= net::limits::GOSSIP_BYTES_MAX || 1 < wrong.statements());
            }
        }
    }
}
