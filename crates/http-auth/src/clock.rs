//! The site's time: the own clock, and how far it is behind the site's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::party::PartyPublic;
use countersign_proto::broker::v2::clock::{Clock, site_time};
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::clock::since_1970;
use http::Uri;

use super::origin::WrongAddress;
use super::site_address::SiteAddress;

/// Tells the time of this machine, in milliseconds since 1970.
pub(super) type OwnClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The longest answer of the site about its time, in bytes: a nonce, a number and a signature.
pub(super) const MAX_ANSWER: usize = 1_024;

/// The clock of this machine. Before 1970 it was never set, and time runs from 1970 on since it was asked first:
/// the site tells how far that is behind.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads the time of day"
)]
pub(super) fn system() -> u64 {
    static FIRST_ASKED: OnceLock<Instant> = OnceLock::new();
    let shown = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let since = since_1970(shown, || FIRST_ASKED.get_or_init(Instant::now).elapsed());
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A question for the site's time: a nonce, and where to ask.
pub(super) fn question(site: &SiteAddress) -> Result<(Nonce, Uri), WrongAddress> {
    let nonce = Nonce(fresh(&mut SystemEntropy));
    let address = site.at(&format!("/clock?nonce={nonce}"))?;
    Ok((nonce, address))
}

/// The site's clock, as far as it is known.
pub(super) struct SiteClock {
    own: OwnClock,
    offset: AtomicI64,
}

impl SiteClock {
    /// A clock that is taken for right until the site says otherwise.
    pub(super) fn new(own: OwnClock) -> Self {
        Self {
            own,
            offset: AtomicI64::new(0),
        }
    }

    /// What the own clock shows, in milliseconds since 1970.
    #[cfg(feature = "provider")]
    pub(super) fn own(&self) -> u64 {
        (self.own)()
    }

    /// The site's time, in milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        site_time((self.own)(), self.offset.load(Ordering::Relaxed))
    }

    /// Goes by what the site said just now, where nobody else can speak.
    #[cfg(feature = "consumer")]
    pub(super) fn set(&self, site_time: u64) {
        let offset = i128::from(site_time) - i128::from((self.own)());
        let offset = i64::try_from(offset).unwrap_or_default();
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// Goes by the answer to the question of that nonce; `false` when it is not the site's.
    pub(super) fn told(&self, nonce: Nonce, answer: &[u8], site: &[PartyPublic]) -> bool {
        let told: Option<Clock> = serde_json::from_slice(answer).ok();
        let offset = told.and_then(|told| told.offset(nonce, site, (self.own)()));
        if let Some(offset) = offset {
            self.offset.store(offset, Ordering::Relaxed);
        }
        offset.is_some()
    }
}
