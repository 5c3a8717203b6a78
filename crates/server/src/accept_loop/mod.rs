//! Accepting connections: one loop for all listeners.
//!
//! ```text
//! listen --> accept --connection--> service --> a future that serves it, which Connections runs
//!              |                       '------> none: it was rejected
//!              '-- no descriptor left: DescriptorReserve evicts unauthenticated connections
//! ```

mod connections;
mod descriptor_reserve;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;

pub(crate) use connections::Connections;
pub(crate) use descriptor_reserve::DescriptorReserve;

/// Connections that may wait to be accepted; the operating system may allow fewer. If the queue is
/// full, the kernel drops a client's SYN, which the client repeats only after a second.
const BACKLOG: u32 = 4_096;

/// A listening socket.
pub(crate) trait Listener: Send + Sync {
    /// A connection and, for TCP, its source address.
    type Accepted: Send;

    /// Accepts a connection.
    ///
    /// # Errors
    /// The errors of `accept(2)`.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Accepted>>;
}

impl Listener for TcpListener {
    type Accepted = (TcpStream, SocketAddr);

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Accepted>> {
        TcpListener::poll_accept(self, context)
    }
}

impl Listener for UnixListener {
    type Accepted = UnixStream;

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        UnixListener::poll_accept(self, context).map_ok(|(socket, _)| socket)
    }
}

/// The priority of a listener when no descriptor is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Connections of clients, which the service admits or rejects. When no descriptor is left,
    /// unauthenticated connections are evicted.
    Clients,
    /// Connections of operators, which use a reserved descriptor when none is left.
    Operators {
        /// Maximum number of concurrent connections; further ones wait to be accepted.
        places: usize,
    },
}

/// Binds a TCP listener; port 0 selects a free port.
///
/// # Errors
/// The address is in use or does not belong to this machine.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of a previous process do not block the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until the listener fails. `service` returns the future that serves a
/// connection, or `None` to reject it.
///
/// # Errors
/// The listener failed.
pub(crate) async fn run<L, F>(
    listener: L,
    access: Access,
    reserve: Arc<DescriptorReserve>,
    connections: Connections,
    service: impl Fn(L::Accepted) -> Option<F>,
) -> io::Result<Infallible>
where
    L: Listener,
    F: Future<Output = ()> + Send + 'static,
{
    match access {
        Access::Clients => loop {
            let accepted = reserve.next(&listener).await?;
            let served = service(accepted);
            if let Some(served) = served {
                connections.spawn(served).await;
            }
        },
        Access::Operators { places } => {
            let places = Arc::new(Semaphore::new(places));
            loop {
                let place = places.clone().acquire_owned().await;
                let place = place.map_err(io::Error::other)?;
                let accepted = reserve.next_reserved(&listener).await?;
                let served = service(accepted);
                if let Some(served) = served {
                    let served = async move {
                        served.await;
                        drop(place);
                    };
                    connections.spawn(served).await;
                }
            }
        }
    }
}
