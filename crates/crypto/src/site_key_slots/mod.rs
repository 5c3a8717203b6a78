//! The stored form of the site key: wrapped by one or more key slots, each of which can unwrap it.
//!
//! Each slot encrypts the same seed with a key of its own. So a slot can be added, replaced or
//! removed without the secrets of the others, and losing one secret is harmless while another slot
//! is left.
//!
//! ```text
//! pass phrase    stretched with Argon2id  ─┐
//! recovery code  printed once, 160 bits   ─┼─► AES-256-GCM ─► seed ─► SiteKey
//! file           32 bytes, for unattended ─┘
//! ```

mod argon2id_cost;
mod document;
mod recovery_code;
mod slot;
mod slot_file;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::{
    argon2id_cost::{Argon2idCost, CostOutOfRange},
    recovery_code::{BadRecoveryCode, RecoveryCode},
    slot_file::{BadSlotFile, SlotFile},
};
use self::{document::Document, slot::Slot};
use crate::{
    entropy::Entropy,
    secret::Passphrase,
    site_key::{SiteKey, SitePublicKey},
};

/// Maximum number of slots. Trying a pass phrase stretches it for each pass phrase slot.
pub const MAX_SLOTS: usize = 16;

/// A wrapped site key. Its serde form is the file; deserialising checks everything except the
/// encrypted seeds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct WrappedSiteKey {
    site: SitePublicKey,
    slots: Vec<Slot>,
}

impl WrappedSiteKey {
    /// Wraps a site key with a first slot. `created` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// Only [`SlotError::PassphraseTooLong`].
    pub fn create(
        key: &SiteKey,
        first: NewSlot<'_>,
        created: i64,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, SlotError> {
        let site = key.public();
        let slot = Slot::seal(key.seed(), &site, SlotId(1), first, created, entropy)
            .ok_or(SlotError::PassphraseTooLong)?;
        Ok(Self {
            site,
            slots: vec![slot],
        })
    }

    /// The site's public key, which is available while the site is sealed.
    #[must_use]
    pub fn public(&self) -> SitePublicKey {
        self.site
    }

    /// The slots in the order of their addition.
    pub fn slots(&self) -> impl Iterator<Item = SlotSummary> {
        self.slots.iter().map(|slot| SlotSummary {
            id: slot.id,
            kind: slot.lock.kind(),
            created: slot.created,
        })
    }

    /// Unwraps the site key with a secret. It tries each slot of the secret's kind.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, secret: SlotSecret<'_>) -> Result<SiteKey, OpenError> {
        self.open_slot(secret).map(|(_, key)| key)
    }

    /// Unwraps the key as [`WrappedSiteKey::open`] does, and says which slot did.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_slot(&self, secret: SlotSecret<'_>) -> Result<(SlotId, SiteKey), OpenError> {
        let kind = secret.kind();
        let mut refusal = OpenError::NoSuchSlot { kind };
        for slot in self.slots.iter().filter(|slot| slot.lock.kind() == kind) {
            let damaged = OpenError::Damaged { slot: slot.id };
            if !slot.is_intact(&self.site) {
                refusal = damaged;
                continue;
            }
            match slot.open(&self.site, secret).map(SiteKey::from_seed) {
                Some(key) if key.public() == self.site => return Ok((slot.id, key)),
                Some(_) => refusal = damaged,
                // Keep `Damaged`: the secret may be right for the damaged slot.
                None if matches!(refusal, OpenError::Damaged { .. }) => {}
                None => refusal = OpenError::WrongSecret { kind },
            }
        }
        Err(refusal)
    }

    /// Adds a slot. It requires the unwrapped key. `created` is the time in milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// [`SlotError`]; nothing is changed.
    pub fn add(
        &mut self,
        key: &SiteKey,
        new: NewSlot<'_>,
        created: i64,
        entropy: &mut dyn Entropy,
    ) -> Result<SlotId, SlotError> {
        if self.slots.len() >= MAX_SLOTS {
            return Err(SlotError::TooMany);
        }
        let id = self.unused_id();
        let slot = self.sealed(key, id, new, created, entropy)?;
        self.slots.push(slot);
        Ok(id)
    }

    /// Replaces a slot. Its id stays; its kind may change. The old secret unwraps nothing any more,
    /// except in older copies of the file. `created` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// [`SlotError`]; nothing is changed.
    pub fn replace(
        &mut self,
        key: &SiteKey,
        id: SlotId,
        new: NewSlot<'_>,
        created: i64,
        entropy: &mut dyn Entropy,
    ) -> Result<(), SlotError> {
        let at = self.position(id)?;
        let replacement = self.sealed(key, id, new, created, entropy)?;
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = replacement;
        }
        Ok(())
    }

    /// Removes a slot, unless it is the last one.
    ///
    /// # Errors
    /// [`SlotError`]; nothing is changed.
    pub fn remove(&mut self, id: SlotId) -> Result<(), SlotError> {
        let at = self.position(id)?;
        if self.slots.len() == 1 {
            return Err(SlotError::LastSlot);
        }
        self.slots.remove(at);
        Ok(())
    }

    fn position(&self, id: SlotId) -> Result<usize, SlotError> {
        self.slots
            .iter()
            .position(|slot| slot.id == id)
            .ok_or(SlotError::NoSuchSlot { slot: id })
    }

    /// The lowest unused id. A file may contain any ids, including the highest.
    fn unused_id(&self) -> SlotId {
        (1..=u32::MAX)
            .map(SlotId)
            .find(|id| self.slots.iter().all(|slot| slot.id != *id))
            .unwrap_or(SlotId(0))
    }

    fn sealed(
        &self,
        key: &SiteKey,
        id: SlotId,
        new: NewSlot<'_>,
        created: i64,
        entropy: &mut dyn Entropy,
    ) -> Result<Slot, SlotError> {
        if key.public() != self.site {
            return Err(SlotError::OtherSite);
        }
        Slot::seal(key.seed(), &self.site, id, new, created, entropy)
            .ok_or(SlotError::PassphraseTooLong)
    }
}

impl fmt::Debug for WrappedSiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedSiteKey({}, ", self.site)?;
        f.debug_list().entries(self.slots()).finish()?;
        f.write_str(")")
    }
}

/// The number that identifies a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotId(pub u32);

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kind of secret that unwraps a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// A pass phrase that an administrator types.
    Passphrase,
    /// The recovery code, which is printed once.
    RecoveryCode,
    /// The credential file for an unattended start.
    File,
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "pass phrase",
            Self::RecoveryCode => "recovery code",
            Self::File => "file",
        })
    }
}

/// The public properties of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotSummary {
    /// The slot's id.
    pub id: SlotId,
    /// The kind of its secret.
    pub kind: SlotKind,
    /// When it was created, in milliseconds since 1970.
    pub created: i64,
}

/// A secret that unwraps a slot.
#[derive(Debug, Clone, Copy)]
pub enum SlotSecret<'a> {
    /// A pass phrase.
    Passphrase(&'a Passphrase),
    /// The recovery code.
    RecoveryCode(&'a RecoveryCode),
    /// The content of the credential file.
    File(&'a SlotFile),
}

impl SlotSecret<'_> {
    /// The kind of slot that it can unwrap.
    #[must_use]
    pub fn kind(self) -> SlotKind {
        match self {
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::RecoveryCode(_) => SlotKind::RecoveryCode,
            Self::File(_) => SlotKind::File,
        }
    }
}

/// The secret of a new slot.
#[derive(Debug, Clone, Copy)]
pub enum NewSlot<'a> {
    /// A pass phrase, and the cost of stretching it.
    Passphrase(&'a Passphrase, Argon2idCost),
    /// The recovery code, which the caller prints.
    RecoveryCode(&'a RecoveryCode),
    /// The secret that the caller writes into the credential file.
    File(&'a SlotFile),
}

impl<'a> From<SlotSecret<'a>> for NewSlot<'a> {
    /// A slot with this secret; a pass phrase is stretched with the default cost.
    fn from(secret: SlotSecret<'a>) -> Self {
        match secret {
            SlotSecret::Passphrase(passphrase) => {
                Self::Passphrase(passphrase, Argon2idCost::default())
            }
            SlotSecret::RecoveryCode(code) => Self::RecoveryCode(code),
            SlotSecret::File(file) => Self::File(file),
        }
    }
}

/// Why a secret did not unwrap the site key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no slot of this kind.
    #[error("the site key has no slot for a {kind}; open it with another secret")]
    NoSuchSlot {
        /// The kind of secret that was given.
        kind: SlotKind,
    },
    /// All slots of this kind are intact, and the secret unwraps none of them.
    #[error("the {kind} does not open the site key")]
    WrongSecret {
        /// The kind of secret that was given.
        kind: SlotKind,
    },
    /// The slot was changed, or it does not contain this site's seed.
    #[error(
        "slot {slot} of the site key is damaged; restore the file from a backup, or open another slot"
    )]
    Damaged {
        /// The damaged slot.
        slot: SlotId,
    },
}

/// Why a slot was not added, replaced or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// There is no slot with this id.
    #[error("the site key has no slot {slot}")]
    NoSuchSlot {
        /// The id that was given.
        slot: SlotId,
    },
    /// The last slot cannot be removed: the site key would be lost.
    #[error("the last slot of the site key cannot be removed; add another one first")]
    LastSlot,
    /// There are [`MAX_SLOTS`] slots.
    #[error("the site key has {MAX_SLOTS} slots already; remove one first")]
    TooMany,
    /// The given key is not the one that is wrapped here.
    #[error("the given site key belongs to another site; nothing was changed")]
    OtherSite,
    /// Argon2id accepts at most 4 GiB.
    #[error("the pass phrase is longer than 4 GiB")]
    PassphraseTooLong,
}

#[cfg(test)]
mod tests;
