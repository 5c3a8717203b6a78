//! The next connection of a listener, also when the process has no descriptor left for it.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::Instant;
use tracing::warn;

use super::Listener;
use crate::admission::{Admission, Key};

/// How long a listener waits for a connection that was evicted to end.
const PAUSE: Duration = Duration::from_millis(20);
/// The log is told of a want of descriptors once in this time.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// Connections that are evicted at a time when descriptors are used up.
const EVICTED: usize = 8;

/// What makes room when the process has no descriptor left; one for all listeners.
pub struct Room {
    /// Connections of clients, the most numerous first.
    admissions: Vec<Arc<dyn Evict>>,
    /// An open file that is closed for a connection that must be answered.
    spare: Mutex<Option<File>>,
    said: Mutex<Option<Instant>>,
}

/// Connections of which some may be evicted.
trait Evict: Send + Sync {
    /// Evicts one; whether there was one.
    fn evict(&self) -> bool;
}

impl<K: Key> Evict for Admission<K> {
    fn evict(&self) -> bool {
        Self::evict(self)
    }
}

impl Room {
    /// Evicts unauthenticated connections of these, of the first that has any.
    #[must_use]
    pub fn new<K: Key + Sync>(admissions: Vec<Arc<Admission<K>>>) -> Arc<Self> {
        let admissions = admissions.into_iter();
        let room = Self {
            admissions: admissions.map(|one| one as Arc<dyn Evict>).collect(),
            spare: Mutex::default(),
            said: Mutex::default(),
        };
        room.keep_spare();
        Arc::new(room)
    }

    /// The next connection of a listener of clients. When there is no descriptor for it, unauthenticated
    /// connections of the largest group are evicted until there is one.
    ///
    /// # Errors
    /// The listener itself is broken.
    pub(super) async fn next<L: Listener>(&self, listener: &L) -> io::Result<L::Accepted> {
        loop {
            match poll_fn(|context| listener.poll_accept(context)).await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// The same for a listener that must always answer: it takes the spare descriptor.
    ///
    /// # Errors
    /// The listener itself is broken.
    pub(super) async fn next_first<L: Listener>(&self, listener: &L) -> io::Result<L::Accepted> {
        loop {
            let accepted = poll_fn(|context| {
                let accepted = listener.poll_accept(context);
                match &accepted {
                    Poll::Ready(Err(error)) if Fault::of(error) == Fault::Exhausted => {
                        // In one poll, so that no other listener of this thread takes it.
                        drop(self.spare());
                        listener.poll_accept(context)
                    }
                    _ => accepted,
                }
            });
            match accepted.await {
                Ok(accepted) => {
                    self.keep_spare();
                    return Ok(accepted);
                }
                Err(error) => self.recover(error).await?,
            }
        }
    }

    async fn recover(&self, error: io::Error) -> io::Result<()> {
        match Fault::of(&error) {
            Fault::Connection => {
                // An error that this page does not know may come again at once.
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            }
            Fault::Exhausted => {
                let evicted = self.evict();
                self.say(&error, evicted);
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
            Fault::Listener => Err(error),
        }
    }

    fn evict(&self) -> usize {
        let evict = |_: &usize| self.admissions.iter().any(|admission| admission.evict());
        (0..EVICTED).take_while(evict).count()
    }

    fn say(&self, error: &io::Error, evicted: usize) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
            warn!(%error, evicted, "cannot accept a connection; unauthenticated ones make room");
        }
    }

    fn spare(&self) -> Option<File> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.take()
    }

    fn keep_spare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            // Where there is no room for it now, there is after a later connection.
            *spare = File::open("/dev/null").ok();
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The connection that was about to be taken is broken; there are others.
    Connection,
    /// The process or the system has no descriptor or memory for it.
    Exhausted,
    /// The listener will never take one again.
    Listener,
}

impl Fault {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Exhausted,
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP) => Self::Listener,
            // What `accept` passes on of the connection, such as ECONNABORTED (accept(2)).
            _ => Self::Connection,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;

    #[test]
    fn faults_of_accept_are_told_apart() {
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

    /// A listener that must answer, of a process without a free descriptor: it does so at once.
    #[tokio::test]
    async fn a_listener_that_must_answer_takes_the_spare_descriptor() {
        struct Exhausted(Arc<Room>);
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
        let room = Room::new::<u64>(Vec::new());
        let listener = Exhausted(room.clone());
        room.next_first(&listener).await.unwrap();
        assert!(room.spare().is_some(), "there is one for the next time");
    }
}
