//! The JSON form of a wrapped site key.
//!
//! ```json
//! { "version": 1, "site_key": "AQEB…", "slots": [
//!   { "id": 1, "kind": "passphrase", "created_ms": 1700000000000,
//!     "argon2id": { "memory_kib": 65536, "passes": 3, "lanes": 4 },
//!     "salt": "00…", "nonce": "00…", "sealed": "00…", "check": "00…" } ] }
//! ```

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{
    Argon2idCost, MAX_SLOTS, SlotId, SlotKind, WrappedSiteKey,
    slot::{Lock, Slot, VERSION},
};
use crate::site_key::SitePublicKey;

/// The version is the first field, so that a newer file is rejected because of its version.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    version: Version,
    site_key: SitePublicKey,
    slots: Vec<SlotForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotForm {
    id: SlotId,
    kind: SlotKind,
    created_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    argon2id: Option<Argon2idCost>,
    salt: Hex<32>,
    nonce: Hex<12>,
    sealed: Hex<48>,
    check: Hex<8>,
}

/// Why well-formed JSON is not a wrapped site key.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadDocument {
    #[error("version {0} is unknown; a newer program wrote this file: use that program")]
    Version(u32),
    #[error("there are {found} slots: there must be 1 to {MAX_SLOTS}")]
    Slots { found: usize },
    #[error("two slots have the id {0}")]
    DuplicateId(SlotId),
    #[error("slot {0} is for a pass phrase but has no argon2id cost")]
    MissingCost(SlotId),
    #[error("slot {0} is not for a pass phrase but has an argon2id cost")]
    UnexpectedCost(SlotId),
    #[error("expected {0} lower case hexadecimal digits")]
    Hex(usize),
}

impl TryFrom<Document> for WrappedSiteKey {
    type Error = BadDocument;

    fn try_from(document: Document) -> Result<Self, BadDocument> {
        let found = document.slots.len();
        if !(1..=MAX_SLOTS).contains(&found) {
            return Err(BadDocument::Slots { found });
        }
        let mut slots: Vec<Slot> = Vec::with_capacity(found);
        for form in document.slots {
            if slots.iter().any(|slot| slot.id == form.id) {
                return Err(BadDocument::DuplicateId(form.id));
            }
            slots.push(form.try_into()?);
        }
        Ok(Self {
            site: document.site_key,
            slots,
        })
    }
}

impl From<WrappedSiteKey> for Document {
    fn from(wrapped: WrappedSiteKey) -> Self {
        Self {
            version: Version,
            site_key: wrapped.site,
            slots: wrapped.slots.into_iter().map(SlotForm::from).collect(),
        }
    }
}

impl TryFrom<SlotForm> for Slot {
    type Error = BadDocument;

    fn try_from(form: SlotForm) -> Result<Self, BadDocument> {
        let lock = match (form.kind, form.argon2id) {
            (SlotKind::Passphrase, Some(cost)) => Lock::Passphrase(cost),
            (SlotKind::Passphrase, None) => return Err(BadDocument::MissingCost(form.id)),
            (_, Some(_)) => return Err(BadDocument::UnexpectedCost(form.id)),
            (SlotKind::RecoveryCode, None) => Lock::RecoveryCode,
            (SlotKind::File, None) => Lock::File,
        };
        Ok(Self {
            id: form.id,
            created: form.created_ms,
            lock,
            salt: form.salt.0,
            nonce: form.nonce.0,
            sealed: form.sealed.0,
            check: form.check.0,
        })
    }
}

impl From<Slot> for SlotForm {
    fn from(slot: Slot) -> Self {
        Self {
            id: slot.id,
            kind: slot.lock.kind(),
            created_ms: slot.created,
            argon2id: match slot.lock {
                Lock::Passphrase(cost) => Some(cost),
                Lock::RecoveryCode | Lock::File => None,
            },
            salt: Hex(slot.salt),
            nonce: Hex(slot.nonce),
            sealed: Hex(slot.sealed),
            check: Hex(slot.check),
        }
    }
}

/// The only version.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Version;

impl TryFrom<u32> for Version {
    type Error = BadDocument;

    fn try_from(version: u32) -> Result<Self, BadDocument> {
        if version == u32::from(VERSION) {
            Ok(Self)
        } else {
            Err(BadDocument::Version(version))
        }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        VERSION.into()
    }
}

/// `N` bytes as lower case hexadecimal digits.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = BadDocument;

    fn try_from(text: String) -> Result<Self, BadDocument> {
        HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(BadDocument::Hex(2 * N))
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(hex: Hex<N>) -> Self {
        HEXLOWER.encode(&hex.0)
    }
}
