//! Public-key encryption of one message: HPKE (RFC 9180) in base mode.
//!
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. A sealed message is
//! `encapsulated key (32) ‖ ciphertext ‖ tag (16)`. [`hybrid`] adds ML-KEM.

pub mod hybrid;

mod classical;

use std::convert::Infallible;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};

use self::classical::X25519;
use crate::agreement::{AgreementKey, AgreementPublic};
use crate::entropy::{Entropy, fresh};
use crate::secret::SecretBytes;

/// How many bytes a sealed message is longer than its plaintext.
pub const SEALING_OVERHEAD: usize = 32 + 16;

/// A message cannot be opened: it was sealed to another key or with another `info`, or was changed.
/// Or it cannot be sealed because the public key is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message cannot be sealed or opened with this key")]
pub struct SealingError;

/// Seals a message so that only the owner of `to` can open it, and only with the same `info`, which
/// names its purpose.
///
/// # Errors
/// [`SealingError`] if `to` is a point of small order.
pub fn seal(
    to: &AgreementPublic,
    info: &[u8],
    message: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, SealingError> {
    seal_with_aad(to, info, &[], message, entropy)
}

/// Opens a message that [`seal`] sealed to this key with the same `info`.
///
/// # Errors
/// [`SealingError`].
pub fn open(key: &AgreementKey, info: &[u8], sealed: &[u8]) -> Result<SecretBytes, SealingError> {
    open_with_aad(key, info, &[], sealed)
}

/// [`seal`] with associated data, which only the published vectors use.
fn seal_with_aad(
    to: &AgreementPublic,
    info: &[u8],
    associated: &[u8],
    message: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, SealingError> {
    seal_with::<X25519>(to, info, associated, message, entropy)
}

fn open_with_aad(
    key: &AgreementKey,
    info: &[u8],
    associated: &[u8],
    sealed: &[u8],
) -> Result<SecretBytes, SealingError> {
    open_with::<X25519, { classical::ENCAPSULATED_LENGTH }>(key, info, associated, sealed)
}

fn seal_with<K: Kem>(
    to: &K::PublicKey,
    info: &[u8],
    associated: &[u8],
    message: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, SealingError> {
    let mode = OpModeS::Base;
    let entropy = &mut EntropyRng(entropy);
    let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
        &mode, to, info, message, associated, entropy,
    )
    .map_err(|_| SealingError)?;
    Ok([&encapsulated.to_bytes()[..], &sealed].concat())
}

/// Opens a message with a KEM whose encapsulated keys have `N` bytes.
fn open_with<K: Kem, const N: usize>(
    own: &K::PrivateKey,
    info: &[u8],
    associated: &[u8],
    sealed: &[u8],
) -> Result<SecretBytes, SealingError> {
    let (encapsulated, ciphertext) = sealed.split_first_chunk::<N>().ok_or(SealingError)?;
    let encapsulated = K::EncappedKey::from_bytes(encapsulated).map_err(|_| SealingError)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(
        &OpModeR::Base,
        own,
        &encapsulated,
        info,
        ciphertext,
        associated,
    )
    .map(SecretBytes::from)
    .map_err(|_| SealingError)
}

/// Adapts [`Entropy`] to the HPKE library.
struct EntropyRng<'a>(&'a mut dyn Entropy);

impl TryRng for EntropyRng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(fresh(self.0)))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(fresh(self.0)))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for EntropyRng<'_> {}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::secret::Secret;

    fn key(byte: u8) -> AgreementKey {
        AgreementKey::from_secret(Secret::from_bytes([byte; 32]))
    }

    #[test]
    fn a_sealed_message_opens_only_with_the_same_key_and_info() {
        let (own, other) = (key(1), key(2));
        let sealed = seal(own.public(), b"use", b"message", &mut SystemEntropy).unwrap();
        assert_eq!(sealed.len(), 7 + SEALING_OVERHEAD);
        assert_eq!(open(&own, b"use", &sealed).unwrap().expose(), b"message");
        assert!(open(&other, b"use", &sealed).is_err());
        assert!(open(&own, b"another use", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&own, b"use", &changed).is_err(), "byte {at}");
        }
        assert!(open(&own, b"use", &sealed[..47]).is_err());
    }

    /// Returns the published ephemeral secret.
    struct Published(Vec<u8>);

    impl Entropy for Published {
        fn fill(&mut self, out: &mut [u8]) {
            out.copy_from_slice(&self.0);
        }
    }

    #[test]
    fn the_published_sealed_message_is_reproduced_and_opened() {
        let file = include_str!("../../../../vectors/hpke/rfc9180.json");
        let vector: Value = serde_json::from_str(file).unwrap();
        let bytes = |value: &Value| HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
        let first = &vector["encryptions"][0];
        let (info, aad, pt) = (&vector["info"], &first["aad"], &first["pt"]);
        let (info, aad, pt) = (bytes(info), bytes(aad), bytes(pt));
        let sealed = [bytes(&vector["enc"]), bytes(&first["ct"])].concat();

        let secret = Secret::try_from_slice(&bytes(&vector["skRm"])).unwrap();
        let own = AgreementKey::from_secret(secret);
        assert_eq!(own.public().0, *bytes(&vector["pkRm"]));
        let opened = open_with_aad(&own, &info, &aad, &sealed).unwrap();
        assert_eq!(opened.expose(), pt);

        let mut entropy = Published(bytes(&vector["ikmE"]));
        let made = seal_with_aad(own.public(), &info, &aad, &pt, &mut entropy);
        assert_eq!(made, Ok(sealed));
    }

    #[test]
    fn sealing_to_a_point_of_small_order_fails() {
        let small_order = AgreementPublic([0; 32]);
        assert!(seal(&small_order, b"use", b"message", &mut SystemEntropy).is_err());
    }
}
