//! Key files: an identity as PKCS#8 (RFC 5958) in PEM (RFC 7468), which other tools can read.
//!
//! The private key in the file is the *derived* Ed25519 key, so `openssl pkey -pubout` shows the
//! public key of the certificate. The seed, from which the X25519 key is derived too, is an
//! attribute that other tools ignore.
//!
//! ```text
//! PRIVATE KEY              OneAsymmetricKey { v1, Ed25519, key, [0] { IDENTITY_SEED, seed } }
//! ENCRYPTED PRIVATE KEY    the same, encrypted with PBES2 (RFC 8018): scrypt (RFC 7914), AES-256-CBC
//! ```

mod delivered;
pub(crate) mod encryption;
mod form;

use der::{SecretDocument, pem::LineEnding};

use crate::{
    entropy::Entropy,
    identity::Identity,
    pem::{self, BadPem},
    secret::{Passphrase, SecretText},
};

pub use delivered::{DeliveredKey, MAX_DELIVERED};

/// Maximum length of a key file, in bytes. Our key files have about 500; the rest allows an
/// accurate error for a large key of another kind.
pub const MAX_KEY_FILE: usize = 16 * 1024;

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Creates the key file of an identity, encrypted if a pass phrase is given. Store it with mode
/// 0600, even if it is encrypted, because pass phrases can be guessed.
#[must_use]
pub fn write_identity(
    identity: &Identity,
    passphrase: Option<&Passphrase>,
    entropy: &mut dyn Entropy,
) -> SecretText {
    let written = form::encode(identity).and_then(|plain| match passphrase {
        None => plain.to_pem(PLAIN, LineEnding::LF),
        Some(passphrase) => {
            encryption::encrypt(&plain, passphrase, entropy)?.to_pem(ENCRYPTED, LineEnding::LF)
        }
    });
    let Ok(mut pem) = written else {
        // Every length and cost is fixed and valid; only exhausted memory leads here.
        std::process::abort();
    };
    SecretText::from(std::mem::take(&mut *pem))
}

/// Reads a key file of [`write_identity`]. For an unencrypted file, the pass phrase is ignored.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_identity(pem: &str, passphrase: Option<&Passphrase>) -> Result<Identity, KeyFileError> {
    if pem.len() > MAX_KEY_FILE {
        return Err(KeyFileError::TooLong { length: pem.len() });
    }
    let block = pem::find(pem, &[PLAIN, ENCRYPTED])?;
    match (block.label, passphrase) {
        (PLAIN, _) => form::decode(&document(block)?),
        (ENCRYPTED, None) => document(block).and(Err(KeyFileError::NeedsPassphrase)),
        (ENCRYPTED, Some(passphrase)) => {
            form::decode(&encryption::decrypt(&document(block)?, passphrase)?)
        }
        (found, _) => Err(KeyFileError::WrongLabel {
            found: found.to_owned(),
        }),
    }
}

fn document(block: pem::Block<'_>) -> Result<SecretDocument, KeyFileError> {
    let der = block.decode()?;
    SecretDocument::try_from(der.as_slice()).map_err(|_| KeyFileError::Damaged)
}

impl From<BadPem> for KeyFileError {
    fn from(bad: BadPem) -> Self {
        match bad {
            BadPem::NoBlock => Self::NotPem,
            BadPem::Damaged => Self::Damaged,
            BadPem::Several => Self::Several,
        }
    }
}

/// Why a key file contains no usable identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// More than [`MAX_KEY_FILE`] bytes. Nothing was parsed.
    #[error("{length} bytes are too long for a key file (at most {MAX_KEY_FILE})")]
    TooLong {
        /// The length in bytes.
        length: usize,
    },
    /// The text contains no PEM block.
    #[error("not a PEM file; a key file begins with -----BEGIN PRIVATE KEY-----")]
    NotPem,
    /// The PEM block has another label, for example that of a certificate (the `.pub` file).
    #[error("the file contains a {found}; a PRIVATE KEY is required")]
    WrongLabel {
        /// The block's label.
        found: String,
    },
    /// The file contains several private keys.
    #[error("the file contains several private keys; remove all but one")]
    Several,
    /// The file is encrypted and no pass phrase was given.
    #[error("the key file is encrypted; it needs its pass phrase")]
    NeedsPassphrase,
    /// The pass phrase is wrong. (With PBES2 a damaged ciphertext cannot be distinguished from
    /// that.)
    #[error("the pass phrase does not open the key file")]
    WrongPassphrase,
    /// The file is encrypted with an unsupported method of another tool.
    #[error(
        "the key file is not encrypted with PBES2 and scrypt; use a file that `countersign key new` wrote"
    )]
    UnknownEncryption,
    /// The scrypt cost exceeds the limits on memory or time.
    #[error("the scrypt cost of the key file exceeds the limits: the file is damaged or malicious")]
    TooCostly,
    /// The key is not encrypted, but has to be.
    #[error(
        "the key file is not encrypted; make one with a pass phrase, with `countersign key new`"
    )]
    NotEncrypted,
    /// The scrypt cost is too low: an attacker could guess the pass phrase too cheaply.
    #[error("the scrypt cost of the key file is too low; make one with `countersign key new`")]
    WeakEncryption,
    /// The file is malformed.
    #[error("the key file is damaged or is not a PKCS#8 file; restore it from a copy")]
    Damaged,
    /// A valid private key without an identity's seed, as other tools write it.
    #[error(
        "the key is not an identity: it has no seed, which `openssl` leaves out when it rewrites a key file; \
         give the file as `countersign key new` wrote it, or make a new one"
    )]
    NotAnIdentity,
    /// The key in the file is not derived from the seed in the file.
    #[error("the seed in the key file belongs to another key; restore the file from a copy")]
    SeedMismatch,
}

#[cfg(test)]
mod tests;
