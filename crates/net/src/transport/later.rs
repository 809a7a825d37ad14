//! QUIC, begun a little later than TCP: near by TCP then wins the race for a connection, which moves bulk at
//! a fraction of the CPU time, and far away or where TCP is blocked QUIC does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::Endpoint;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::{Multiaddr, Transport};

/// Many times what a handshake takes near by, also on a busy machine, and less than a person notices.
const LATER: Duration = Duration::from_millis(250);

/// A transport whose dials wait for a moment.
pub(super) struct Later<T>(pub(super) T);

impl<T> Transport for Later<T>
where
    T: Transport + Unpin,
    T::Dial: Send + 'static,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, T::Error>>;

    fn listen_on(
        &mut self,
        listener: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.0.listen_on(listener, address)
    }

    fn remove_listener(&mut self, listener: ListenerId) -> bool {
        self.0.remove_listener(listener)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        // Both ends of a hole that is being punched must be at it in the same moment.
        let pause = match options.role {
            Endpoint::Dialer => LATER,
            Endpoint::Listener => Duration::ZERO,
        };
        let dial = self.0.dial(address, options)?;
        let later = async move {
            tokio::time::sleep(pause).await;
            dial.await
        };
        Ok(later.boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}
