//! The site's time at a provider. It is requested at the first request at the latest, and then
//! repeatedly in a background task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use countersign_crypto::party::PartyPublic;
use tokio::sync::OnceCell;

use super::provider::ProviderError;
use crate::clock::{self, SiteClock};
use crate::content::{ReadError, read};
use crate::site_address::SiteAddress;

/// Interval of requests for the time, in milliseconds. No clock drifts much in ten minutes.
const INTERVAL: u64 = 600_000;
/// Interval if the site did not respond or the time seems to be wrong, in milliseconds.
const PAUSE: u64 = 30_000;
/// Timeout of the response. The time is late by at most this.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How far the site's time may be off while no request for it has succeeded, in milliseconds: as far as
/// the times in tickets may.
const UNCONFIRMED: u64 = 60_000;
/// How far the clock of this machine may drift between two requests, in milliseconds.
const DRIFT: u64 = 100;

/// The site's time, and the client that requests it.
pub(super) struct SiteTime {
    clock: SiteClock,
    site: SiteAddress,
    client: reqwest::Client,
    /// Set when the first request has ended, with or without success.
    asked: OnceCell<()>,
    /// Start of the last request, by the local clock.
    last: AtomicU64,
    /// Whether the last request succeeded and no sender disagreed since.
    confirmed: AtomicBool,
    /// Whether a request succeeded that [`SiteTime::take_confirmation`] did not return yet.
    confirmed_anew: AtomicBool,
    /// How long the last request took that succeeded, in milliseconds: the time is late by at most this.
    late_by: AtomicU64,
}

impl SiteTime {
    pub(super) fn new(clock: SiteClock, site: SiteAddress) -> Result<Self, ProviderError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build();
        Ok(Self {
            last: AtomicU64::new(clock.local()),
            clock,
            site,
            client: client.map_err(|error| ProviderError::Client(error.to_string()))?,
            asked: OnceCell::new(),
            confirmed: AtomicBool::new(false),
            confirmed_anew: AtomicBool::new(false),
            late_by: AtomicU64::new(0),
        })
    }

    /// The site's time as far as it is known, in milliseconds since 1970.
    pub(super) async fn now(self: &Arc<Self>, site: &[PartyPublic]) -> u64 {
        self.asked
            .get_or_init(|| async { self.request_and_log(site).await })
            .await;
        let (own, last) = (self.clock.local(), self.last.load(Ordering::Relaxed));
        let wait = match self.confirmed.load(Ordering::Relaxed) {
            true => INTERVAL,
            false => PAUSE,
        };
        let due = own.abs_diff(last) >= wait;
        let order = Ordering::Relaxed;
        if due && self.last.compare_exchange(last, own, order, order).is_ok() {
            let (time, site) = (self.clone(), site.to_vec());
            tokio::spawn(async move { time.request_and_log(&site).await });
        }
        self.clock.now()
    }

    /// How far the site's time may be ahead of [`SiteTime::now`], in milliseconds.
    pub(super) fn uncertainty(&self) -> u64 {
        match self.confirmed.load(Ordering::Relaxed) {
            true => self.late_by.load(Ordering::Relaxed).saturating_add(DRIFT),
            false => UNCONFIRMED,
        }
    }

    /// The site's time or this machine's, whichever is later, in milliseconds since 1970.
    pub(super) fn latest(&self) -> u64 {
        self.clock.now().max(self.clock.local())
    }

    /// Whether a request for the site's time has succeeded since the last call.
    pub(super) fn take_confirmation(&self) -> bool {
        self.confirmed_anew.load(Ordering::Relaxed)
            && self.confirmed_anew.swap(false, Ordering::Acquire)
    }

    /// An authenticated sender has another time, so the site's time is requested again soon.
    pub(super) fn mark_uncertain(&self) {
        self.confirmed.store(false, Ordering::Relaxed);
    }

    async fn request_and_log(&self, site: &[PartyPublic]) {
        if let Err(error) = self.ask(site).await {
            tracing::warn!(%error, "the site's time is unknown: using this machine's clock and the last known offset");
        }
    }

    /// Requests the site's time and sets the clock.
    pub(super) async fn ask(&self, site: &[PartyPublic]) -> Result<(), ProviderError> {
        let began = self.clock.local();
        let asked = self.request_time(site).await;
        let ended = self.clock.local();
        self.last.store(ended, Ordering::Relaxed);
        if asked.is_ok() {
            self.late_by.store(ended.abs_diff(began), Ordering::Relaxed);
        }
        self.confirmed.store(asked.is_ok(), Ordering::Relaxed);
        self.confirmed_anew
            .fetch_or(asked.is_ok(), Ordering::Release);
        // It fails if it is set already, which is the case for all but the first request.
        let _ = self.asked.set(());
        asked
    }

    async fn request_time(&self, site: &[PartyPublic]) -> Result<(), ProviderError> {
        let unknown = |problem: reqwest::Error| ProviderError::NoTime(problem.to_string());
        let (nonce, address) = clock::time_request(&self.site)?;
        let answer = self.client.get(address.to_string()).send().await;
        let answer = answer.map_err(unknown)?;
        let body = read(reqwest::Body::from(answer), clock::MAX_CLOCK_RESPONSE);
        let body = body.await.map_err(|unread| match unread {
            ReadError::TooLong => ProviderError::FailedVerification,
            ReadError::Interrupted(error) => ProviderError::NoTime(error.to_string()),
        })?;
        let verified = self.clock.set_from_response(nonce, &body, site);
        verified
            .then_some(())
            .ok_or(ProviderError::FailedVerification)
    }
}
