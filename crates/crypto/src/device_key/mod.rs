//! The keys of devices: Ed25519 (RFC 8032), or ECDSA with SHA-256 over P-256 (FIPS 186-5), which
//! phones and security chips make.
//!
//! A public key has one form, so that one key has one thumbprint:
//!
//! ```text
//! SubjectPublicKeyInfo (RFC 5280, section 4.1) as DER
//!   Ed25519   no parameters (RFC 8410), 32 bytes                      44 bytes in all
//!   P-256     the curve by its name (RFC 5480), uncompressed point    91 bytes in all
//! ```
//!
//! Signing with P-256 draws on AWS-LC's own generator, which takes no entropy from outside. In
//! WebAssembly there is no private key of a device, and a public key on P-256 is unsupported.

mod form;
#[cfg(not(target_arch = "wasm32"))]
mod identity;
mod p256;

use std::fmt;

use crate::{
    certificate::Thumbprint,
    hash::sha256,
    sign::{BadSignature, Signature, VerifyingKey},
};

#[cfg(not(target_arch = "wasm32"))]
pub use identity::{DeviceIdentity, DeviceIdentityError, MAX_DEVICE_KEY_FILE};

/// The longest `SubjectPublicKeyInfo` that is read, in bytes. The longest accepted one has 91; the
/// rest lets a key of another kind be called what it is.
pub const MAX_SPKI: usize = 512;

/// The longest signature in bytes: two numbers of 33 bytes each, in DER. Ed25519 has 64.
pub const MAX_DEVICE_SIGNATURE: usize = 72;

/// What a device's key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceAlgorithm {
    /// Ed25519; a signature has 64 bytes (RFC 8032, section 5.1.6).
    Ed25519,
    /// ECDSA with SHA-256 over P-256; a signature is `Ecdsa-Sig-Value` in DER (RFC 3279, section
    /// 2.2.3).
    EcdsaP256,
}

impl DeviceAlgorithm {
    /// The algorithm's name, for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
        }
    }
}

/// A device's public key. Its point was checked: it is on the curve and has the order that keys
/// have.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DeviceKey {
    algorithm: DeviceAlgorithm,
    spki: Vec<u8>,
}

impl DeviceKey {
    /// Reads a `SubjectPublicKeyInfo` in its one form and checks the point. The check costs a
    /// multiplication on the curve.
    ///
    /// # Errors
    /// [`DeviceKeyError`]: the bytes are no key of a device and must not be stored.
    pub fn from_spki(spki: &[u8]) -> Result<Self, DeviceKeyError> {
        if spki.len() > MAX_SPKI {
            return Err(DeviceKeyError::TooLong { length: spki.len() });
        }
        let (algorithm, point) = form::parts(spki)?;
        let key = Self::checked(algorithm, point)?;
        match key.spki == spki {
            true => Ok(key),
            false => Err(DeviceKeyError::NotCanonical),
        }
    }

    /// The same for an Ed25519 key without its DER form.
    ///
    /// # Errors
    /// [`DeviceKeyError::BadPoint`].
    pub fn from_ed25519(key: &VerifyingKey) -> Result<Self, DeviceKeyError> {
        Self::checked(DeviceAlgorithm::Ed25519, &key.0)
    }

    /// What the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> DeviceAlgorithm {
        self.algorithm
    }

    /// The `SubjectPublicKeyInfo` as DER, at most 91 bytes.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The key's name: SHA-256 of its `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        Thumbprint(sha256(&self.spki))
    }

    /// The Ed25519 key as 32 bytes; `None` for P-256.
    #[must_use]
    pub fn ed25519(&self) -> Option<VerifyingKey> {
        let (_, point) = form::parts(&self.spki).ok()?;
        let of_ed25519 = self.algorithm == DeviceAlgorithm::Ed25519;
        point
            .try_into()
            .ok()
            .filter(|_| of_ed25519)
            .map(VerifyingKey)
    }

    /// Checks that the key's owner signed exactly `message`.
    ///
    /// # Errors
    /// [`BadSignature`] for every other message, key or signature, without saying which is wrong.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if let Some(key) = self.ed25519() {
            let signature = signature.try_into().map_err(|_| BadSignature)?;
            return key.verify(message, &Signature(signature));
        }
        let (_, point) = form::parts(&self.spki).map_err(|_| BadSignature)?;
        match p256::verify(point, message, signature) {
            true => Ok(()),
            false => Err(BadSignature),
        }
    }

    fn checked(algorithm: DeviceAlgorithm, point: &[u8]) -> Result<Self, DeviceKeyError> {
        form::check_point(algorithm, point)?;
        let spki = form::spki(algorithm, point).map_err(|_| DeviceKeyError::BadPoint)?;
        Ok(Self { algorithm, spki })
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.algorithm.name();
        write!(f, "DeviceKey({name} {})", self.thumbprint())
    }
}

/// Why bytes are no public key of a device. The fault is with the program that made or sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceKeyError {
    /// More than [`MAX_SPKI`] bytes; nothing was parsed.
    #[error("{length} bytes are too long for a device's public key (at most {MAX_SPKI})")]
    TooLong {
        /// How many there were.
        length: usize,
    },
    /// The bytes are not one `SubjectPublicKeyInfo` and nothing after it.
    #[error("not a public key in DER form (SubjectPublicKeyInfo), or bytes follow it")]
    NotSpki,
    /// A key of another algorithm or on another curve.
    #[error(
        "the key is neither Ed25519 nor ECDSA on P-256; make one with `openssl genpkey -algorithm ed25519`"
    )]
    Unsupported,
    /// A supported key in another form than the one that has its thumbprint: a compressed point, a
    /// curve that is spelled out, parameters that Ed25519 does not have, or lengths that are not
    /// DER.
    #[error(
        "the key is not in its canonical form; `openssl pkey -ec_conv_form uncompressed -ec_param_enc named_curve` \
         writes that"
    )]
    NotCanonical,
    /// The bytes name no point that a private key leads to: not on the curve, or of small order.
    #[error("the key is no valid point of its curve: it was damaged or forged")]
    BadPoint,
}

#[cfg(test)]
mod tests;
