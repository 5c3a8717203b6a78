//! What attackers do, each connection of its own, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use countersign_crypto::entropy::{Entropy, SystemEntropy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;
use crate::server::KNOWN;
use crate::site::{Running, attacker};

/// From one byte of a slow connection to the next; from the end of one to the next connection.
const SLOWNESS: Duration = Duration::from_secs(3);
/// From the end of another attack to the next of the same attacker. Without it the attackers' own work would
/// be measured: they share the machine with the site.
const PAUSE: Duration = Duration::from_millis(20);

/// First flights to send: they are recorded before, so that the attack costs the attacker little.
pub(crate) struct Flights {
    persons: Vec<Vec<u8>>,
    services: Vec<Vec<u8>>,
}

impl Flights {
    pub(crate) fn record(site: &Running, count: usize) -> Result<Self> {
        let persons = (0..count)
            .map(|number| match number % 2 {
                0 => site.flight_of_person(KNOWN),
                _ => site.flight_of_person(&format!("nobody{number}")),
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

/// An attack that goes on until it is dropped.
pub(crate) struct Attack {
    going_on: Arc<AtomicBool>,
    pub(crate) connections: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Attack {
    /// Begins; `at_once` connections at a time, from `sources` addresses.
    pub(crate) fn begin(
        site: &Arc<Running>,
        flights: &Arc<Flights>,
        kind: &'static str,
        at_once: usize,
        sources: usize,
    ) -> Self {
        let going_on = Arc::new(AtomicBool::new(true));
        let connections = Arc::new(AtomicU64::new(0));
        let pause = match kind {
            "slow" => SLOWNESS,
            _ => PAUSE,
        };
        let mut tasks = JoinSet::new();
        for task in 0..at_once {
            let (site, flights) = (site.clone(), flights.clone());
            let (going_on, connections) = (going_on.clone(), connections.clone());
            let share = f64::from(u32::try_from(task).unwrap_or(0)) / at_once as f64;
            tasks.spawn(async move {
                // One after the other, not all in step.
                tokio::time::sleep(pause.mul_f64(share)).await;
                let mut number = task;
                while going_on.load(Ordering::Relaxed) {
                    let from = number % sources;
                    connections.fetch_add(1, Ordering::Relaxed);
                    let _ = one(&site, &flights, kind, number, from, &going_on).await;
                    tokio::time::sleep(pause).await;
                    number += at_once;
                }
            });
        }
        Self {
            going_on,
            connections,
            _tasks: tasks,
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.going_on.store(false, Ordering::Relaxed);
    }
}

/// One attack, to its end.
async fn one(
    site: &Running,
    flights: &Flights,
    kind: &str,
    number: usize,
    from: usize,
    going_on: &AtomicBool,
) -> Result<()> {
    let mut socket = site.connect_from(attacker(from)).await?;
    let mut answer = vec![0; 4_096];
    match kind {
        "slow" => {
            for byte in flights.person(number).chunks(1) {
                if !going_on.load(Ordering::Relaxed) {
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
