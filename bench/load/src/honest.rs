//! Honest logins: of a service at a steady pace, of a person from a known source, and of the same
//! person from new sources.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use countersign_client::{Connector, LoginAs};
use tokio::time::{interval, timeout};

use crate::login::{self, log_in};
use crate::report::percentile;
use crate::site::{Running, millis, now};
use crate::{Result, Size};

/// Time between two logins of the service.
const PACE: Duration = Duration::from_millis(20);
/// Time from the end of one login of the person to the next. Each login runs the key stretching
/// function, on the same processors as the site.
const PAUSE: Duration = Duration::from_millis(100);
/// Time from the beginning of one login from a new source to that of the next.
const PACE_OF_NEW_SOURCES: Duration = Duration::from_millis(500);
/// How long an honest client waits for a login.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The known source: the person logged in from it before.
const KNOWN_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// A kind of honest login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Service,
    /// The person, from the source of earlier logins.
    KnownSource,
    /// The same person, each time from a source without an earlier login.
    NewSource,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Service, Self::KnownSource, Self::NewSource];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::KnownSource => "person, known source",
            Self::NewSource => "person, new source",
        }
    }
}

/// The durations of logins in milliseconds, and the number of failures.
#[derive(Default)]
pub(crate) struct Logins {
    took: Vec<f64>,
    failed: usize,
}

impl Logins {
    pub(crate) fn take(&mut self, took: Option<Duration>) {
        match took {
            Some(took) => self.took.push(millis(took)),
            None => self.failed += 1,
        }
    }

    /// The percentage of logins that succeeded.
    pub(crate) fn success(&self) -> f64 {
        let all = self.took.len() + self.failed;
        self.took.len() as f64 / all.max(1) as f64 * 100.0
    }

    pub(crate) fn percentile(&self, per_cent: usize) -> f64 {
        percentile(&self.took, per_cent)
    }
}

/// Honest clients of one site.
pub(crate) struct Honest {
    site: Arc<Running>,
    size: Size,
    /// The number of new sources used so far.
    sources: AtomicU32,
}

impl Honest {
    /// Logs in with each account, so that the site has cached what a first login leaves.
    pub(crate) async fn arrive(site: &Arc<Running>, size: Size) -> Result<Self> {
        let honest = Self {
            site: site.clone(),
            size,
            sources: AtomicU32::new(0),
        };
        log_in(site, KNOWN_SOURCE, login::Who::Maria).await?;
        honest.services(10).await;
        Ok(honest)
    }

    /// Performs all logins of a kind.
    pub(crate) async fn log_in(&self, kind: Kind) -> Logins {
        match kind {
            Kind::Service => self.services(self.size.of(1_000, 20)).await,
            Kind::KnownSource | Kind::NewSource => self.persons(kind, self.size.of(30, 2)).await,
        }
    }

    /// Logs the service in at a steady pace, without waiting for earlier logins.
    async fn services(&self, count: usize) -> Logins {
        let mut pending = tokio::task::JoinSet::new();
        let mut pace = interval(PACE);
        for _ in 0..count {
            pace.tick().await;
            let site = self.site.clone();
            pending.spawn(async move {
                let connector = Connector::new(&site.uri).timeout(TIMEOUT);
                let begun = now();
                let client = connector
                    .connect(LoginAs::Service(site.robot.clone()))
                    .await;
                let took = begun.elapsed();
                let client = client.ok()?;
                let _ = client.close().await;
                Some(took)
            });
        }
        let mut logins = Logins::default();
        for took in pending.join_all().await {
            logins.take(took);
        }
        logins
    }

    /// Logs the person in: from the known source one login after the other; from new sources at a
    /// steady pace, because each of these may be delayed.
    async fn persons(&self, kind: Kind, count: usize) -> Logins {
        let mut logins = Logins::default();
        let mut pending = tokio::task::JoinSet::new();
        for _ in 0..count {
            let from = match kind {
                Kind::NewSource => self.new_source(),
                _ => KNOWN_SOURCE,
            };
            let site = self.site.clone();
            pending.spawn(async move {
                let logged_in = timeout(TIMEOUT, log_in(&site, from, login::Who::Maria)).await;
                logged_in
                    .ok()
                    .and_then(Result::ok)
                    .map(|logged_in| logged_in.took)
            });
            if kind == Kind::NewSource {
                tokio::time::sleep(PACE_OF_NEW_SOURCES).await;
            } else if let Some(Ok(took)) = pending.join_next().await {
                logins.take(took);
                tokio::time::sleep(PAUSE).await;
            }
        }
        for took in pending.join_all().await {
            logins.take(took);
        }
        logins
    }

    fn new_source(&self) -> Ipv4Addr {
        let number = self.sources.fetch_add(1, Ordering::Relaxed);
        Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 2, 1).to_bits() + number)
    }
}
