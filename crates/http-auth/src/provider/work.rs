//! Public-key work on presentations: a bounded amount runs at a time, a bounded number of presentations waits for it,
//! and no source has more than its share of the waiting places. It runs beside the tasks that serve requests.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// Presentations that are worked on at a time: some 5,000 a second of edition v2, and those of slow RSA keys
/// leave the other cores to requests.
const AT_A_TIME: usize = 2;
/// Presentations that wait: at 0.2 ms each the last one waits 25 ms, with RSA keys of 8,192 bits some 4 s.
pub(crate) const WAITING: usize = 256;
/// Presentations of one source that wait, where sources are known: eight sources fill all places together.
pub(crate) const WAITING_PER_SOURCE: usize = 32;

/// Runs public-key work.
pub(crate) struct Work {
    turns: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

impl Work {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            waiting: Mutex::default(),
        }
    }

    /// What the work gives, once it had its turn; `None` when too many wait already.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        source: Option<IpAddr>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = match self.turns.clone().try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => {
                let _place = self.place(source.map(network))?;
                self.turns.clone().acquire_owned().await.ok()?
            }
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            // A caller that vanished does not make room for more work than runs.
            drop(turn);
            done
        });
        done.await.ok()
    }

    fn place(&self, source: Option<IpAddr>) -> Option<Place<'_>> {
        let mut waiting = self.waiting();
        if waiting.all >= WAITING {
            return None;
        }
        if let Some(source) = source {
            let own = waiting.of.entry(source).or_default();
            if *own >= WAITING_PER_SOURCE {
                return None;
            }
            *own += 1;
        }
        waiting.all += 1;
        Some(Place { work: self, source })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock can panic half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those that wait, until it is dropped.
struct Place<'a> {
    work: &'a Work,
    source: Option<IpAddr>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.work.waiting();
        waiting.all -= 1;
        if let Some(source) = self.source
            && let Some(own) = waiting.of.get_mut(&source)
        {
            *own -= 1;
            if *own == 0 {
                waiting.of.remove(&source);
            }
        }
    }
}

/// An IPv4 address, or the /48 of an IPv6 address: one customer has as many addresses of it as they like.
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

    /// Whether that many more presentations of a source find a place; they wait as long as what is returned.
    #[allow(clippy::type_complexity, reason = "a test's list")]
    fn wait(
        work: &Work,
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

    /// The story: unsigned presentations cost a verification each, and as many as came were worked on
    /// at the same time, in the tasks that serve requests.
    #[tokio::test]
    async fn a_source_has_its_share_of_places_and_all_have_a_bounded_number() {
        let work = Work::new();
        let (end, ended) = mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let mut busy: Vec<_> = (0..AT_A_TIME)
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
            let mut own = wait(&work, address(source), WAITING_PER_SOURCE - 1);
            own.extend(wait(&work, address(source), 1));
            assert!(
                own.iter().all(|(answer, _)| answer.is_none()),
                "a place for each"
            );
            // The next of this source is refused, and one of another source is not.
            assert_eq!(wait(&work, address(source), 1)[0].0, Some(None));
            all.extend(own);
        }
        assert_eq!(all.len(), WAITING);
        for source in [address(9), None] {
            assert_eq!(wait(&work, source, 1)[0].0, Some(None));
        }
        // One that goes away makes room, and then all have their turn.
        drop(all.pop());
        assert!(wait(&work, None, 1)[0].0.is_none());
        drop(end);
        for (_, waiting) in all {
            assert_eq!(waiting.await, Some(()));
        }
        assert_eq!(work.waiting().all, 0);
        assert!(work.waiting().of.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:ffff::1"));
        assert_ne!(network("2001:db8:1::"), network("2001:db8:2::"));
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
