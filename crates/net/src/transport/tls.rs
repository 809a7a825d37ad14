//! libp2p's TLS 1.3 with the ciphers in our order: AES-GCM first, which every processor of the last ten years
//! computes several times faster than ChaCha20. (libp2p-tls prefers that, and lets nobody choose.)

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::PeerId;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use libp2p::identity::Keypair;
use libp2p::tls::certificate;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::pki_types::{IpAddr, ServerName};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme, client, server, version};

use super::verify::Named;

/// What is spoken inside; also in libp2p's specification of TLS.
const ALPN: &[u8] = b"libp2p";

/// No certificate could be made of our key.
#[derive(Debug, thiserror::Error)]
#[error("no certificate of our key: {0}")]
pub(crate) struct BadKey(String);

/// Both sides of the handshake.
#[derive(Clone)]
pub(super) struct Config {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// Our one certificate, whoever asks.
#[derive(Debug)]
struct Ours(Arc<CertifiedKey>);

impl Config {
    pub(super) fn new(keypair: &Keypair) -> Result<Self, BadKey> {
        let bad = |error: &dyn fmt::Display| BadKey(error.to_string());
        let (cert, key) = certificate::generate(keypair).map_err(|e| bad(&e))?;
        let key = sign::any_ecdsa_type(&key).map_err(|e| bad(&e))?;
        let ours = Arc::new(Ours(Arc::new(CertifiedKey::new(vec![cert], key))));
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![
                TLS13_AES_128_GCM_SHA256,
                TLS13_AES_256_GCM_SHA384,
                TLS13_CHACHA20_POLY1305_SHA256,
            ],
            ..default_provider()
        });
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|e| bad(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Named))
            .with_client_cert_resolver(Arc::clone(&ours) as _);
        client.alpn_protocols = vec![ALPN.to_vec()];
        // Peers share one name here, and each connection shows anew who they are.
        client.resumption = client::Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|e| bad(&e))?
            .with_client_cert_verifier(Arc::new(Named))
            .with_cert_resolver(ours);
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.ignore_client_order = true;
        server.send_tls13_tickets = 0;
        Ok(Self { client: Arc::new(client), server: Arc::new(server) })
    }
}

impl client::ResolvesClientCert for Ours {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl server::ResolvesServerCert for Ours {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/tls/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Config {
    type Output = (PeerId, TlsStream<C>);
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        let accepting = async move {
            let stream = TlsAcceptor::from(self.server).accept(socket).await?;
            named(stream.into())
        };
        accepting.boxed()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Config {
    type Output = (PeerId, TlsStream<C>);
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        let connecting = async move {
            // Peers have no host names; an address leaves the field out, as the specification asks.
            let nobody =
                ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            let stream = TlsConnector::from(self.client).connect(nobody, socket).await?;
            named(stream.into())
        };
        connecting.boxed()
    }
}

/// Who is at the other end, by its certificate.
fn named<C>(stream: TlsStream<C>) -> io::Result<(PeerId, TlsStream<C>)> {
    let certs = stream.get_ref().1.peer_certificates();
    let Some([cert]) = certs else { return Err(io::Error::other("not one certificate")) };
    let peer = certificate::parse(cert).map_err(io::Error::other)?.peer_id();
    Ok((peer, stream))
}
