//! Public-key work on presentations. It runs on blocking threads, outside the tasks that serve
//! requests. The number of concurrent jobs, of waiting presentations, and of waiting presentations
//! per source is bounded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// Presentations processed concurrently. Two reach about 5,000 a second in edition v2, and slow RSA
/// keys leave the other cores to requests.
const MAX_CONCURRENT: usize = 2;
/// Maximum number of waiting presentations. The last one waits 25 ms at 0.2 ms each, and about 4 s
/// with RSA keys of 8,192 bits.
pub(crate) const MAX_WAITING: usize = 256;
/// Maximum number of waiting presentations per source, if sources are known. Eight sources together
/// can fill all places.
pub(crate) const MAX_WAITING_PER_SOURCE: usize = 32;

/// The queue for public-key work.
pub(crate) struct PublicKeyWork {
    permits: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

impl PublicKeyWork {
    pub(crate) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            waiting: Mutex::default(),
        }
    }

    /// Runs `work` when a permit is free and returns its result; `None` if too many presentations
    /// wait already.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        source: Option<IpAddr>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _place = self.place(source.map(network))?;
                self.permits.clone().acquire_owned().await.ok()?
            }
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            // The job holds the permit: if the caller's future is dropped, the job still counts.
            drop(permit);
            done
        });
        done.await.ok()
    }

    fn place(&self, source: Option<IpAddr>) -> Option<Place<'_>> {
        let mut waiting = self.waiting();
        if waiting.total >= MAX_WAITING {
            return None;
        }
        if let Some(source) = source {
            let own = waiting.by_source.entry(source).or_default();
            if *own >= MAX_WAITING_PER_SOURCE {
                return None;
            }
            *own += 1;
        }
        waiting.total += 1;
        Some(Place { work: self, source })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code that holds the lock can panic between two changes.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waiting presentation. Dropping it frees its place.
struct Place<'a> {
    work: &'a PublicKeyWork,
    source: Option<IpAddr>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.work.waiting();
        waiting.total -= 1;
        if let Some(source) = self.source
            && let Some(own) = waiting.by_source.get_mut(&source)
        {
            *own -= 1;
            if *own == 0 {
                waiting.by_source.remove(&source);
            }
        }
    }
}

/// The address itself for IPv4, the /48 for IPv6: one customer can use any address in a /48.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let [first, second, third, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    /// Queues `count` presentations from `source`. Returns for each its result so far and its
    /// future, which holds its place.
    #[allow(clippy::type_complexity, reason = "a test's list")]
    fn wait(
        work: &PublicKeyWork,
        source: Option<IpAddr>,
        count: usize,
    ) -> Vec<(
        Option<Option<()>>,
        std::pin::Pin<Box<dyn Future<Output = Option<()>> + '_>>,
    )> {
        let some = (0..count).map(|_| {
            let mut waiting: std::pin::Pin<Box<dyn Future<Output = Option<()>>>> =
                Box::pin(work.run(source, || ()));
            ((&mut waiting).now_or_never(), waiting)
        });
        some.collect()
    }

    /// Regression: each unsigned presentation cost a verification, and any number was verified
    /// concurrently in the tasks that serve requests.
    #[tokio::test]
    async fn waiting_presentations_are_bounded_in_total_and_per_source() {
        let work = PublicKeyWork::new();
        let (end, ended) = mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let mut busy: Vec<_> = (0..MAX_CONCURRENT)
            .map(|_| {
                let ended = ended.clone();
                Box::pin(work.run(None, move || {
                    let _ = ended.lock().unwrap().recv();
                }))
            })
            .collect();
        assert!(busy.iter_mut().all(|busy| busy.now_or_never().is_none()));

        let address = |last| Some(IpAddr::from([192, 0, 2, last]));
        let mut all = Vec::new();
        for source in 0..8 {
            let mut own = wait(&work, address(source), MAX_WAITING_PER_SOURCE - 1);
            own.extend(wait(&work, address(source), 1));
            assert!(
                own.iter().all(|(answer, _)| answer.is_none()),
                "a place for each"
            );
            // The next one of this source is refused; one of another source is not.
            assert_eq!(wait(&work, address(source), 1)[0].0, Some(None));
            all.extend(own);
        }
        assert_eq!(all.len(), MAX_WAITING);
        for source in [address(9), None] {
            assert_eq!(wait(&work, source, 1)[0].0, Some(None));
        }
        // Dropping one makes room, and all others get a permit in turn.
        drop(all.pop());
        assert!(wait(&work, None, 1)[0].0.is_none());
        drop(end);
        for (_, waiting) in all {
            assert_eq!(waiting.await, Some(()));
        }
        assert_eq!(work.waiting().total, 0);
        assert!(work.waiting().by_source.is_empty());
    }

    #[test]
    fn an_ipv6_48_is_one_source() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:ffff::1"));
        assert_ne!(network("2001:db8:1::"), network("2001:db8:2::"));
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
