//! What a site stores about its key: the wrapped current key and next key, the key events, and the
//! root secret sealed under the current key. It is one setting, so that every change of it is
//! atomic, and a change of key slots never overwrites a rotation.

use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_crypto::site_key_slots::{NewSlot, SlotError, WrappedSiteKey};
use countersign_proto::site_identity::{KeyEventsError, KnownSite, NextKeyDigest, SignedKeyEvent};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::RootSecret;
use crate::timestamp::Timestamp;

/// The stored key of a site. Its serde form is the setting; deserialising verifies the key events.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub(crate) struct KeyRecord {
    /// The current key, by its slots.
    pub(crate) current: WrappedSiteKey,
    /// The next key, by its own slots. It is in memory only while it becomes the current key.
    pub(crate) next: WrappedSiteKey,
    /// All key events.
    pub(crate) events: Arc<[SignedKeyEvent]>,
    /// The verified id and newest event.
    pub(crate) known: KnownSite,
    /// The root secret, sealed under the current key.
    pub(crate) sealed_root: Vec<u8>,
}

/// The parts of a new site's key.
pub(crate) struct NewKey {
    pub(crate) record: KeyRecord,
    pub(crate) key: SiteKey,
    pub(crate) root: RootSecret,
}

impl KeyRecord {
    /// Generates the key of a new site, its next key and its root secret.
    pub(crate) fn generate(
        slots: &[NewSlot<'_>],
        next_slots: &[NewSlot<'_>],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<NewKey, NewKeyError> {
        let key = SiteKey::from_seed(SiteSeed::generate(entropy));
        let next = SiteKey::from_seed(SiteSeed::generate(entropy));
        let root = RootSecret::generate(entropy);
        let first = SignedKeyEvent::first(&key, &next.public(), now.millis());
        let record = Self {
            current: wrap(&key, slots, now, entropy)?,
            next: wrap(&next, next_slots, now, entropy)?,
            known: KnownSite::whole(&[first])?,
            events: Arc::new([first]),
            sealed_root: root.sealed_under(&key, entropy),
        };
        Ok(NewKey { record, key, root })
    }
}

/// Wraps a key with these slots.
pub(crate) fn wrap(
    key: &SiteKey,
    slots: &[NewSlot<'_>],
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> Result<WrappedSiteKey, NewKeyError> {
    let (first, others) = slots.split_first().ok_or(NewKeyError::NoSlot)?;
    let mut wrapped = WrappedSiteKey::create(key, *first, now.millis(), entropy)?;
    for slot in others {
        wrapped.add(key, *slot, now.millis(), entropy)?;
    }
    Ok(wrapped)
}

/// Why a key cannot be made. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NewKeyError {
    /// Without a slot the key could never be unwrapped again.
    #[error("a site key needs at least one key slot")]
    NoSlot,
    /// A slot cannot be made.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The event is refused.
    #[error(transparent)]
    Events(#[from] KeyEventsError),
}

/// The setting.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    current: WrappedSiteKey,
    next: WrappedSiteKey,
    events: Vec<SignedKeyEvent>,
    root: String,
}

/// Why the stored key is damaged.
#[derive(Debug, thiserror::Error)]
enum BadKeyRecord {
    #[error(transparent)]
    Events(#[from] KeyEventsError),
    #[error("the newest key event has another key")]
    OtherKey,
    #[error("the newest key event commits to another next key")]
    OtherNextKey,
    #[error("the sealed root secret is not base64")]
    Root,
}

impl TryFrom<Document> for KeyRecord {
    type Error = BadKeyRecord;

    fn try_from(document: Document) -> Result<Self, BadKeyRecord> {
        let known = KnownSite::whole(&document.events)?;
        if *known.keys() != document.current.public() {
            return Err(BadKeyRecord::OtherKey);
        }
        if known.newest().event().next != NextKeyDigest::of(&document.next.public()) {
            return Err(BadKeyRecord::OtherNextKey);
        }
        let sealed_root = BASE64.decode(document.root.as_bytes());
        Ok(Self {
            current: document.current,
            next: document.next,
            events: document.events.into(),
            known,
            sealed_root: sealed_root.map_err(|_| BadKeyRecord::Root)?,
        })
    }
}

impl From<KeyRecord> for Document {
    fn from(record: KeyRecord) -> Self {
        Self {
            current: record.current,
            next: record.next,
            events: record.events.to_vec(),
            root: BASE64.encode(&record.sealed_root),
        }
    }
}
