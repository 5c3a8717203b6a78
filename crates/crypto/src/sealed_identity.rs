//! A person's identity as the site keeps it: sealed by the client under OPAQUE's export key, padded to
//! one length, so that any device recovers it with the pass phrase and the site never can.
//!
//! ```text
//! nonce (12) | AES-256-GCM of { seed (32) | length of certificate (2) | certificate | zeros } | tag (16)
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use crate::entropy::{Entropy, fresh};
use crate::identity::{Identity, IdentitySeed};
use crate::kdf::derive;
use crate::passphrase::ExportKey;
use crate::secret::Secret;

/// The length of every sealed identity, in bytes.
pub const SEALED_IDENTITY_LENGTH: usize = 768;

const NONCE: usize = 12;
const TAG: usize = 16;
const PLAINTEXT: usize = SEALED_IDENTITY_LENGTH - NONCE - TAG;
const SEED: usize = 32;

/// The bytes do not open, or what is in them is no identity: another export key, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed identity does not open")]
pub struct DoesNotOpen;

/// Seals an identity.
///
/// # Errors
/// [`DoesNotOpen`] when its certificate does not fit, which none of [`Identity`]'s is long enough for.
pub fn seal(
    identity: &Identity,
    export_key: &ExportKey,
    entropy: &mut dyn Entropy,
) -> Result<[u8; SEALED_IDENTITY_LENGTH], DoesNotOpen> {
    let certificate = identity.certificate().der();
    let length = u16::try_from(certificate.len()).map_err(|_| DoesNotOpen)?;
    let nonce: [u8; NONCE] = fresh(entropy);
    let mut sealed = [0; SEALED_IDENTITY_LENGTH];
    let (head, rest) = sealed.split_at_mut(NONCE);
    let (plaintext, tag) = rest.split_at_mut(PLAINTEXT);
    head.copy_from_slice(&nonce);
    let content = [
        &identity.seed().0.expose()[..],
        &length.to_be_bytes(),
        certificate,
    ];
    let mut at = 0;
    for part in content {
        plaintext
            .get_mut(at..at + part.len())
            .ok_or(DoesNotOpen)?
            .copy_from_slice(part);
        at += part.len();
    }
    let made = key(export_key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), plaintext)
        .map_err(|_| DoesNotOpen)?;
    tag.copy_from_slice(made.as_ref());
    Ok(sealed)
}

/// Opens an identity.
///
/// # Errors
/// [`DoesNotOpen`].
pub fn open(sealed: &[u8], export_key: &ExportKey) -> Result<Identity, DoesNotOpen> {
    let mut bytes: [u8; SEALED_IDENTITY_LENGTH] = sealed.try_into().map_err(|_| DoesNotOpen)?;
    let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE>().ok_or(DoesNotOpen)?;
    let identity = key(export_key)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), rest)
        .map_err(|_| DoesNotOpen)
        .and_then(|plaintext| read(plaintext));
    bytes.zeroize();
    identity
}

fn read(plaintext: &[u8]) -> Result<Identity, DoesNotOpen> {
    let (seed, rest) = plaintext.split_first_chunk::<SEED>().ok_or(DoesNotOpen)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(DoesNotOpen)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (certificate, padding) = rest.split_at_checked(length).ok_or(DoesNotOpen)?;
    let identity = Identity::from_seed(IdentitySeed(Secret::from_bytes(*seed)));
    let sound =
        padding.iter().all(|byte| *byte == 0) && certificate == identity.certificate().der();
    if sound {
        Ok(identity)
    } else {
        Err(DoesNotOpen)
    }
}

/// What the site answers for a name that it does not know: the same for the same name, and to whoever
/// has no export key not to be told from a real one.
#[must_use]
pub fn made_up(secret: &Secret<32>, name: &[u8]) -> [u8; SEALED_IDENTITY_LENGTH] {
    *derive::<SEALED_IDENTITY_LENGTH>(secret.expose(), "made-up identity", name).expose()
}

fn key(export_key: &ExportKey) -> Result<LessSafeKey, DoesNotOpen> {
    let key = derive::<32>(export_key.expose(), "sealed identity", &[]);
    UnboundKey::new(&AES_256_GCM, key.expose())
        .map(LessSafeKey::new)
        .map_err(|_| DoesNotOpen)
}
