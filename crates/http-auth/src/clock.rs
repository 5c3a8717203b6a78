//! The site's time: the local clock plus its measured offset from the site's clock.

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

/// Returns the time of this machine, in milliseconds since 1970.
pub(super) type LocalClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Maximum length of the site's response with its time, in bytes: nonce, number and signature.
pub(super) const MAX_CLOCK_RESPONSE: usize = 1_024;

/// The clock of this machine. If it shows a time before 1970, it was never set: then time starts in
/// 1970 at the first call, and the offset to the site's time corrects it.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads the time of day"
)]
pub(super) fn system() -> u64 {
    static FIRST_CALL: OnceLock<Instant> = OnceLock::new();
    let shown = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let since = since_1970(shown, || FIRST_CALL.get_or_init(Instant::now).elapsed());
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A request for the site's time: a nonce, and the address to request.
pub(super) fn time_request(site: &SiteAddress) -> Result<(Nonce, Uri), WrongAddress> {
    let nonce = Nonce(fresh(&mut SystemEntropy));
    let address = site.at(&format!("/clock?nonce={nonce}"))?;
    Ok((nonce, address))
}

/// The site's clock as it is known here.
pub(super) struct SiteClock {
    local: LocalClock,
    offset: AtomicI64,
}

impl SiteClock {
    /// The offset is 0 until the site's time is known.
    pub(super) fn new(local: LocalClock) -> Self {
        Self {
            local,
            offset: AtomicI64::new(0),
        }
    }

    /// The local clock, in milliseconds since 1970.
    #[cfg(feature = "provider")]
    pub(super) fn local(&self) -> u64 {
        (self.local)()
    }

    /// The site's time, in milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        site_time((self.local)(), self.offset.load(Ordering::Relaxed))
    }

    /// Sets the offset from the site's current time, which came over an authenticated channel.
    #[cfg(feature = "consumer")]
    pub(super) fn set(&self, site_time: u64) {
        let offset = i128::from(site_time) - i128::from((self.local)());
        let offset = i64::try_from(offset).unwrap_or_default();
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// Verifies the response to the request with this nonce and sets the offset. Returns `false` if
    /// the response is not signed by one of the keys in `site`.
    pub(super) fn set_from_response(
        &self,
        nonce: Nonce,
        response: &[u8],
        site: &[PartyPublic],
    ) -> bool {
        let clock: Option<Clock> = serde_json::from_slice(response).ok();
        let offset = clock.and_then(|clock| clock.offset(nonce, site, (self.local)()));
        if let Some(offset) = offset {
            self.offset.store(offset, Ordering::Relaxed);
        }
        offset.is_some()
    }
}
