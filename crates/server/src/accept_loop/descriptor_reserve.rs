//! Accepts connections when the process has no file descriptor left.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tracing::warn;

use super::Listener;
use crate::clock;
use crate::places::{Key, Places};

/// How long a listener waits for evicted connections to close.
const PAUSE: Duration = Duration::from_millis(20);
/// Minimum interval of log entries about a lack of descriptors.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Connections that are evicted at a time when no descriptor is left.
const EVICTIONS_AT_A_TIME: usize = 8;

/// Frees descriptors when the process has none left. All listeners share one.
pub(crate) struct DescriptorReserve {
    /// The connections of clients, the most numerous first.
    places: Vec<Arc<dyn Evict>>,
    /// An open file that is closed to accept a connection of an operator.
    spare: Mutex<Option<File>>,
    last_logged: Mutex<Option<Instant>>,
}

/// A set of connections that can be evicted.
trait Evict: Send + Sync {
    /// Evicts one connection. Returns `false` if there was none.
    fn evict(&self) -> bool;
}

impl<K: Key> Evict for Places<K> {
    fn evict(&self) -> bool {
        Self::evict(self)
    }
}

impl DescriptorReserve {
    /// Evicts unauthenticated connections of the first of `places` that has any.
    #[must_use]
    pub(crate) fn new<K: Key + Sync>(places: Vec<Arc<Places<K>>>) -> Arc<Self> {
        let places = places.into_iter();
        let reserve = Self {
            places: places.map(|one| one as Arc<dyn Evict>).collect(),
            spare: Mutex::default(),
            last_logged: Mutex::default(),
        };
        reserve.refill_spare();
        Arc::new(reserve)
    }

    /// Accepts the next connection of a client. While no descriptor is left, it evicts
    /// unauthenticated connections of the largest group.
    ///
    /// # Errors
    /// The listener failed.
    pub(super) async fn next<L: Listener>(&self, listener: &L) -> io::Result<L::Accepted> {
        loop {
            match poll_fn(|context| listener.poll_accept(context)).await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// Accepts the next connection of an operator. If no descriptor is left, it uses the spare one.
    ///
    /// # Errors
    /// The listener failed.
    pub(super) async fn next_reserved<L: Listener>(&self, listener: &L) -> io::Result<L::Accepted> {
        loop {
            let accepted = poll_fn(|context| {
                let accepted = listener.poll_accept(context);
                match &accepted {
                    Poll::Ready(Err(error)) if Fault::of(error) == Fault::Exhausted => {
                        // In the same poll, so that no other listener of this thread gets the
                        // descriptor.
                        drop(self.spare());
                        listener.poll_accept(context)
                    }
                    _ => accepted,
                }
            });
            match accepted.await {
                Ok(accepted) => {
                    self.refill_spare();
                    return Ok(accepted);
                }
                Err(error) => self.recover(error).await?,
            }
        }
    }

    async fn recover(&self, error: io::Error) -> io::Result<()> {
        match Fault::of(&error) {
            Fault::Connection => {
                // An unknown error may repeat at once, so avoid a busy loop.
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            }
            Fault::Exhausted => {
                let evicted = self.evict();
                self.log(&error, evicted);
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
            Fault::Listener => Err(error),
        }
    }

    fn evict(&self) -> usize {
        let evict = |_: &usize| self.places.iter().any(|places| places.evict());
        (0..EVICTIONS_AT_A_TIME).take_while(evict).count()
    }

    fn log(&self, error: &io::Error, evicted: usize) {
        let mut last_logged = self
            .last_logged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = clock::monotonic();
        if last_logged.is_none_or(|at| now.saturating_duration_since(at) >= LOG_INTERVAL) {
            *last_logged = Some(now);
            warn!(%error, evicted, "no descriptor left: evicting unauthenticated connections");
        }
    }

    fn spare(&self) -> Option<File> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.take()
    }

    fn refill_spare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            // If it fails now, a later connection tries again.
            *spare = File::open("/dev/null").ok();
        }
    }
}

/// The cause of an error of `accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The connection being accepted failed; other connections are not affected.
    Connection,
    /// The process or the system has no descriptor or memory left.
    Exhausted,
    /// The listener cannot accept connections any more.
    Listener,
}

impl Fault {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Exhausted,
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP) => Self::Listener,
            // `accept` also returns errors of the connection, such as ECONNABORTED (accept(2)).
            _ => Self::Connection,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;

    #[test]
    fn errors_of_accept_are_classified() {
        let of = |errno: Errno| Fault::of(&io::Error::from(errno));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(of(errno), Fault::Exhausted, "{errno}");
        }
        for errno in [
            Errno::CONNABORTED,
            Errno::INTR,
            Errno::PERM,
            Errno::HOSTUNREACH,
        ] {
            assert_eq!(of(errno), Fault::Connection, "{errno}");
        }
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK] {
            assert_eq!(of(errno), Fault::Listener, "{errno}");
        }
    }

    /// The process has no free descriptor, and the operators' listener still accepts at once.
    #[tokio::test]
    async fn a_listener_of_operators_uses_the_spare_descriptor() {
        struct Exhausted(Arc<DescriptorReserve>);
        impl Listener for Exhausted {
            type Accepted = ();
            fn poll_accept(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(match self.0.spare() {
                    Some(spare) => {
                        *self.0.spare.lock().unwrap() = Some(spare);
                        Err(Errno::MFILE.into())
                    }
                    None => Ok(()),
                })
            }
        }
        let reserve = DescriptorReserve::new::<u64>(Vec::new());
        let listener = Exhausted(reserve.clone());
        reserve.next_reserved(&listener).await.unwrap();
        assert!(reserve.spare().is_some(), "a spare is open again");
    }
}
