//! `EncryptedPrivateKeyInfo` (RFC 5958, section 3) with PBES2 (RFC 8018, section 6.2).

use der::SecretDocument;
use pkcs8::{
    EncryptedPrivateKeyInfoRef,
    pkcs5::{
        self,
        pbes2::{EncryptionScheme, Kdf, Parameters, Salt, ScryptParams},
    },
};
use zeroize::Zeroizing;

use super::KeyFileError;
use super::delivered::document;
use crate::{
    entropy::{Entropy, fresh},
    secret::Passphrase,
};

/// The highest scrypt cost (RFC 7914) that OpenSSL accepts by default: 16 MiB, five times.
const COST: u64 = 1 << 14;
const BLOCK_SIZE: u16 = 8;
const PARALLELIZATION: u16 = 5;

/// The minimum length of an identity's ciphertext, in bytes. A key without its seed, as other tools
/// write it, has 64.
const SHORTEST: usize = 128;

/// Maximum memory of a file's scrypt cost: 128 · N · r bytes.
const MAX_MEMORY: u64 = 1 << 30;
const MAX_PARALLELIZATION: u16 = 16;

pub(crate) fn encrypt(
    plain: &SecretDocument,
    passphrase: &Passphrase,
    entropy: &mut dyn Entropy,
) -> der::Result<SecretDocument> {
    let scheme = scheme(fresh::<16>(entropy), fresh::<16>(entropy))?;
    let encrypted = scheme
        .encrypt(passphrase.as_bytes(), plain.as_bytes())
        .map_err(|_| der::ErrorKind::Failed)?;
    document(scheme, &encrypted)
}

/// A decoy: looks like an encrypted key with `length` bytes of plaintext, but contains `noise`,
/// which has to be at least 48 bytes longer.
pub(super) fn noise_in_key_form(length: usize, noise: &[u8]) -> der::Result<SecretDocument> {
    const BLOCK: usize = 16;
    let too_little = || der::Error::from(der::ErrorKind::Failed);
    let (salt, rest) = noise.split_first_chunk::<16>().ok_or_else(too_little)?;
    let (iv, rest) = rest.split_first_chunk::<BLOCK>().ok_or_else(too_little)?;
    // CBC padding: fill the last block, or add a complete one.
    let encrypted = rest.get(..length / BLOCK * BLOCK + BLOCK);
    document(scheme(*salt, *iv)?, encrypted.ok_or_else(too_little)?)
}

fn scheme(salt: [u8; 16], iv: [u8; 16]) -> der::Result<Parameters> {
    Ok(Parameters {
        kdf: Kdf::Scrypt(ScryptParams {
            salt: Salt::new(salt)?,
            cost_parameter: COST,
            block_size: BLOCK_SIZE,
            parallelization: PARALLELIZATION,
            key_length: None,
        }),
        encryption: EncryptionScheme::Aes256Cbc { iv },
    })
}

/// Checks that an encrypted key has at least our scrypt cost in memory and time, uses AES-256, and
/// is long enough to contain a seed.
pub(super) fn check_strength(document: &SecretDocument) -> Result<(), KeyFileError> {
    let encrypted = read(document)?;
    if encrypted.encrypted_data.as_bytes().len() < SHORTEST {
        return Err(KeyFileError::NotAnIdentity);
    }
    let (scheme, scrypt) = parameters(&encrypted)?;
    let EncryptionScheme::Aes256Cbc { .. } = scheme.encryption else {
        return Err(KeyFileError::UnknownEncryption);
    };
    let memory = scrypt
        .cost_parameter
        .saturating_mul(scrypt.block_size.into());
    let time = memory.saturating_mul(scrypt.parallelization.into());
    let (our_memory, our_time) = (
        COST * u64::from(BLOCK_SIZE),
        COST * u64::from(BLOCK_SIZE) * u64::from(PARALLELIZATION),
    );
    if memory >= our_memory && time >= our_time {
        Ok(())
    } else {
        Err(KeyFileError::WeakEncryption)
    }
}

pub(crate) fn decrypt(
    document: &SecretDocument,
    passphrase: &Passphrase,
) -> Result<SecretDocument, KeyFileError> {
    let encrypted = read(document)?;
    let (scheme, _) = parameters(&encrypted)?;
    let mut buffer = Zeroizing::new(encrypted.encrypted_data.as_bytes().to_vec());
    let plain = scheme
        .decrypt_in_place(passphrase.as_bytes(), &mut buffer)
        .map_err(|error| match error {
            pkcs5::Error::DecryptFailed => KeyFileError::WrongPassphrase,
            _ => KeyFileError::UnknownEncryption,
        })?;
    // With one of 256 wrong pass phrases the padding is valid by chance.
    SecretDocument::try_from(plain).map_err(|_| KeyFileError::WrongPassphrase)
}

fn read(document: &SecretDocument) -> Result<EncryptedPrivateKeyInfoRef<'_>, KeyFileError> {
    document.decode_msg().map_err(|_| KeyFileError::Damaged)
}

/// The parameters of an encrypted key that uses scrypt with an acceptable cost.
fn parameters<'a>(
    encrypted: &'a EncryptedPrivateKeyInfoRef<'_>,
) -> Result<(&'a Parameters, &'a ScryptParams), KeyFileError> {
    let scheme = encrypted
        .encryption_algorithm
        .pbes2()
        .ok_or(KeyFileError::UnknownEncryption)?;
    let scrypt = scheme.kdf.scrypt().ok_or(KeyFileError::UnknownEncryption)?;
    check_cost(scrypt)?;
    Ok((scheme, scrypt))
}

/// Rejects costs that would exhaust memory, and invalid costs.
fn check_cost(scrypt: &ScryptParams) -> Result<(), KeyFileError> {
    let memory = scrypt
        .cost_parameter
        .checked_mul(128 * u64::from(scrypt.block_size));
    let sensible = scrypt.cost_parameter.is_power_of_two()
        && scrypt.cost_parameter > 1
        && memory.is_some_and(|memory| 0 < memory && memory <= MAX_MEMORY)
        && (1..=MAX_PARALLELIZATION).contains(&scrypt.parallelization);
    if sensible {
        Ok(())
    } else {
        Err(KeyFileError::TooCostly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document_with(cost: (u64, u16, u16), encryption: EncryptionScheme) -> SecretDocument {
        document_around(cost, encryption, 160)
    }

    fn document_around(
        cost: (u64, u16, u16),
        encryption: EncryptionScheme,
        length: usize,
    ) -> SecretDocument {
        let scheme = Parameters {
            kdf: Kdf::Scrypt(ScryptParams {
                salt: Salt::new([0; 16]).unwrap(),
                cost_parameter: cost.0,
                block_size: cost.1,
                parallelization: cost.2,
                key_length: None,
            }),
            encryption,
        };
        document(scheme, &vec![0; length]).unwrap()
    }

    /// [SES-34]
    #[test]
    fn a_key_is_delivered_only_with_at_least_our_cost() {
        let aes_256 = || EncryptionScheme::Aes256Cbc { iv: [0; 16] };
        let worth = |cost| check_strength(&document_with(cost, aes_256()));
        assert_eq!(worth((COST, BLOCK_SIZE, PARALLELIZATION)), Ok(()));
        assert_eq!(worth((COST * 4, BLOCK_SIZE, PARALLELIZATION)), Ok(()));
        for cheap in [
            (COST, BLOCK_SIZE, PARALLELIZATION - 1),
            (COST, BLOCK_SIZE - 1, PARALLELIZATION),
            (COST / 2, BLOCK_SIZE, PARALLELIZATION),
            // The same time with half the memory.
            (COST / 2, BLOCK_SIZE, PARALLELIZATION * 2),
        ] {
            assert_eq!(worth(cheap), Err(KeyFileError::WeakEncryption), "{cheap:?}");
        }
        let absurd = worth((1 << 21, BLOCK_SIZE, PARALLELIZATION));
        assert_eq!(absurd, Err(KeyFileError::TooCostly));
    }

    /// [SES-34]
    #[test]
    fn a_key_is_delivered_only_with_aes_256() {
        let cost = (COST, BLOCK_SIZE, PARALLELIZATION);
        let weaker = EncryptionScheme::Aes128Cbc { iv: [0; 16] };
        let refused = check_strength(&document_with(cost, weaker));
        assert_eq!(refused, Err(KeyFileError::UnknownEncryption));
    }

    /// Regression: `openssl pkey` reads our key files and writes them without the seed. Such a file
    /// was stored for delivery, and its owner learned only at the login that it is unusable.
    // [SES-34]
    #[test]
    fn a_key_that_is_too_short_for_its_seed_is_not_delivered() {
        use crate::entropy::SystemEntropy;
        use crate::identity::Identity;

        let cost = (COST, BLOCK_SIZE, PARALLELIZATION);
        let of_length = |length| {
            check_strength(&document_around(
                cost,
                EncryptionScheme::Aes256Cbc { iv: [0; 16] },
                length,
            ))
        };
        let identity = Identity::generate(&mut SystemEntropy);
        let plain = super::super::form::encode(&identity).unwrap();
        let ours = encrypt(&plain, &"right".to_owned().into(), &mut SystemEntropy).unwrap();
        let length = read(&ours).unwrap().encrypted_data.as_bytes().len();
        assert_eq!(length, SHORTEST);
        assert_eq!(of_length(length), Ok(()));
        for without_seed in [64, length - 16] {
            assert_eq!(of_length(without_seed), Err(KeyFileError::NotAnIdentity));
        }
    }

    fn checked(cost_parameter: u64, block_size: u16, parallelization: u16) -> bool {
        check_cost(&ScryptParams {
            salt: Salt::new([0; 16]).unwrap(),
            cost_parameter,
            block_size,
            parallelization,
            key_length: None,
        })
        .is_ok()
    }

    #[test]
    fn a_cost_is_accepted_up_to_the_limit() {
        assert!(checked(COST, BLOCK_SIZE, PARALLELIZATION));
        assert!(checked(1 << 20, 8, 16));
        assert!(!checked(1 << 20, 9, 16));
        assert!(!checked(1 << 21, 8, 16));
        assert!(!checked(1 << 20, 8, 17));
    }

    #[test]
    fn an_invalid_cost_is_rejected() {
        for (n, r, p) in [
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (1 << 14, 0, 1),
            (1 << 14, 8, 0),
            (1 << 63, u16::MAX, 1),
        ] {
            assert!(!checked(n, r, p), "{n} {r} {p}");
        }
    }
}
