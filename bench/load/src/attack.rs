//! The attackers. Each opens one connection after the other.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use countersign_crypto::entropy::{Entropy, SystemEntropy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::Result;
use crate::report::percentile;
use crate::server::{KNOWN, OTHER};
use crate::site::{Running, attacker};

/// Time between two bytes of a slow connection, and between two slow connections.
const SLOWNESS: Duration = Duration::from_secs(3);
/// Time between two connections of the other attacks. The attackers share the machine with the
/// site, so without a pause the measurement would be of their own work.
const PAUSE: Duration = Duration::from_millis(20);
/// Time between two counts of the open connections.
const COUNTED_EVERY: Duration = Duration::from_millis(100);
/// How long an attack may take to reach its full size.
const SETTLING: Duration = Duration::from_secs(20);

/// First flights of logins. They are recorded before the attack, so that the attack costs the
/// attackers little.
pub(crate) struct Flights {
    persons: Vec<Vec<u8>>,
    services: Vec<Vec<u8>>,
}

impl Flights {
    /// Records flights. Half of the persons' flights name the person who also logs in honestly, a
    /// quarter name another person, and a quarter name unknown accounts.
    pub(crate) fn record(site: &Running, count: usize) -> Result<Self> {
        let persons = (0..count)
            .map(|number| match number % 4 {
                0 | 1 => site.flight_of_person(KNOWN),
                2 => site.flight_of_person(OTHER),
                _ => site.flight_of_person(&format!("unknown{number}")),
            })
            .collect::<Result<_>>()?;
        let services = (0..count)
            .map(|_| site.flight_of_service())
            .collect::<Result<_>>()?;
        Ok(Self { persons, services })
    }

    fn person(&self, number: usize) -> &[u8] {
        let at = number % self.persons.len().max(1);
        self.persons.get(at).map_or(&[], Vec::as_slice)
    }

    fn service(&self, number: usize) -> &[u8] {
        let at = number % self.services.len().max(1);
        self.services.get(at).map_or(&[], Vec::as_slice)
    }
}

/// The state that the attackers of one attack share.
#[derive(Default)]
struct Count {
    ended: AtomicBool,
    attempts: AtomicUsize,
    open: AtomicUsize,
}

/// An attacker's connection that the site has not closed.
struct OpenConnection<'a>(&'a Count);

impl<'a> OpenConnection<'a> {
    fn new(count: &'a Count) -> Self {
        count.open.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An attack. It ends when this is dropped.
pub(crate) struct Attack {
    count: Arc<Count>,
    _tasks: JoinSet<()>,
}

impl Attack {
    /// Starts an attack with `at_once` concurrent connections from these sources.
    pub(crate) fn begin(
        site: &Arc<Running>,
        flights: &Arc<Flights>,
        kind: &'static str,
        at_once: usize,
        sources: Range<usize>,
    ) -> Self {
        let count = Arc::new(Count::default());
        let pause = match kind {
            "slow" => SLOWNESS,
            _ => PAUSE,
        };
        let (first, count_of_sources) = (sources.start, sources.len().max(1));
        let mut tasks = JoinSet::new();
        for task in 0..at_once {
            let (site, flights, count) = (site.clone(), flights.clone(), count.clone());
            let share = task as f64 / at_once as f64;
            tasks.spawn(async move {
                // Spreads the attackers' connections over time.
                tokio::time::sleep(pause.mul_f64(share)).await;
                let mut number = task;
                while !count.ended.load(Ordering::Relaxed) {
                    let from = first + number % count_of_sources;
                    count.attempts.fetch_add(1, Ordering::Relaxed);
                    let _ = one(&site, &flights, kind, number, from, &count).await;
                    tokio::time::sleep(pause).await;
                    number += at_once;
                }
            });
        }
        Self {
            count,
            _tasks: tasks,
        }
    }

    /// Waits until `at_once` attackers have started.
    pub(crate) async fn settled(&self, at_once: usize) {
        let all = async {
            while self.attempts() < at_once {
                tokio::time::sleep(COUNTED_EVERY).await;
            }
        };
        // If the machine is too slow for the attack, the number of its attempts shows it.
        let _ = timeout(SETTLING, all).await;
        tokio::time::sleep(COUNTED_EVERY * 3).await;
    }

    /// The number of attempts to connect.
    pub(crate) fn attempts(&self) -> usize {
        self.count.attempts.load(Ordering::Relaxed)
    }

    /// Counts the attackers' open connections until [`Counting::finish`].
    pub(crate) fn count_open(&self) -> Counting {
        let (finish, mut finished) = oneshot::channel();
        let count = self.count.clone();
        let counts = tokio::spawn(async move {
            let mut counts = Vec::new();
            let mut pace = tokio::time::interval(COUNTED_EVERY);
            while finished.try_recv().is_err() {
                pace.tick().await;
                counts.push(count.open.load(Ordering::Relaxed) as f64);
            }
            counts
        });
        Counting { finish, counts }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.count.ended.store(true, Ordering::Relaxed);
    }
}

/// Repeated counts of open connections.
pub(crate) struct Counting {
    finish: oneshot::Sender<()>,
    counts: JoinHandle<Vec<f64>>,
}

/// The number of connections that were open at the same time.
pub(crate) struct OpenAtOnce {
    pub(crate) least: f64,
    pub(crate) median: f64,
}

impl Counting {
    pub(crate) async fn finish(self) -> Result<OpenAtOnce> {
        // If the receiver is gone, the counting task has ended.
        let _ = self.finish.send(());
        let counts = self.counts.await?;
        Ok(OpenAtOnce {
            least: percentile(&counts, 0),
            median: percentile(&counts, 50),
        })
    }
}

/// One connection of an attack, until it ends.
async fn one(
    site: &Running,
    flights: &Flights,
    kind: &str,
    number: usize,
    from: usize,
    count: &Count,
) -> Result<()> {
    let mut socket = site.connect_from(attacker(from)).await?;
    let _open = OpenConnection::new(count);
    let mut answer = vec![0; 4_096];
    match kind {
        "slow" => {
            for byte in flights.person(number).chunks(1) {
                if count.ended.load(Ordering::Relaxed) {
                    break;
                }
                socket.write_all(byte).await?;
                if timeout(SLOWNESS, socket.read(&mut answer)).await.is_ok() {
                    break;
                }
            }
        }
        "garbage" => {
            let mut noise = vec![0; 16_384];
            SystemEntropy.fill(&mut noise);
            let _ = socket.write_all(&noise).await;
            let _ = timeout(Duration::from_secs(1), socket.read(&mut answer)).await;
        }
        "half" => {
            let flight = match number % 2 {
                0 => flights.person(number),
                _ => flights.service(number),
            };
            socket.write_all(flight).await?;
            let _ = timeout(Duration::from_secs(1), socket.read(&mut answer)).await;
        }
        _ => {
            socket.write_all(flights.person(number)).await?;
            let answered = timeout(Duration::from_secs(12), socket.read(&mut answer)).await;
            if answered?? > 0 {
                let mut proof = vec![0x80, 0x05, 64];
                proof.extend([7; 64]);
                socket.write_all(&proof).await?;
                let _ = timeout(Duration::from_secs(1), socket.read(&mut answer)).await;
            }
        }
    }
    Ok(())
}
