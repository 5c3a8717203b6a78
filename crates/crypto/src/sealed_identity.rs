//! The sealed form of a person's identity that the site stores. The client encrypts it with
//! OPAQUE's export key and pads it to a fixed length. So every device can recover it with the pass
//! phrase, and the site cannot.
//!
//! ```text
//! nonce (12) | AES-256-GCM of { seed (32) | length of certificate (2) | certificate | zeros } | tag (16)
//! ```

use zeroize::Zeroize;

use crate::entropy::{Entropy, fresh};
use crate::identity::{Identity, IdentitySeed};
use crate::kdf::derive;
use crate::passphrase::ExportKey;
use crate::provider::{AeadCipher, AeadKey};
use crate::secret::Secret;

/// The length of a sealed identity, in bytes.
pub const SEALED_IDENTITY_LENGTH: usize = 768;

const NONCE: usize = 12;
const TAG: usize = 16;
const PLAINTEXT: usize = SEALED_IDENTITY_LENGTH - NONCE - TAG;
const SEED: usize = 32;

/// A sealed identity cannot be opened: the export key is wrong, or the bytes are damaged. Or an
/// identity is too long to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed identity cannot be opened with this export key")]
pub struct SealedIdentityError;

/// Seals an identity.
///
/// # Errors
/// [`SealedIdentityError`] if the certificate is too long, which cannot happen for an [`Identity`].
pub fn seal(
    identity: &Identity,
    export_key: &ExportKey,
    entropy: &mut dyn Entropy,
) -> Result<[u8; SEALED_IDENTITY_LENGTH], SealedIdentityError> {
    let certificate = identity.certificate().der();
    let length = u16::try_from(certificate.len()).map_err(|_| SealedIdentityError)?;
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
            .ok_or(SealedIdentityError)?
            .copy_from_slice(part);
        at += part.len();
    }
    let made = key(export_key).seal(nonce, &[], plaintext);
    tag.copy_from_slice(&made.ok_or(SealedIdentityError)?);
    Ok(sealed)
}

/// Opens an identity.
///
/// # Errors
/// [`SealedIdentityError`].
pub fn open(sealed: &[u8], export_key: &ExportKey) -> Result<Identity, SealedIdentityError> {
    let mut bytes: [u8; SEALED_IDENTITY_LENGTH] =
        sealed.try_into().map_err(|_| SealedIdentityError)?;
    let (nonce, rest) = bytes
        .split_first_chunk_mut::<NONCE>()
        .ok_or(SealedIdentityError)?;
    let identity = key(export_key)
        .open(*nonce, &[], rest)
        .ok_or(SealedIdentityError)
        .and_then(|plaintext| read(plaintext));
    bytes.zeroize();
    identity
}

fn read(plaintext: &[u8]) -> Result<Identity, SealedIdentityError> {
    let (seed, rest) = plaintext
        .split_first_chunk::<SEED>()
        .ok_or(SealedIdentityError)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(SealedIdentityError)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (certificate, padding) = rest.split_at_checked(length).ok_or(SealedIdentityError)?;
    let identity = Identity::from_seed(IdentitySeed(Secret::from_bytes(*seed)));
    let sound =
        padding.iter().all(|byte| *byte == 0) && certificate == identity.certificate().der();
    if sound {
        Ok(identity)
    } else {
        Err(SealedIdentityError)
    }
}

/// The decoy that the site sends for an unknown name. It is always the same for a name, and without
/// the export key it cannot be distinguished from a sealed identity.
#[must_use]
pub fn decoy(secret: &Secret<32>, name: &[u8]) -> [u8; SEALED_IDENTITY_LENGTH] {
    *derive::<SEALED_IDENTITY_LENGTH>(secret.expose(), "made-up identity", name).expose()
}

fn key(export_key: &ExportKey) -> AeadKey {
    let key = derive::<32>(export_key.expose(), "sealed identity", &[]);
    AeadKey::new(AeadCipher::Aes256Gcm, key.expose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn identity() -> Identity {
        Identity::from_seed(IdentitySeed(Secret::from_bytes([1; 32])))
    }

    fn export_key(n: u8) -> ExportKey {
        ExportKey::from_bytes([n; 64])
    }

    /// [SES-12]
    #[test]
    fn an_identity_opens_only_with_the_same_export_key() {
        let sealed = seal(&identity(), &export_key(1), &mut SystemEntropy).unwrap();
        let opened = open(&sealed, &export_key(1)).unwrap();
        assert_eq!(opened.certificate(), identity().certificate());
        assert_eq!(opened.seed(), identity().seed());
        let other = open(&sealed, &export_key(2)).map(|_| ());
        assert_eq!(other, Err(SealedIdentityError));
    }

    #[test]
    fn a_changed_byte_or_another_length_is_rejected() {
        let sealed = seal(&identity(), &export_key(1), &mut SystemEntropy).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed;
            changed[at] ^= 1;
            assert!(open(&changed, &export_key(1)).is_err(), "byte {at}");
        }
        assert!(open(&sealed[1..], &export_key(1)).is_err());
        assert!(open(&[&sealed[..], &[0]].concat(), &export_key(1)).is_err());
    }

    #[test]
    fn sealing_the_same_identity_twice_gives_different_bytes() {
        let [one, two] =
            [(); 2].map(|()| seal(&identity(), &export_key(1), &mut SystemEntropy).unwrap());
        let same = one.iter().zip(two).filter(|(a, b)| *a == b).count();
        assert!(same < 40, "{same} of 768 bytes are the same");
    }

    /// [SES-12]
    #[test]
    fn the_plaintext_must_be_an_identity_and_zeros() {
        let sound = [
            &[1; SEED][..],
            &u16::try_from(identity().certificate().der().len())
                .unwrap()
                .to_be_bytes(),
            identity().certificate().der(),
        ]
        .concat();
        let mut padded = [0; PLAINTEXT];
        padded[..sound.len()].copy_from_slice(&sound);
        assert!(read(&padded).is_ok());
        // Another seed, another length, another certificate, nonzero padding.
        for at in [0, SEED, SEED + 2 + 40, PLAINTEXT - 1] {
            let mut wrong = padded;
            wrong[at] ^= 1;
            assert!(read(&wrong).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_decoy_is_always_the_same_for_its_name_and_cannot_be_opened() {
        let secret = Secret::from_bytes([7; 32]);
        let one = decoy(&secret, b"maria");
        assert_eq!(one, decoy(&secret, b"maria"));
        assert_ne!(one, decoy(&secret, b"mario"));
        assert_ne!(one, decoy(&Secret::from_bytes([8; 32]), b"maria"));
        assert!(open(&one, &export_key(1)).is_err());
        // No byte value is more frequent than expected by chance (3 on average).
        let most = (0..=255).map(|byte| one.iter().filter(|b| **b == byte).count());
        assert!(most.max() < Some(15));
    }
}
