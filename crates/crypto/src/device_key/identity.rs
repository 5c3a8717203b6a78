//! The private side of a device's key, and its key file: PKCS#8 (RFC 5958) in PEM (RFC 7468), which
//! `openssl` reads and writes.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use der::asn1::AnyRef;
use der::pem::LineEnding;
use der::{Decode, SecretDocument};

use super::{DeviceAlgorithm, DeviceKey};
use crate::entropy::Entropy;
use crate::key_file::{KeyFileError, encryption};
use crate::pem::{self, BadPem};
use crate::secret::{Passphrase, Secret, SecretText};

/// The longest key file that is read, in bytes. Ours have some 120; the rest lets a large key of
/// another kind be called what it is.
pub const MAX_DEVICE_KEY_FILE: usize = 16 * 1024;

const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// A device's private key. It is in memory that AWS-LC wipes when it frees it.
pub struct DeviceIdentity {
    pair: Pair,
    public: DeviceKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl DeviceIdentity {
    /// A new Ed25519 key.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let secret = Secret::<32>::generate(entropy);
        let pair = Ed25519KeyPair::from_seed_unchecked(secret.expose()).map(Pair::Ed25519);
        let Some(identity) = pair.ok().and_then(Self::new) else {
            // Any 32 bytes are an Ed25519 private key; only exhausted memory leads here.
            std::process::abort();
        };
        identity
    }

    /// Reads a key file: PKCS#8, or SEC 1 (RFC 5915) for P-256, as `openssl` writes both. The key
    /// must not be encrypted.
    ///
    /// # Errors
    /// [`DeviceIdentityError`].
    pub fn from_pem(pem: &str) -> Result<Self, DeviceIdentityError> {
        if pem.len() > MAX_DEVICE_KEY_FILE {
            return Err(DeviceIdentityError::TooLong { length: pem.len() });
        }
        let block = pem::find(pem, &[PKCS8, SEC1])?;
        match block.label {
            PKCS8 | SEC1 => Self::from_der(&block.decode()?),
            ENCRYPTED => Err(DeviceIdentityError::Encrypted),
            found => Err(DeviceIdentityError::WrongLabel {
                found: found.to_owned(),
            }),
        }
    }

    /// Reads a key file that [`Self::to_encrypted_pem`] wrote, or one that is not encrypted, for
    /// which the pass phrase is ignored.
    ///
    /// # Errors
    /// [`DeviceIdentityError`]; [`DeviceIdentityError::Encryption`] for a wrong pass phrase.
    pub fn from_encrypted_pem(
        pem: &str,
        passphrase: &Passphrase,
    ) -> Result<Self, DeviceIdentityError> {
        match Self::from_pem(pem) {
            Err(DeviceIdentityError::Encrypted) => {}
            read => return read,
        }
        let der = pem::find(pem, &[ENCRYPTED])?.decode()?;
        let document =
            SecretDocument::try_from(der.as_slice()).map_err(|_| DeviceIdentityError::Damaged)?;
        Self::from_der(encryption::decrypt(&document, passphrase)?.as_bytes())
    }

    /// The same without PEM.
    ///
    /// # Errors
    /// [`DeviceIdentityError`].
    pub fn from_der(der: &[u8]) -> Result<Self, DeviceIdentityError> {
        if der.len() > MAX_DEVICE_KEY_FILE {
            return Err(DeviceIdentityError::TooLong { length: der.len() });
        }
        // AWS-LC does not look at bytes that follow the key.
        AnyRef::from_der(der).map_err(|_| DeviceIdentityError::Damaged)?;
        let ed25519 = || Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519);
        let p256 = || EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der);
        ed25519()
            .or_else(|_| p256().map(Pair::P256))
            .ok()
            .and_then(Self::new)
            .ok_or(DeviceIdentityError::Unsupported)
    }

    /// The key file, not encrypted, to be stored so that only its owner can read it (mode 0600).
    #[must_use]
    pub fn to_pem(&self) -> SecretText {
        in_pem(self.document(), PKCS8)
    }

    /// The key file, encrypted under a pass phrase (RFC 8018, scrypt). Store it with mode 0600 all
    /// the same, because pass phrases can be guessed.
    #[must_use]
    pub fn to_encrypted_pem(
        &self,
        passphrase: &Passphrase,
        entropy: &mut dyn Entropy,
    ) -> SecretText {
        let encrypted = self
            .document()
            .and_then(|plain| encryption::encrypt(&plain, passphrase, entropy).ok());
        in_pem(encrypted, ENCRYPTED)
    }

    fn document(&self) -> Option<SecretDocument> {
        let pkcs8 = match &self.pair {
            Pair::Ed25519(pair) => pair.to_pkcs8v1(),
            Pair::P256(pair) => pair.to_pkcs8v1(),
        };
        SecretDocument::try_from(pkcs8.ok()?.as_ref()).ok()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &DeviceKey {
        &self.public
    }

    /// Signs `message`; [`DeviceKey::verify`] checks it. Say in the message what it is for, so that
    /// no signature can be used for another purpose.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(message),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message),
        };
        let Ok(signature) = signature else {
            // A sound key signs everything; only exhausted memory or entropy leads here.
            std::process::abort();
        };
        signature.as_ref().to_vec()
    }

    fn new(pair: Pair) -> Option<Self> {
        let public = match &pair {
            Pair::Ed25519(pair) => {
                DeviceKey::checked(DeviceAlgorithm::Ed25519, pair.public_key().as_ref())
            }
            Pair::P256(pair) => {
                DeviceKey::checked(DeviceAlgorithm::EcdsaP256, pair.public_key().as_ref())
            }
        };
        let public = public.ok()?;
        Some(Self { pair, public })
    }
}

fn in_pem(document: Option<SecretDocument>, label: &'static str) -> SecretText {
    let pem = document.and_then(|document| document.to_pem(label, LineEnding::LF).ok());
    let Some(mut pem) = pem else {
        // The key was complete when this was made; only exhausted memory leads here.
        std::process::abort();
    };
    SecretText::from(std::mem::take(&mut *pem))
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceIdentity({})", self.public.thumbprint())
    }
}

impl From<BadPem> for DeviceIdentityError {
    fn from(bad: BadPem) -> Self {
        match bad {
            BadPem::NoBlock => Self::NotPem,
            BadPem::Damaged => Self::Damaged,
            BadPem::Several => Self::Several,
        }
    }
}

/// Why a key file gives no device's key. The fault is with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceIdentityError {
    /// More than [`MAX_DEVICE_KEY_FILE`] bytes; nothing was parsed.
    #[error("{length} bytes are too long for a key file (at most {MAX_DEVICE_KEY_FILE})")]
    TooLong {
        /// How many there were.
        length: usize,
    },
    /// There is no PEM block in the text.
    #[error("not a PEM file; a key file begins with -----BEGIN PRIVATE KEY-----")]
    NotPem,
    /// The PEM block has no end, or characters of it are wrong or missing.
    #[error("the key file is damaged; restore it from a copy")]
    Damaged,
    /// There are several private keys in the file.
    #[error("the file holds several private keys; keep the one that is meant")]
    Several,
    /// The PEM block holds something else.
    #[error("the file holds a {found}; what is needed here is a PRIVATE KEY")]
    WrongLabel {
        /// What the block says that it holds.
        found: String,
    },
    /// The private key is encrypted.
    #[error("the key is encrypted: give what `openssl pkey -in FILE` writes")]
    Encrypted,
    /// The key is encrypted, and the pass phrase is wrong or the encryption is another tool's.
    #[error(transparent)]
    Encryption(#[from] KeyFileError),
    /// No private key, or one of another algorithm, or one whose parts do not belong together.
    #[error(
        "this is no sound private key of Ed25519 or P-256; make one with `openssl genpkey -algorithm ed25519`"
    )]
    Unsupported,
}
