//! One key event.
//!
//! ```text
//! body  = version 1 (1) | number (8) | keys (64) | next (32) | time (8) | previous (32)
//!         | compromised since (8)
//! event = body (153) | signature of its own key (64) | signature of the previous key (64)
//! ```
//!
//! Numbers are big-endian; times are milliseconds since 1970 UTC. `previous` and the second
//! signature are zero in event 0, and `compromised since` is zero in an event without one.

use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::hash::sha256;
use countersign_crypto::sign::{Signature, VerifyingKey};
use countersign_crypto::site_key::{SiteKey, SitePublicKey};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::SiteId;

const VERSION: u8 = 1;
const BODY: usize = 153;
const EVENT_LABEL: &[u8] = b"countersign site key event 1";
const NEXT_LABEL: &[u8] = b"countersign next site key 1";
const NO_SIGNATURE: Signature = Signature([0; 64]);

/// What an event commits to: the digest of the public keys that replace its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextKeyDigest(pub [u8; 32]);

impl NextKeyDigest {
    /// The commitment to these keys.
    #[must_use]
    pub fn of(keys: &SitePublicKey) -> Self {
        Self(sha256(&[NEXT_LABEL, &keys.to_bytes()].concat()))
    }
}

/// What a key event says. It counts for nothing before its signatures are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEvent {
    /// The event's number: 0 for the first.
    pub number: u64,
    /// The site's keys from this event on.
    pub keys: SitePublicKey,
    /// The commitment to the keys of the next event.
    pub next: NextKeyDigest,
    /// When the site made it, in milliseconds since 1970 UTC, by the site's clock.
    pub time: i64,
    /// The digest of the event before it; zero for event 0.
    pub previous: [u8; 32],
    /// The site declares the previous key stolen: what it signed after this time, in milliseconds
    /// since 1970 UTC, is void.
    pub compromised_since: Option<i64>,
}

impl KeyEvent {
    /// The digest, by which the next event names this one. That of event 0 is the site's id.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.signed_bytes())
    }

    /// The site's id, if this is its first event.
    #[must_use]
    pub fn site_id(&self) -> Option<SiteId> {
        (self.number == 0).then(|| SiteId(self.digest()))
    }

    fn signed_bytes(&self) -> Vec<u8> {
        [EVENT_LABEL, &self.body()].concat()
    }

    fn body(&self) -> Vec<u8> {
        [
            &[VERSION][..],
            &self.number.to_be_bytes(),
            &self.keys.to_bytes(),
            &self.next.0,
            &self.time.to_be_bytes(),
            &self.previous,
            &self.compromised_since.unwrap_or(0).to_be_bytes(),
        ]
        .concat()
    }
}

/// A key event with its signatures. Its serde form is base64url of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignedKeyEvent {
    event: KeyEvent,
    own: Signature,
    by_previous: Signature,
}

/// The bytes or the text are not a key event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a key event of version 1, which has 281 bytes; update this program if the site is newer"
)]
pub struct BadKeyEvent;

impl SignedKeyEvent {
    /// The number of bytes of an event with its signatures.
    pub const LENGTH: usize = BODY + 128;

    /// Makes the first event of a new site. `time` is in milliseconds since 1970 UTC.
    #[must_use]
    pub fn first(key: &SiteKey, next: &SitePublicKey, time: i64) -> Self {
        let event = KeyEvent {
            number: 0,
            keys: key.public(),
            next: NextKeyDigest::of(next),
            time,
            previous: [0; 32],
            compromised_since: None,
        };
        Self {
            event,
            own: key.sign(&event.signed_bytes()),
            by_previous: NO_SIGNATURE,
        }
    }

    /// Makes the event that replaces `current`, the key of this event, with `key`. The caller
    /// checks the result with [`KnownSite::advance`](super::KnownSite::advance), which refuses a
    /// `key` to which this event did not commit. Times are in milliseconds since 1970 UTC.
    #[must_use]
    pub fn replaced_by(
        &self,
        current: &SiteKey,
        key: &SiteKey,
        next: &SitePublicKey,
        time: i64,
        compromised_since: Option<i64>,
    ) -> Self {
        let event = KeyEvent {
            number: self.event.number.saturating_add(1),
            keys: key.public(),
            next: NextKeyDigest::of(next),
            time,
            previous: self.event.digest(),
            compromised_since,
        };
        let signed = event.signed_bytes();
        Self {
            event,
            own: key.sign(&signed),
            by_previous: current.sign(&signed),
        }
    }

    /// What the event says. Its signatures are not verified yet.
    #[must_use]
    pub fn event(&self) -> &KeyEvent {
        &self.event
    }

    /// The bytes of the event, [`Self::LENGTH`] of them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.event.body()[..], &self.own.0, &self.by_previous.0].concat()
    }

    /// Reads an event from exactly its bytes.
    ///
    /// # Errors
    /// [`BadKeyEvent`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKeyEvent> {
        let read = || {
            let (version, rest) = take::<1>(bytes)?;
            let (number, rest) = take(rest)?;
            let (signing, rest) = take(rest)?;
            let (agreement, rest) = take(rest)?;
            let (next, rest) = take(rest)?;
            let (time, rest) = take(rest)?;
            let (previous, rest) = take(rest)?;
            let (compromised_since, rest) = take(rest)?;
            let (own, rest) = take(rest)?;
            let (by_previous, rest) = take(rest)?;
            let compromised_since = i64::from_be_bytes(compromised_since);
            let whole = version == [VERSION] && rest.is_empty();
            whole.then_some(Self {
                event: KeyEvent {
                    number: u64::from_be_bytes(number),
                    keys: SitePublicKey {
                        signing: VerifyingKey(signing),
                        agreement: AgreementPublic(agreement),
                    },
                    next: NextKeyDigest(next),
                    time: i64::from_be_bytes(time),
                    previous,
                    compromised_since: (compromised_since != 0).then_some(compromised_since),
                },
                own: Signature(own),
                by_previous: Signature(by_previous),
            })
        };
        read().ok_or(BadKeyEvent)
    }

    /// Whether the event's own key signed it.
    pub(super) fn is_signed_by_itself(&self) -> bool {
        let signed = self.event.signed_bytes();
        self.event.keys.signing.verify(&signed, &self.own).is_ok()
    }

    /// Whether `previous` signed it too. Event 0 has no previous key and must not name one.
    pub(super) fn is_signed_by_previous(&self, previous: Option<&KeyEvent>) -> bool {
        match previous {
            None => self.by_previous == NO_SIGNATURE && self.event.previous == [0; 32],
            Some(previous) => {
                let signed = self.event.signed_bytes();
                let verified = previous.keys.signing.verify(&signed, &self.by_previous);
                verified.is_ok()
            }
        }
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    Some((*taken, rest))
}

impl TryFrom<String> for SignedKeyEvent {
    type Error = BadKeyEvent;

    fn try_from(text: String) -> Result<Self, BadKeyEvent> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
        Self::from_bytes(&bytes.map_err(|_| BadKeyEvent)?)
    }
}

impl From<SignedKeyEvent> for String {
    fn from(event: SignedKeyEvent) -> Self {
        BASE64URL_NOPAD.encode(&event.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::secret::Secret;
    use countersign_crypto::site_key::SiteSeed;
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> SiteKey {
        SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
    }

    #[test]
    fn an_event_is_the_same_after_writing_and_reading() {
        let first = SignedKeyEvent::first(&key(1), &key(2).public(), 1_000);
        let second = first.replaced_by(&key(1), &key(2), &key(3).public(), 2_000, Some(1_500));
        for event in [first, second] {
            let bytes = event.to_bytes();
            assert_eq!(bytes.len(), SignedKeyEvent::LENGTH);
            assert_eq!(SignedKeyEvent::from_bytes(&bytes), Ok(event));
            let json = serde_json::to_string(&event).unwrap();
            assert_eq!(
                serde_json::from_str::<SignedKeyEvent>(&json).unwrap(),
                event
            );
        }
    }

    proptest! {
        #[test]
        fn bytes_that_are_read_are_written_the_same(
            bytes in proptest::collection::vec(any::<u8>(), 275..285),
        ) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            match SignedKeyEvent::from_bytes(&bytes) {
                Ok(event) => prop_assert_eq!(event.to_bytes(), bytes),
                Err(BadKeyEvent) => prop_assert_ne!(bytes.len(), SignedKeyEvent::LENGTH),
            }
        }
    }
}
