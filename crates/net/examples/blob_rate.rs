//! How fast a verified blob moves from node to node, against raw TCP and bare libp2p streams: over Noise and
//! over TLS as libp2p has them, and over our own connections.
//!
//! `cargo run --release -p net --example blob_rate [MiB] [rounds]`; all sides share one process and
//! its cores, and CPU seconds are those of both sides together. Trust the ratios within one round.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{StreamProtocol, SwarmBuilder, noise, tcp, tls, yamux};
use net::{Blobs, Config, Sink};
use protocol::{BlobId, BlobRef, Hash, NetworkId, Subtrees};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[path = "../src/transport/mod.rs"]
mod transport;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MIB: usize = 1 << 20;
/// One figure must not take longer.
const WITHIN: Duration = Duration::from_secs(300);
const PROTOCOL: StreamProtocol = StreamProtocol::new("/blob-rate");

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let (size, rounds) = (arguments.next().unwrap_or(1024), arguments.next().unwrap_or(3));
    let mut bytes = vec![0; size * MIB];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    let shelf = Arc::new(Shelf::new(bytes));

    println!("{size} MiB on loopback; MB/s, CPU seconds per GB over both sides, of raw TCP");
    for _ in 0..rounds {
        let raw = measure(size, raw(shelf.clone())).await?;
        raw.show("raw TCP", &raw);
        for way in [Way::Noise, Way::Tls, Way::Ours, Way::Quic] {
            measure(size, bare(way, shelf.clone())).await?.show(way.name(), &raw);
        }
        measure(size, blob(shelf.clone())).await?.show("verified blob", &raw);
    }
    Ok(())
}

/// How two libp2p peers are connected.
#[derive(Clone, Copy)]
enum Way {
    Noise,
    Tls,
    Ours,
    Quic,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Noise => "stream, libp2p's Noise and Yamux",
            Self::Tls => "stream, libp2p's TLS and Yamux",
            Self::Ours => "stream, our TLS and Yamux",
            Self::Quic => "stream, QUIC",
        }
    }

    const fn listen(self) -> &'static str {
        match self {
            Self::Noise | Self::Tls | Self::Ours => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        }
    }

    fn swarm(self) -> Result<Swarm<libp2p_stream::Behaviour>, Failure> {
        let (tcp, mux) = (tcp::Config::default().nodelay(true), yamux::Config::default);
        let builder = SwarmBuilder::with_new_identity().with_tokio();
        let stay = |config: libp2p::swarm::Config| {
            config.with_idle_connection_timeout(Duration::from_secs(60))
        };
        macro_rules! finish {
            ($builder:expr) => {
                $builder
                    .with_behaviour(|_| libp2p_stream::Behaviour::new())?
                    .with_swarm_config(stay)
                    .build()
            };
        }
        Ok(match self {
            Self::Noise => finish!(builder.with_tcp(tcp, noise::Config::new, mux)?),
            Self::Tls => finish!(builder.with_tcp(tcp, tls::Config::new, mux)?),
            Self::Ours => finish!(
                builder.with_other_transport(|key| transport::over_tcp(key).map_err(Box::from))?
            ),
            Self::Quic => finish!(builder.with_other_transport(transport::over_quic)?),
        })
    }
}

struct Figures {
    /// Megabytes per second.
    rate: f64,
    /// CPU seconds per gigabyte.
    cpu: f64,
}

impl Figures {
    fn show(&self, what: &str, raw: &Self) {
        println!("{what:33} {:5.0} {:5.2} {:5.2}", self.rate, self.cpu, self.rate / raw.rate);
    }
}

async fn measure(
    size: usize,
    moving: impl Future<Output = Result<(Duration, f64), Failure>>,
) -> Result<Figures, Failure> {
    let (took, cpu) = tokio::time::timeout(WITHIN, moving).await??;
    let megabytes = (size * MIB) as f64 / 1e6;
    Ok(Figures { rate: megabytes / took.as_secs_f64(), cpu: cpu / megabytes * 1e3 })
}

/// CPU seconds of this process so far.
fn cpu() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

async fn raw(shelf: Arc<Shelf>) -> Result<(Duration, f64), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let len = shelf.bytes.len();
    let sending = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await?;
        for piece in shelf.bytes.chunks(MIB) {
            socket.write_all(piece).await?;
        }
        io::Result::Ok(())
    });
    let mut socket = TcpStream::connect(address).await?;
    let (start, before) = (Instant::now(), cpu()?);
    let (mut buffer, mut left) = (vec![0; MIB], len);
    while 0 < left {
        left -= socket.read(&mut buffer).await?;
    }
    let figures = (start.elapsed(), cpu()? - before);
    sending.await??;
    Ok(figures)
}

async fn bare(way: Way, shelf: Arc<Shelf>) -> Result<(Duration, f64), Failure> {
    let (mut sender, mut receiver) = (way.swarm()?, way.swarm()?);
    sender.listen_on(way.listen().parse()?)?;
    let address = loop {
        let event = sender.select_next_some().await;
        if let SwarmEvent::NewListenAddr { address, .. } = event {
            break address;
        }
    };
    let peer = *sender.local_peer_id();
    let mut incoming = sender.behaviour().new_control().accept(PROTOCOL)?;
    let mut control = receiver.behaviour().new_control();
    receiver.dial(address)?;
    let len = shelf.bytes.len();
    let (connected, is_connected) = tokio::sync::oneshot::channel();
    let tasks = [
        tokio::spawn(async move { while sender.next().await.is_some() {} }),
        tokio::spawn(async move {
            let mut connected = Some(connected);
            while let Some(event) = receiver.next().await {
                if let SwarmEvent::ConnectionEstablished { .. } = event
                    && let Some(connected) = connected.take()
                {
                    // Whoever measures waits for it.
                    let _ = connected.send(());
                }
            }
        }),
    ];
    is_connected.await?;
    let sending = tokio::spawn(async move {
        let (_, mut stream) = incoming.next().await.ok_or(io::ErrorKind::BrokenPipe)?;
        for piece in shelf.bytes.chunks(MIB) {
            stream.write_all(piece).await?;
        }
        stream.close().await
    });
    let mut stream = control.open_stream(peer, PROTOCOL).await?;
    let (start, before) = (Instant::now(), cpu()?);
    let (mut buffer, mut left) = (vec![0; MIB], len);
    while 0 < left {
        match stream.read(&mut buffer).await? {
            0 => return Err("the stream ended early".into()),
            read => left -= read,
        }
    }
    let figures = (start.elapsed(), cpu()? - before);
    sending.await??;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(figures)
}

async fn blob(shelf: Arc<Shelf>) -> Result<(Duration, f64), Failure> {
    let config = |name: u8| Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        ..Config::loopback([name; 32], NetworkId::named("blob-rate"))
    };
    let blob = shelf.name;
    let (holder, _holder_events) = net::start(config(1), shelf).await?;
    let (fetcher, _fetcher_events) = net::start(config(2), Arc::new(Shelf::new(vec![]))).await?;
    let peer = fetcher.dial(&holder.listen_addrs().remove(0)).await?;
    let (start, before) = (Instant::now(), cpu()?);
    fetcher.fetch(blob, vec![peer], Box::new(Bin { size: blob.size, left: blob.size })).await?;
    let figures = (start.elapsed(), cpu()? - before);
    fetcher.stop().await;
    holder.stop().await;
    Ok(figures)
}

/// One blob in memory.
struct Shelf {
    name: BlobRef,
    bytes: Vec<u8>,
    trees: Vec<Hash>,
}

impl Shelf {
    fn new(bytes: Vec<u8>) -> Self {
        let pieces = (0..).zip(bytes.chunks(MIB));
        let trees = match bytes.len() <= MIB {
            true => Vec::new(),
            false => pieces.map(|(i, piece)| Subtrees::value_of(i, piece)).collect(),
        };
        Self { name: BlobRef::of(&bytes), bytes, trees }
    }
}

impl Blobs for Shelf {
    fn size(&self, blob: BlobId) -> Option<u64> {
        (blob == self.name.id).then_some(self.name.size)
    }

    fn subtrees(&self, _: BlobId) -> io::Result<Vec<Hash>> {
        Ok(self.trees.clone())
    }

    fn read_chunk(&self, _: BlobId, index: u64) -> io::Result<Vec<u8>> {
        let piece = self.bytes.chunks(MIB).nth(index as usize);
        piece.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Takes everything and keeps nothing.
struct Bin {
    size: u64,
    left: u64,
}

impl Sink for Bin {
    fn missing(&mut self) -> Vec<u64> {
        (0..protocol::chunk_count(self.size)).collect()
    }

    fn begin(&mut self, _: &Subtrees) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, _: u64, bytes: &[u8]) -> io::Result<()> {
        self.left -= bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        assert_eq!(self.left, 0, "the transfer is complete");
        Ok(())
    }
}
