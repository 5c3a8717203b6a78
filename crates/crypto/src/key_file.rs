//! Key files: an identity as PKCS#8 (RFC 5958) in PEM (RFC 7468), which other tools can read.
//!
//! The private key in the file is the *derived* Ed25519 key, so that `openssl pkey -pubout` shows the
//! public key that the certificate carries. The seed, from which the X25519 key follows too, is an
//! attribute beside it; other tools skip it.
//!
//! ```text
//! PRIVATE KEY              OneAsymmetricKey { v1, Ed25519, key, [0] { IDENTITY_SEED, seed } }
//! ENCRYPTED PRIVATE KEY    the same under PBES2 (RFC 8018): scrypt (RFC 7914), AES-256-CBC
//! ```

mod delivered;
mod encryption;
mod form;

use der::{SecretDocument, pem::LineEnding};

use crate::{
    entropy::Entropy,
    identity::Identity,
    pem::{self, BadPem},
    secret::{Passphrase, SecretText},
};

pub use delivered::{DeliveredKey, MAX_DELIVERED};

/// The longest key file that is read, in bytes. Ours have some 500; the rest lets a large key of
/// another kind be called what it is.
pub const LONGEST_KEY_FILE: usize = 16 * 1024;

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// The key file of this identity, encrypted when a pass phrase is given. To be stored so that only
/// its owner can read it (mode 0600), also when it is encrypted: pass phrases can be guessed.
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

/// Reads what [`write_identity`] wrote. A pass phrase that the file does not need is not used.
///
/// # Errors
/// [`KeyFileError`]: whether the file, the pass phrase or the kind of key is the trouble.
pub fn read_identity(pem: &str, passphrase: Option<&Passphrase>) -> Result<Identity, KeyFileError> {
    if pem.len() > LONGEST_KEY_FILE {
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

/// Why a key file gives no identity. The fault is with the file or the pass phrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// More than [`LONGEST_KEY_FILE`] bytes; nothing was parsed.
    #[error("{length} bytes are too long for a key file (at most {LONGEST_KEY_FILE})")]
    TooLong {
        /// How many there were.
        length: usize,
    },
    /// There is no PEM block in the text.
    #[error("not a PEM file; a key file begins with -----BEGIN PRIVATE KEY-----")]
    NotPem,
    /// The PEM block holds something else, such as the certificate (the `.pub` file).
    #[error("the file holds a {found}; what is needed here is a PRIVATE KEY")]
    WrongLabel {
        /// What the block says that it holds.
        found: String,
    },
    /// There are several private keys in the file.
    #[error("the file holds several private keys; keep the one that is meant")]
    Several,
    /// The file is encrypted and no pass phrase was given: ask for it.
    #[error("the key file is encrypted; it needs its pass phrase")]
    NeedsPassphrase,
    /// The pass phrase does not open the file. (An encrypted file whose ciphertext was damaged looks
    /// the same: PBES2 has no way to tell.)
    #[error("the pass phrase does not open the key file")]
    WrongPassphrase,
    /// Encrypted by another tool, in a way that is not read here.
    #[error(
        "the key file is encrypted by other means than PBES2 with scrypt; \
         only a file that `countersign key new` made holds an identity"
    )]
    UnknownEncryption,
    /// Opening the file would take more memory or time than any file of ours does.
    #[error(
        "the key file asks for an absurd scrypt cost; it was damaged or made to exhaust memory"
    )]
    TooCostly,
    /// The key is not encrypted, where only an encrypted one may be used.
    #[error(
        "the key file is not encrypted; make one with a pass phrase, with `countersign key new`"
    )]
    NotEncrypted,
    /// The pass phrase could be guessed at too cheaply.
    #[error("the key file is encrypted too cheaply; make one with `countersign key new`")]
    TooCheap,
    /// The file is not well-formed.
    #[error("the key file is damaged, or is no PKCS#8 file; restore it from a copy")]
    Damaged,
    /// A sound private key without an identity's seed, as other tools make it.
    #[error(
        "the key is not an identity: it has no seed, which `openssl` leaves out when it rewrites a key file; \
         give the file as `countersign key new` wrote it, or make a new one"
    )]
    NotAnIdentity,
    /// The file's key does not follow from the file's seed: parts of two files, or a forgery.
    #[error("the seed in the key file belongs to another key; restore the file from a copy")]
    SeedMismatch,
}

#[cfg(test)]
mod tests;
