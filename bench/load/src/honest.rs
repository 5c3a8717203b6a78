//! Honest logins: of a service at a steady pace, and of a person from where they logged in before and from
//! where nobody ever did.

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
/// Time from the end of one login of the person to the next. Each stretches a pass phrase, on the processors that the
/// site needs.
const PAUSE: Duration = Duration::from_millis(100);
/// Time from the beginning of one login from a new source to that of the next.
const PACE_AWAY: Duration = Duration::from_millis(500);
/// How long an honest client waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the person logged in before.
const AT_HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// Who logs in honestly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Service,
    /// The person, from a source from which they logged in before.
    AtHome,
    /// The same person, each time from a source from which nobody ever logged in.
    Away,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Service, Self::AtHome, Self::Away];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::AtHome => "person, known source",
            Self::Away => "person, new source",
        }
    }
}

/// How long each took in milliseconds, and how many failed.
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

    /// Of a hundred, how many got in.
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
    /// How many new sources there were.
    sources: AtomicU32,
}

impl Honest {
    /// Everybody logs in once, so that what is kept from a first login is there.
    pub(crate) async fn arrive(site: &Arc<Running>, size: Size) -> Result<Self> {
        let honest = Self {
            site: site.clone(),
            size,
            sources: AtomicU32::new(0),
        };
        log_in(site, AT_HOME, login::Who::Maria).await?;
        honest.services(10).await;
        Ok(honest)
    }

    /// All the logins of a kind.
    pub(crate) async fn log_in(&self, kind: Kind) -> Logins {
        match kind {
            Kind::Service => self.services(self.size.of(1_000, 20)).await,
            Kind::AtHome | Kind::Away => self.persons(kind, self.size.of(30, 2)).await,
        }
    }

    /// The service logs in at a steady pace, whether the logins before are done or not.
    async fn services(&self, count: usize) -> Logins {
        let mut under_way = tokio::task::JoinSet::new();
        let mut pace = interval(PACE);
        for _ in 0..count {
            pace.tick().await;
            let site = self.site.clone();
            under_way.spawn(async move {
                let connector = Connector::new(&site.uri).timeout(PATIENCE);
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
        for took in under_way.join_all().await {
            logins.take(took);
        }
        logins
    }

    /// The person logs in again and again: from the known source one login after the other, from new sources at a
    /// steady pace, since each of these may have to wait.
    async fn persons(&self, kind: Kind, count: usize) -> Logins {
        let mut logins = Logins::default();
        let mut under_way = tokio::task::JoinSet::new();
        for _ in 0..count {
            let from = match kind {
                Kind::Away => self.new_source(),
                _ => AT_HOME,
            };
            let site = self.site.clone();
            under_way.spawn(async move {
                let entered = timeout(PATIENCE, log_in(&site, from, login::Who::Maria)).await;
                entered
                    .ok()
                    .and_then(Result::ok)
                    .map(|entered| entered.took)
            });
            if kind == Kind::Away {
                tokio::time::sleep(PACE_AWAY).await;
            } else if let Some(Ok(took)) = under_way.join_next().await {
                logins.take(took);
                tokio::time::sleep(PAUSE).await;
            }
        }
        for took in under_way.join_all().await {
            logins.take(took);
        }
        logins
    }

    fn new_source(&self) -> Ipv4Addr {
        let number = self.sources.fetch_add(1, Ordering::Relaxed);
        Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 2, 1).to_bits() + number)
    }
}
