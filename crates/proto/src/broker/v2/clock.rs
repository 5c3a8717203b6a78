//! The site's clock, signed, so that applications need no synchronised clock of their own.
//!
//! ```text
//! signature = Ed25519(site, "countersign broker 2 clock" 00 | nonce (16) | ts (8, big-endian))
//! ```

use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_crypto::sign::Signature;
use serde::{Deserialize, Serialize};

use super::message::{Nonce, bytes};

/// The site's response to a request for the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// The nonce of the request.
    pub nonce: Nonce,
    /// The site's time in milliseconds since 1970.
    pub ts: u64,
    /// The site's Ed25519 signature, 64 bytes.
    #[serde(with = "bytes")]
    pub signature: Vec<u8>,
}

fn signed_text(nonce: Nonce, ts: u64) -> Vec<u8> {
    let label = b"countersign broker 2 clock\0".as_slice();
    [label, &nonce.0, &ts.to_be_bytes()].concat()
}

impl Clock {
    /// Signs the site's time `now`, in milliseconds since 1970, together with the client's nonce.
    #[must_use]
    pub fn issue(nonce: Nonce, now: u64, site: &PartyKey) -> Self {
        Self {
            nonce,
            ts: now,
            signature: site.sign(&signed_text(nonce, now)).0.to_vec(),
        }
    }

    /// Verifies the signature and the nonce, and returns the site's time minus `now` in
    /// milliseconds. `now` is the local time at which the response arrived, in milliseconds since
    /// 1970. Returns `None` if verification fails. The result is too small by the time that the
    /// response took to arrive.
    #[must_use]
    pub fn offset(&self, nonce: Nonce, site: &[PartyPublic], now: u64) -> Option<i64> {
        let signature = Signature(self.signature.as_slice().try_into().ok()?);
        let text = signed_text(self.nonce, self.ts);
        let by_site = |key: &PartyPublic| key.signing.verify(&text, &signature).is_ok();
        let theirs = self.nonce == nonce && site.iter().any(by_site);
        let offset = i128::from(self.ts) - i128::from(now);
        theirs.then(|| i64::try_from(offset).ok()).flatten()
    }
}

/// Converts local time, in milliseconds since 1970, to the site's time. `offset` is in
/// milliseconds.
#[must_use]
pub fn site_time(now: u64, offset: i64) -> u64 {
    now.saturating_add_signed(offset)
}
