//! Yamux with frames of 64 KiB instead of 16. (libp2p-yamux, whose wrapping this follows, lets nobody choose.)

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::future::{self, Ready};
use futures::{AsyncRead, AsyncWrite, ready};
use libp2p::core::UpgradeInfo;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use yamux::{Connection, ConnectionError, Mode, Stream};

/// A frame's payload. Up to 32 of them wait for a peer that does not read.
const FRAME_BYTES: usize = 64 << 10;
/// Streams of one connection: the DHT may have 64 under way, all others together a dozen.
const STREAMS_MAX: usize = 128;
/// What every stream may have under way, by Yamux's specification.
const WINDOW_BYTES: usize = 256 << 10;
/// What all of a connection may have under way beside that: 40 MB/s at a round trip of 100 ms. As much waits for
/// us where we do not read on.
const WINDOWS_BYTES: usize = 4 << 20;
/// Streams that others opened and nobody has taken yet.
const INBOUND_MAX: usize = STREAMS_MAX;

/// How a connection becomes many streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config;

/// One connection's streams.
pub(super) struct Muxer<C> {
    connection: Connection<C>,
    inbound: VecDeque<Stream>,
    waker: Option<Waker>,
}

impl Config {
    fn divide<C>(self, socket: C, mode: Mode) -> Ready<io::Result<Muxer<C>>>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let mut config = yamux::Config::default();
        config.set_split_send_size(FRAME_BYTES);
        config.set_max_num_streams(STREAMS_MAX);
        config.set_max_connection_receive_window(Some(STREAMS_MAX * WINDOW_BYTES + WINDOWS_BYTES));
        let connection = Connection::new(socket, config, mode);
        future::ready(Ok(Muxer { connection, inbound: VecDeque::new(), waker: None }))
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Output>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        self.divide(socket, Mode::Server)
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Output>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        self.divide(socket, Mode::Client)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + 'static> Muxer<C> {
    /// The next stream from the other side. Asking for it is what moves the bytes of all others.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        let next = ready!(self.connection.poll_next_inbound(cx));
        Poll::Ready(next.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + 'static> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = ConnectionError;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        if let Poll::Ready(next) = self.next(cx) {
            return Poll::Ready(next);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connection.poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        let stream = ready!(self.next(cx))?;
        // One too many is dropped, which resets it.
        if self.inbound.len() < INBOUND_MAX {
            self.inbound.push_back(stream);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        // There may be more; others come in between.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
