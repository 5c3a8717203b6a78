//! The site key as it is stored: wrapped, and opened by any of its slots.
//!
//! Each slot seals the one seed under a key of its own, so a slot can be added, replaced or removed
//! without the others' secrets, and losing one loses nothing while another is left.
//!
//! ```text
//! pass phrase    stretched with Argon2id  ─┐
//! recovery code  printed once, 160 bits   ─┼─► AES-256-GCM ─► seed ─► SiteKey
//! file           32 bytes, for unattended ─┘
//! ```

mod cost;
mod document;
mod recovery_code;
mod slot;
mod slot_file;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::{
    cost::{AbsurdCost, Argon2idCost},
    recovery_code::{BadRecoveryCode, RecoveryCode},
    slot_file::{BadSlotFile, SlotFile},
};
use self::{document::Document, slot::Slot};
use crate::{
    entropy::Entropy,
    secret::Passphrase,
    site_key::{SiteKey, SitePublicKey},
};

/// The most slots that a site key has: each pass phrase slot is stretched when one is tried.
pub const MOST_SLOTS: usize = 16;

/// A site key at rest. Its serde form is the file; reading one checks all but the secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct WrappedSiteKey {
    site: SitePublicKey,
    slots: Vec<Slot>,
}

impl WrappedSiteKey {
    /// Wraps a site key with its first slot. `created` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// [`SlotError::PassphraseTooLong`] alone.
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

    /// The site's public key, known while the site is sealed too.
    #[must_use]
    pub fn public(&self) -> SitePublicKey {
        self.site
    }

    /// The slots, in the order in which they were added.
    pub fn slots(&self) -> impl Iterator<Item = SlotSummary> {
        self.slots.iter().map(|slot| SlotSummary {
            id: slot.id,
            kind: slot.lock.kind(),
            created: slot.created,
        })
    }

    /// Opens the site key with a secret, trying every slot of its kind.
    ///
    /// # Errors
    /// [`OpenError`]; the site stays sealed.
    pub fn open(&self, secret: SlotSecret<'_>) -> Result<SiteKey, OpenError> {
        let kind = secret.kind();
        let mut refusal = OpenError::NoSuchSlot { kind };
        for slot in self.slots.iter().filter(|slot| slot.lock.kind() == kind) {
            let damaged = OpenError::Damaged { slot: slot.id };
            if !slot.is_sound(&self.site) {
                refusal = damaged;
                continue;
            }
            match slot.open(&self.site, secret).map(SiteKey::from_seed) {
                Some(key) if key.public() == self.site => return Ok(key),
                Some(_) => refusal = damaged,
                // The secret may be the right one for a damaged slot: that is the thing to tell.
                None if matches!(refusal, OpenError::Damaged { .. }) => {}
                None => refusal = OpenError::WrongSecret { kind },
            }
        }
        Err(refusal)
    }

    /// Adds a slot; the opened key shows that the caller may. `created` is the time in milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// [`SlotError`]; nothing has changed then.
    pub fn add(
        &mut self,
        key: &SiteKey,
        new: NewSlot<'_>,
        created: i64,
        entropy: &mut dyn Entropy,
    ) -> Result<SlotId, SlotError> {
        if self.slots.len() >= MOST_SLOTS {
            return Err(SlotError::TooMany);
        }
        let id = self.unused_id();
        let slot = self.sealed(key, id, new, created, entropy)?;
        self.slots.push(slot);
        Ok(id)
    }

    /// Replaces a slot, so that its old secret opens nothing (in this copy of the file; in older
    /// copies it still does). It keeps its id; its kind may change. `created` is the time in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// [`SlotError`]; nothing has changed then.
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
    /// [`SlotError`]; nothing has changed then.
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

    /// The lowest id that no slot has: a file may hold any ids, the highest of all too.
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

/// The number by which a slot is shown and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotId(pub u32);

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// A pass phrase that an administrator types.
    Passphrase,
    /// The code that was printed once.
    RecoveryCode,
    /// The file for unattended start.
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

/// What may be shown of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotSummary {
    /// Its number.
    pub id: SlotId,
    /// What opens it.
    pub kind: SlotKind,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
}

/// A secret to open a slot with.
#[derive(Debug, Clone, Copy)]
pub enum SlotSecret<'a> {
    /// A pass phrase.
    Passphrase(&'a Passphrase),
    /// The recovery code.
    RecoveryCode(&'a RecoveryCode),
    /// What the file holds.
    File(&'a SlotFile),
}

impl SlotSecret<'_> {
    /// The kind of slot that it may open.
    #[must_use]
    pub fn kind(self) -> SlotKind {
        match self {
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::RecoveryCode(_) => SlotKind::RecoveryCode,
            Self::File(_) => SlotKind::File,
        }
    }
}

/// A slot to be made.
#[derive(Debug, Clone, Copy)]
pub enum NewSlot<'a> {
    /// A pass phrase, and what stretching it shall cost.
    Passphrase(&'a Passphrase, Argon2idCost),
    /// The recovery code, to be printed.
    RecoveryCode(&'a RecoveryCode),
    /// The file's secret, to be written.
    File(&'a SlotFile),
}

/// Why a secret did not open the site key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No slot takes a secret of this kind.
    #[error("the site key has no slot for a {kind}; open it with another secret")]
    NoSuchSlot {
        /// The kind of secret that was given.
        kind: SlotKind,
    },
    /// Every slot of this kind is sound, and the secret opens none.
    #[error("the {kind} does not open the site key")]
    WrongSecret {
        /// The kind of secret that was given.
        kind: SlotKind,
    },
    /// The slot is not as it was written, or what it holds is not this site's seed.
    #[error(
        "slot {slot} of the site key is damaged; restore the file from a backup, or open another slot"
    )]
    Damaged {
        /// Which slot.
        slot: SlotId,
    },
}

/// Why a slot was not added, replaced or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// There is no slot of this id.
    #[error("the site key has no slot {slot}")]
    NoSuchSlot {
        /// The id that was given.
        slot: SlotId,
    },
    /// Without a slot the site key would be lost for ever.
    #[error("the last slot of the site key cannot be removed; add another one first")]
    LastSlot,
    /// There are [`MOST_SLOTS`] slots.
    #[error("the site key has {MOST_SLOTS} slots already; remove one first")]
    TooMany,
    /// The opened key is not the one that is wrapped here.
    #[error("the opened key is another site's")]
    OtherSite,
    /// Argon2id takes at most 4 GiB.
    #[error("the pass phrase is longer than 4 GiB")]
    PassphraseTooLong,
}

#[cfg(test)]
mod tests;
