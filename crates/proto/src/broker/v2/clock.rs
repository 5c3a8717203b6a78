//! What the site's clock shows, signed: nobody needs a right one of their own.
//!
//! ```text
//! signature = Ed25519(site, "countersign broker 2 clock" 00 | nonce (16) | ts (8, big-endian))
//! ```

use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_crypto::sign::Signature;
use serde::{Deserialize, Serialize};

use super::message::{Nonce, bytes};

/// The answer to whoever asks for the time with a nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// The nonce of the question.
    pub nonce: Nonce,
    /// Milliseconds since 1970, when it was answered.
    pub ts: u64,
    /// The site's.
    #[serde(with = "bytes")]
    pub signature: Vec<u8>,
}

fn signed(nonce: Nonce, ts: u64) -> Vec<u8> {
    let label = b"countersign broker 2 clock\0".as_slice();
    [label, &nonce.0, &ts.to_be_bytes()].concat()
}

impl Clock {
    /// The site's answer.
    #[must_use]
    pub fn tell(nonce: Nonce, now: u64, site: &PartyKey) -> Self {
        Self {
            nonce,
            ts: now,
            signature: site.sign(&signed(nonce, now)).0.to_vec(),
        }
    }

    /// How far the own clock is behind the site's, in milliseconds, by an answer to this nonce that arrived
    /// when the own one showed `now`; `None` when it is not the site's answer. It is late by the way of the
    /// answer: less than whoever asks waits for one.
    #[must_use]
    pub fn offset(&self, nonce: Nonce, site: &[PartyPublic], now: u64) -> Option<i64> {
        let signature = Signature(self.signature.as_slice().try_into().ok()?);
        let text = signed(self.nonce, self.ts);
        let by_site = |key: &PartyPublic| key.signing.verify(&text, &signature).is_ok();
        let theirs = self.nonce == nonce && site.iter().any(by_site);
        let offset = i128::from(self.ts) - i128::from(now);
        theirs.then(|| i64::try_from(offset).ok()).flatten()
    }
}

/// The site's time, by the own clock and its offset.
#[must_use]
pub fn site_time(now: u64, offset: i64) -> u64 {
    now.saturating_add_signed(offset)
}
