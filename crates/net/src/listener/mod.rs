//! Accepting connections: one loop for every listener.
//!
//! ```text
//! listen --> accept --connection--> service --> a future that serves it, which Connections runs
//!              |                       '------> none: it was rejected
//!              '-- no descriptor left: Room evicts unauthenticated connections
//! ```

mod connections;
mod room;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;

pub use connections::Connections;
pub use room::Room;

/// Connections that may wait to be accepted; the operating system may allow fewer. A full queue drops a client's
/// first packet, which is sent again only after a second.
const WAITING: u32 = 4_096;

/// A listening socket.
pub trait Listener: Send + Sync {
    /// A connection, and where it comes from.
    type Accepted: Send;

    /// Accepts one.
    ///
    /// # Errors
    /// Those of `accept(2)`.
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

/// Whose connections a listener accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Those of clients, which the service admits or rejects. When no descriptor is left for one, unauthenticated
    /// connections are evicted.
    Clients,
    /// Those of operators, which are answered also when no descriptor is left.
    Operators {
        /// Connections at a time; more wait to be accepted.
        places: usize,
    },
}

/// Binds a listener over TCP; port 0 takes a free one.
///
/// # Errors
/// The address is in use, or is not this machine's.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of the run before do not keep the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Accepts connections for as long as the listener works, and serves each as `service` says; `None` rejects it.
///
/// # Errors
/// The listener is broken.
pub async fn accept<L, F>(
    listener: L,
    access: Access,
    room: Arc<Room>,
    connections: Connections,
    service: impl Fn(L::Accepted) -> Option<F>,
) -> io::Result<Infallible>
where
    L: Listener,
    F: Future<Output = ()> + Send + 'static,
{
    match access {
        Access::Clients => loop {
            let accepted = room.next(&listener).await?;
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
                let accepted = room.next_first(&listener).await?;
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
