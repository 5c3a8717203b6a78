//! DHKEM(X25519, HKDF-SHA256) of RFC 9180, section 4.1, over our provider.

use hpke::hybrid_array::Array;
use hpke::hybrid_array::typenum::U32;
use hpke::kem::SharedSecret;
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, HpkeError, Kem, Serializable};
use subtle::{Choice, ConstantTimeEq};

use crate::agreement::{AgreementKey, AgreementPublic};
use crate::provider::hkdf_sha256;
use crate::secret::Secret;

/// The length of an encapsulated key, which is an ephemeral public key, in bytes.
pub(super) const ENCAPSULATED_LENGTH: usize = 32;

/// The suite id of section 4.1: `"KEM"` and the KEM's number.
const SUITE: &[u8] = b"KEM\x00\x20";
const VERSION: &[u8] = b"HPKE-v1";

/// DHKEM(X25519, HKDF-SHA256) for the HPKE library.
pub(super) struct X25519;

/// `LabeledExpand(LabeledExtract("", extracted, ikm), expanded, info, 32)` of section 4.
fn derive(
    (extracted, ikm): (&[u8], &[u8]),
    (expanded, info): (&[u8], &[u8]),
) -> Result<Secret<32>, HpkeError> {
    let labeled = [VERSION, SUITE, extracted, ikm].concat();
    let info = [&[0, 32][..], VERSION, SUITE, expanded, info];
    let mut key = [0; 32];
    match hkdf_sha256(&[], &labeled, &info, &mut key) {
        true => Ok(Secret::from_bytes(key)),
        false => Err(HpkeError::KdfOutputTooLong),
    }
}

fn shared(
    agreed: &Secret<32>,
    ephemeral: &AgreementPublic,
    recipient: &AgreementPublic,
) -> Result<SharedSecret<X25519>, HpkeError> {
    let context = [ephemeral.0, recipient.0].concat();
    let dh = (b"eae_prk".as_slice(), agreed.expose().as_slice());
    let secret = derive(dh, (b"shared_secret", &context))?;
    Ok(SharedSecret(Array(*secret.expose())))
}

impl Kem for X25519 {
    type PublicKey = AgreementPublic;
    type PrivateKey = AgreementKey;
    type EncappedKey = AgreementPublic;
    type NSecret = U32;

    const KEM_ID: u16 = 0x0020;

    fn sk_to_pk(key: &AgreementKey) -> AgreementPublic {
        *key.public()
    }

    /// Section 7.1.3.
    fn derive_keypair(ikm: &[u8]) -> (AgreementKey, AgreementPublic) {
        let Ok(secret) = derive((b"dkp_prk", ikm), (b"sk", &[])) else {
            // 32 bytes are never too long for HKDF; only exhausted memory leads here.
            std::process::abort();
        };
        let key = AgreementKey::from_secret(secret);
        let public = *key.public();
        (key, public)
    }

    fn decap(
        key: &AgreementKey,
        sender: Option<&AgreementPublic>,
        ephemeral: &AgreementPublic,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        let agreed = key.agree(ephemeral).ok().filter(|_| sender.is_none());
        let agreed = agreed.ok_or(HpkeError::DecapError)?;
        shared(&agreed, ephemeral, key.public())
    }

    fn encap_with_rng(
        to: &AgreementPublic,
        sender: Option<(&AgreementKey, &AgreementPublic)>,
        entropy: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, AgreementPublic), HpkeError> {
        let (own, ephemeral) = Self::gen_keypair_with_rng(entropy);
        let agreed = own.agree(to).ok().filter(|_| sender.is_none());
        let agreed = agreed.ok_or(HpkeError::EncapError)?;
        Ok((shared(&agreed, &ephemeral, to)?, ephemeral))
    }
}

impl Serializable for AgreementKey {
    type OutputSize = U32;

    fn write_exact(&self, out: &mut [u8]) {
        out.copy_from_slice(self.secret().expose());
    }
}

impl Deserializable for AgreementKey {
    fn from_bytes(secret: &[u8]) -> Result<Self, HpkeError> {
        let secret = Secret::try_from_slice(secret).ok_or(HpkeError::ValidationError)?;
        Ok(Self::from_secret(secret))
    }
}

impl ConstantTimeEq for AgreementKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.secret().expose().ct_eq(other.secret().expose())
    }
}

impl Serializable for AgreementPublic {
    type OutputSize = U32;

    fn write_exact(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

impl Deserializable for AgreementPublic {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeError> {
        let bytes = bytes.try_into().map_err(|_| HpkeError::ValidationError)?;
        Ok(Self(bytes))
    }
}
