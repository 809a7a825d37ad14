//! A peer that speaks libp2p but not our manners: it writes bytes of its own on our streams.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{StreamProtocol, SwarmBuilder, identify, tcp, tls, yamux};
use protocol::PeerId;

use crate::harness::{in_time, network};

#[derive(NetworkBehaviour)]
struct Manners {
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// A connected peer that says it is of our network.
pub(crate) struct Raw {
    control: libp2p_stream::Control,
    to: libp2p::PeerId,
    incoming: Vec<libp2p_stream::IncomingStreams>,
    task: tokio::task::JoinHandle<()>,
}

pub(crate) fn name_of(secret: u8) -> PeerId {
    protocol::Keypair::from_secret(&[secret; 32]).peer()
}

fn protocol_name(what: &str) -> StreamProtocol {
    let short: String = network().to_string().chars().take(16).collect();
    StreamProtocol::try_from_owned(format!("/dugnad/{short}/{what}")).unwrap()
}

impl Raw {
    pub(crate) async fn connect(secret: u8, address: &str) -> Self {
        let key = libp2p::identity::Keypair::ed25519_from_bytes([secret; 32]).unwrap();
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp::Config::default(), tls::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key| Manners {
                identify: identify::Behaviour::new(identify::Config::new(
                    "raw".to_owned(),
                    key.public(),
                )),
                streams: libp2p_stream::Behaviour::new(),
            })
            .unwrap()
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(std::time::Duration::from_secs(60))
            })
            .build();
        let mut control = swarm.behaviour().streams.new_control();
        let incoming = vec![
            control.accept(protocol_name("talk/1")).unwrap(),
            control.accept(protocol_name("blob/2")).unwrap(),
        ];
        let address: libp2p::Multiaddr = address.parse().unwrap();
        let Some(libp2p::multiaddr::Protocol::P2p(to)) = address.iter().last() else {
            panic!("the address names its peer");
        };
        swarm.dial(address).unwrap();
        let connected = async {
            while !swarm.is_connected(&to) {
                swarm.next().await;
            }
        };
        in_time(connected).await;
        let task = tokio::spawn(async move { while swarm.next().await.is_some() {} });
        Self { control, to, incoming, task }
    }

    /// Opens a stream, writes the bytes and waits until the other side has closed it.
    pub(crate) async fn write_and_wait(&mut self, what: &str, bytes: &[u8], end: bool) {
        let open = self.control.open_stream(self.to, protocol_name(what));
        let mut stream = in_time(open).await.unwrap();
        let writing = async {
            // The other side may close before it has read everything.
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
            if end {
                let _ = stream.close().await;
            }
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        };
        in_time(writing).await;
    }

    /// Asks on a blob stream for something and never reads the answer.
    pub(crate) async fn ask_and_take_nothing(&mut self, requests: &[u8]) -> libp2p::Stream {
        let open = self.control.open_stream(self.to, protocol_name("blob/2"));
        let mut stream = in_time(open).await.unwrap();
        in_time(stream.write_all(requests)).await.unwrap();
        in_time(stream.flush()).await.unwrap();
        stream
    }

    /// Answers the first request on the next blob stream with these bytes, and keeps it open.
    pub(crate) async fn answer_blob(&mut self, bytes: Vec<u8>) -> libp2p::Stream {
        self.answer_blobs(vec![bytes]).await
    }

    /// Answers the first requests on the next blob stream, each with bytes of its own.
    pub(crate) async fn answer_blobs(&mut self, answers: Vec<Vec<u8>>) -> libp2p::Stream {
        let (_, mut stream) = in_time(self.incoming[1].next()).await.unwrap();
        for bytes in answers {
            let mut request = [0; 53];
            in_time(stream.read_exact(&mut request)).await.unwrap();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
        }
        stream
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}
