//! Tokio.

use std::future::Future;
use std::io;

use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
pub(crate) use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The reading half of a connection.
pub(crate) type Reader = OwnedReadHalf;
/// The writing half of a connection.
pub(crate) type Writer = OwnedWriteHalf;

/// Opens connections to one site.
#[derive(Clone)]
pub(crate) struct Dialer {
    address: String,
}

impl Dialer {
    /// Connects to a host and port.
    pub(crate) fn new(address: String) -> Self {
        Self { address }
    }

    /// The address, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> io::Result<(Reader, Writer)> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        Ok(socket.into_split())
    }
}

/// Runs a future in the background.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(future));
}

/// Runs work that takes a fraction of a second on a thread that may block. `None` if the runtime
/// stops.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// The current time, for deadlines: that of Tokio's timers, which tests can move.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
