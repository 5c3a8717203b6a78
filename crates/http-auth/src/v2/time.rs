//! The site's time at a provider: asked for at the first request at the latest, and now and then afterwards,
//! beside the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use countersign_crypto::party::PartyPublic;
use tokio::sync::OnceCell;

use super::provider::ProviderError;
use crate::clock::{self, SiteClock};
use crate::content::{Unread, read};
use crate::site_address::SiteAddress;

/// How often the site is asked, in milliseconds: no clock goes wrong by much in that time.
const INTERVAL: u64 = 600_000;
/// How often when it did not answer, or when the time seems to be wrong.
const PAUSE: u64 = 30_000;
/// How long an answer may take. The time is late by that at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// The site's time, and the way to it.
pub(super) struct SiteTime {
    clock: SiteClock,
    site: SiteAddress,
    client: reqwest::Client,
    /// The first question was answered, or was not.
    asked: OnceCell<()>,
    /// When it was asked last, by the own clock.
    last: AtomicU64,
    /// Whether that went well.
    sure: AtomicBool,
}

impl SiteTime {
    pub(super) fn new(clock: SiteClock, site: SiteAddress) -> Result<Self, ProviderError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build();
        Ok(Self {
            last: AtomicU64::new(clock.own()),
            clock,
            site,
            client: client.map_err(|error| ProviderError::Client(error.to_string()))?,
            asked: OnceCell::new(),
            sure: AtomicBool::new(false),
        })
    }

    /// The site's time, in milliseconds since 1970, as far as it is known.
    pub(super) async fn now(self: &Arc<Self>, site: &[PartyPublic]) -> u64 {
        self.asked
            .get_or_init(|| async { self.ask_and_tell(site).await })
            .await;
        let (own, last) = (self.clock.own(), self.last.load(Ordering::Relaxed));
        let wait = match self.sure.load(Ordering::Relaxed) {
            true => INTERVAL,
            false => PAUSE,
        };
        let due = own.abs_diff(last) >= wait;
        let order = Ordering::Relaxed;
        if due && self.last.compare_exchange(last, own, order, order).is_ok() {
            let (time, site) = (self.clone(), site.to_vec());
            tokio::spawn(async move { time.ask_and_tell(&site).await });
        }
        self.clock.now()
    }

    /// Somebody who proved who it is has another time: who is right will be asked soon.
    pub(super) fn doubt(&self) {
        self.sure.store(false, Ordering::Relaxed);
    }

    async fn ask_and_tell(&self, site: &[PartyPublic]) {
        if let Err(error) = self.ask(site).await {
            tracing::warn!(%error, "going by this machine's clock and what was known of the site's");
        }
    }

    /// Asks the site, and goes by its answer.
    pub(super) async fn ask(&self, site: &[PartyPublic]) -> Result<(), ProviderError> {
        let asked = self.answer(site).await;
        self.last.store(self.clock.own(), Ordering::Relaxed);
        self.sure.store(asked.is_ok(), Ordering::Relaxed);
        // Set already, but for who asks before the first request.
        let _ = self.asked.set(());
        asked
    }

    async fn answer(&self, site: &[PartyPublic]) -> Result<(), ProviderError> {
        let unknown = |problem: reqwest::Error| ProviderError::NoTime(problem.to_string());
        let (nonce, address) = clock::question(&self.site)?;
        let answer = self.client.get(address.to_string()).send().await;
        let answer = answer.map_err(unknown)?;
        let body = read(reqwest::Body::from(answer), clock::MAX_ANSWER);
        let body = body.await.map_err(|unread| match unread {
            Unread::TooLong => ProviderError::FailedVerification,
            Unread::Broken(error) => ProviderError::NoTime(error.to_string()),
        })?;
        let told = self.clock.told(nonce, &body, site);
        told.then_some(()).ok_or(ProviderError::FailedVerification)
    }
}
