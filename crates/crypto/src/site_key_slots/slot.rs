//! A slot: the site seed, encrypted with a key that is derived from one secret.
//!
//! ```text
//! key     = derive(secret, "site key slot " + kind, salt)
//!           secret: Argon2id(pass phrase, salt) | the recovery code's bytes | the file's bytes
//! sealed  = AES-256-GCM(key, nonce, seed, associated data)
//! associated data = label | version | site public key | id | kind | created | cost
//! check   = the first 8 bytes of SHA-256(associated data | salt | nonce | sealed)
//! ```
//!
//! The check does not protect against forgery, because an attacker can compute it. It distinguishes
//! a damaged slot from a wrong secret, and helps an attacker who guesses secrets no more than the
//! tag does.

use zeroize::Zeroizing;

use super::{Argon2idCost, NewSlot, SlotId, SlotKind, SlotSecret};
use crate::{
    entropy::{Entropy, fresh},
    hash::Sha256,
    kdf::derive,
    provider::{AeadCipher, AeadKey},
    secret::Secret,
    site_key::{SitePublicKey, SiteSeed},
};

pub(super) const VERSION: u8 = 1;
const SEED: usize = 32;
const TAG: usize = 16;
const LABEL: &[u8] = b"countersign/1 site key slot\0";

/// The kind of a slot's secret, with the parameters that turn it into a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    Passphrase(Argon2idCost),
    RecoveryCode,
    File,
}

impl Lock {
    pub(super) fn kind(self) -> SlotKind {
        match self {
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::RecoveryCode => SlotKind::RecoveryCode,
            Self::File => SlotKind::File,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) id: SlotId,
    pub(super) created: i64,
    pub(super) lock: Lock,
    pub(super) salt: [u8; 32],
    pub(super) nonce: [u8; 12],
    pub(super) sealed: [u8; SEED + TAG],
    pub(super) check: [u8; 8],
}

impl Slot {
    /// Encrypts the seed of `site` for a secret. `None` if the pass phrase is longer than 4 GiB.
    pub(super) fn seal(
        seed: &SiteSeed,
        site: &SitePublicKey,
        id: SlotId,
        new: NewSlot<'_>,
        created: i64,
        entropy: &mut dyn Entropy,
    ) -> Option<Self> {
        let (secret, lock) = match new {
            NewSlot::Passphrase(passphrase, cost) => {
                (SlotSecret::Passphrase(passphrase), Lock::Passphrase(cost))
            }
            NewSlot::RecoveryCode(code) => (SlotSecret::RecoveryCode(code), Lock::RecoveryCode),
            NewSlot::File(file) => (SlotSecret::File(file), Lock::File),
        };
        let mut slot = Self {
            id,
            created,
            lock,
            salt: fresh(entropy),
            nonce: fresh(entropy),
            sealed: [0; SEED + TAG],
            check: [0; 8],
        };
        let key = slot.key(secret)?;
        let data = slot.associated_data(site);
        let (plain, tag) = slot.sealed.split_at_mut(SEED);
        plain.copy_from_slice(seed.0.expose());
        let Some(made) = key.seal(slot.nonce, &data, plain) else {
            // It fails only for lengths of many GiB. The plaintext seed must not remain in the
            // slot.
            std::process::abort();
        };
        tag.copy_from_slice(&made);
        slot.check = slot.checksum(&data);
        Some(slot)
    }

    /// Whether the slot is free of accidental damage.
    pub(super) fn is_intact(&self, site: &SitePublicKey) -> bool {
        self.check == self.checksum(&self.associated_data(site))
    }

    /// Decrypts the seed; `None` if the secret is wrong.
    pub(super) fn open(&self, site: &SitePublicKey, secret: SlotSecret<'_>) -> Option<SiteSeed> {
        let key = self.key(secret)?;
        let mut buffer = Zeroizing::new(self.sealed);
        let data = self.associated_data(site);
        let seed = key.open(self.nonce, &data, buffer.as_mut_slice())?;
        Secret::try_from_slice(seed).map(SiteSeed)
    }

    /// Recomputes the check, as an attacker would after a change.
    #[cfg(test)]
    pub(super) fn correct_check(&mut self, site: &SitePublicKey) {
        self.check = self.checksum(&self.associated_data(site));
    }

    fn key(&self, secret: SlotSecret<'_>) -> Option<AeadKey> {
        let key: Secret<32> = match (self.lock, secret) {
            (Lock::Passphrase(cost), SlotSecret::Passphrase(passphrase)) => {
                let stretched = cost.stretch(passphrase, &self.salt)?;
                derive(stretched.expose(), "site key slot passphrase", &self.salt)
            }
            (Lock::RecoveryCode, SlotSecret::RecoveryCode(code)) => {
                derive(code.secret(), "site key slot recovery code", &self.salt)
            }
            (Lock::File, SlotSecret::File(file)) => {
                derive(file.secret(), "site key slot file", &self.salt)
            }
            _ => return None,
        };
        Some(AeadKey::new(AeadCipher::Aes256Gcm, key.expose()))
    }

    /// Every field has a fixed length, so the encoding is unambiguous.
    fn associated_data(&self, site: &SitePublicKey) -> Vec<u8> {
        let (kind, cost) = match self.lock {
            Lock::Passphrase(cost) => (1, cost.to_bytes()),
            Lock::RecoveryCode => (2, [0; 12]),
            Lock::File => (3, [0; 12]),
        };
        [
            LABEL,
            &[VERSION],
            &site.to_bytes(),
            &self.id.0.to_be_bytes(),
            &[kind],
            &self.created.to_be_bytes(),
            &cost,
        ]
        .concat()
    }

    fn checksum(&self, data: &[u8]) -> [u8; 8] {
        let mut sum = Sha256::new();
        for part in [data, &self.salt, &self.nonce, &self.sealed] {
            sum.update(part);
        }
        let [a, b, c, d, e, f, g, h, ..] = sum.finish();
        [a, b, c, d, e, f, g, h]
    }
}
