//! How connections over TCP are made: read in large portions, encrypted by TLS 1.3 with AES-GCM, divided into
//! streams by Yamux with large frames. Why, and what it is worth: `docs/decisions/0014`.

mod later;
mod mux;
mod tls;
mod verify;

use futures::io::BufReader;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport, quic, tcp};

/// What one call to the system may read: a few TLS records. Held per connection.
const READ_BYTES: usize = 64 << 10;

/// TCP as all nodes speak it.
///
/// # Errors
/// If no certificate can be made of our key.
pub(crate) fn over_tcp(keypair: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, tls::BadKey> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let transport = tcp
        .map(|socket, _| BufReader::with_capacity(READ_BYTES, socket))
        .upgrade(Version::V1Lazy)
        .authenticate(tls::Config::new(keypair)?)
        .multiplex(mux::Config);
    Ok(transport.boxed())
}

/// QUIC, which comes second where both reach a peer alike.
pub(crate) fn over_quic(keypair: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair));
    later::Later(quic).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed()
}
