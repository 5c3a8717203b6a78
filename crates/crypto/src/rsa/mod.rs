//! RSA for the Serveros protocol only: OAEP (RFC 8017, section 7.1) with SHA-1 and MGF1 with SHA-1,
//! and signatures of PKCS #1 v1.5 (section 8.2). New protocols use HPKE and Ed25519.
//!
//! SHA-1 signatures are verified if a peer requires them, but never created. OAEP uses AWS-LC's own
//! random generator, which accepts no external entropy.

mod form;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    self, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaEncoding, RsaKeyPair, RsaParameters,
    UnparsedPublicKey,
};
use der::SecretDocument;
use der::pem::{LineEnding, encode_string};

use crate::hash::sha256;
use crate::pem;
use crate::secret::{SecretBytes, SecretText};
use crate::sign::BadSignature;

/// The hash function of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RsaHash {
    /// `sha256`.
    Sha256,
    /// `sha384`.
    Sha384,
    /// `sha512`.
    Sha512,
    /// `sha1`, which is not collision resistant. Only verified, never used to sign.
    Sha1,
}

impl RsaHash {
    /// All hash functions, the preferred one first.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Sha384, Self::Sha512, Self::Sha1];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sha1 => "sha1",
        }
    }

    /// Whether [`RsaKey::sign`] supports it.
    #[must_use]
    pub fn signs(self) -> bool {
        self.signing().is_some()
    }

    fn signing(self) -> Option<&'static dyn RsaEncoding> {
        match self {
            Self::Sha256 => Some(&signature::RSA_PKCS1_SHA256),
            Self::Sha384 => Some(&signature::RSA_PKCS1_SHA384),
            Self::Sha512 => Some(&signature::RSA_PKCS1_SHA512),
            Self::Sha1 => None,
        }
    }

    fn checking(self) -> &'static RsaParameters {
        match self {
            Self::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }
}

impl fmt::Display for RsaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The hash name is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hashes are sha256, sha384, sha512 and sha1")]
pub struct UnknownHash;

impl FromStr for RsaHash {
    type Err = UnknownHash;

    fn from_str(name: &str) -> Result<Self, UnknownHash> {
        let known = Self::ALL.into_iter().find(|hash| hash.name() == name);
        known.ok_or(UnknownHash)
    }
}

/// Why a text is not a usable RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RsaKeyError {
    /// The text is not PEM with the label `PRIVATE KEY` or `PUBLIC KEY`.
    #[error("this is not PEM with the label {0}: `openssl pkey` writes it")]
    NotPem(&'static str),
    /// The key has another algorithm, is damaged, or does not have 2,048 to 8,192 bits.
    #[error("this is not an RSA key of 2,048 to 8,192 bits")]
    NotRsa,
    /// Its algorithm identifier allows only RSASSA-PSS (RFC 4055, section 1.2).
    #[error(
        "this RSA key is only for RSASSA-PSS, but edition v1 uses OAEP and PKCS #1 v1.5: make a key with `openssl \
         genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`"
    )]
    PssOnly,
    /// A private key instead of a public one.
    #[error(
        "this is a private key: keep it secret, and give what `openssl pkey -in FILE -pubout` writes"
    )]
    Private,
    /// A certificate instead of a public key.
    #[error("this is a certificate: give what `openssl x509 -in FILE -noout -pubkey` writes")]
    Certificate,
    /// An encrypted private key.
    #[error("this key is encrypted: give what `openssl pkey -in FILE` writes")]
    Encrypted,
}

/// An RSA operation failed: the message is too long for the key, was sealed to another key, or is
/// damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the RSA operation failed with this key")]
pub struct RsaError;

/// A private key. AWS-LC wipes its memory when it is freed.
pub struct RsaKey {
    signing: RsaKeyPair,
    opening: OaepPrivateDecryptingKey,
    public: RsaPublicKey,
}

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// The labels of PKCS #1 (RFC 8017, appendix A.1), which older tools write.
const PKCS1_PRIVATE: &str = "RSA PRIVATE KEY";
const PKCS1_PUBLIC: &str = "RSA PUBLIC KEY";

impl RsaKey {
    /// Parses an unencrypted private key in PEM: PKCS #8 (RFC 5958) or PKCS #1 (RFC 8017, appendix
    /// A.1.2).
    ///
    /// # Errors
    /// [`RsaKeyError`].
    pub fn from_pem(pem: &SecretText) -> Result<Self, RsaKeyError> {
        // Both forms of an encrypted key contain this word, in the label or in a header.
        let other = match pem.expose().contains("ENCRYPTED") {
            true => RsaKeyError::Encrypted,
            false => RsaKeyError::NotPem(PRIVATE),
        };
        let block = pem::find(pem.expose(), &[PRIVATE, PKCS1_PRIVATE]).map_err(|_| other)?;
        let decode = || {
            let bytes = block.decode().map_err(|_| other)?;
            SecretDocument::try_from(bytes.as_slice()).map_err(|_| RsaKeyError::NotRsa)
        };
        let document = match block.label {
            PRIVATE => decode()?,
            PKCS1_PRIVATE => form::pkcs8(&decode()?).map_err(|_| RsaKeyError::NotRsa)?,
            _ => return Err(other),
        };
        form::check_algorithm(form::algorithm_of_pkcs8(&document))?;
        let decrypting = PrivateDecryptingKey::from_pkcs8(document.as_bytes())
            .map_err(|_| RsaKeyError::NotRsa)?;
        let public = decrypting.public_key();
        let spki: PublicKeyX509Der<'_> = public.as_der().map_err(|_| RsaKeyError::NotRsa)?;
        Ok(Self {
            signing: RsaKeyPair::from_pkcs8(document.as_bytes())
                .map_err(|_| RsaKeyError::NotRsa)?,
            public: RsaPublicKey::from_spki(spki.as_ref().to_vec())?,
            opening: OaepPrivateDecryptingKey::new(decrypting).map_err(|_| RsaKeyError::NotRsa)?,
        })
    }

    /// Generates a private key of 3,072 bits in PEM, as [`RsaKey::from_pem`] reads it. This may
    /// take seconds and uses AWS-LC's own random generator.
    ///
    /// # Errors
    /// [`RsaError`] if the generator fails.
    pub fn generate() -> Result<SecretText, RsaError> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa3072).map_err(|_| RsaError)?;
        let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| RsaError)?;
        let document = SecretDocument::try_from(der.as_ref()).map_err(|_| RsaError)?;
        let pem = document.to_pem(PRIVATE, LineEnding::LF);
        pem.map(|pem| SecretText::from(pem.to_string()))
            .map_err(|_| RsaError)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    /// Signs `message`. Signatures are deterministic.
    ///
    /// # Errors
    /// [`RsaError`] if `hash` is not used to sign.
    pub fn sign(&self, hash: RsaHash, message: &[u8]) -> Result<Vec<u8>, RsaError> {
        let encoding = hash.signing().ok_or(RsaError)?;
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| RsaError)?;
        Ok(signature)
    }

    /// The length of a message sealed to this key, in bytes.
    #[must_use]
    pub fn sealed_length(&self) -> usize {
        self.opening.key_size_bytes()
    }

    /// Opens a message that [`RsaPublicKey::seal`] sealed to this key.
    ///
    /// # Errors
    /// [`RsaError`].
    pub fn open(&self, sealed: &[u8]) -> Result<SecretBytes, RsaError> {
        let mut out = vec![0; self.opening.min_output_size()];
        let length = self
            .opening
            .decrypt(&OAEP_SHA1_MGF1SHA1, sealed, &mut out, None)
            .map_err(|_| RsaError)?
            .len();
        out.truncate(length);
        Ok(out.into())
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey(..)")
    }
}

/// A public key.
#[derive(Clone)]
pub struct RsaPublicKey {
    spki: Vec<u8>,
    sealing: Arc<OaepPublicEncryptingKey>,
}

impl RsaPublicKey {
    /// Parses a public key in PEM: `SubjectPublicKeyInfo` (RFC 5280, section 4.1) or PKCS #1 (RFC
    /// 8017, appendix A.1.1).
    ///
    /// # Errors
    /// [`RsaKeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, RsaKeyError> {
        if pem::has_private_key(pem) {
            return Err(RsaKeyError::Private);
        }
        let other = RsaKeyError::NotPem(PUBLIC);
        let block = pem::find(pem, &[PUBLIC, PKCS1_PUBLIC]).map_err(|_| other)?;
        let decode = || block.decode().map_err(|_| other);
        match block.label {
            PUBLIC => Self::from_spki(decode()?.to_vec()),
            PKCS1_PUBLIC => {
                let spki = form::spki(&decode()?).map_err(|_| RsaKeyError::NotRsa)?;
                Self::from_spki(spki)
            }
            "CERTIFICATE" => Err(RsaKeyError::Certificate),
            _ => Err(other),
        }
    }

    /// Parses a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`RsaKeyError::NotRsa`], [`RsaKeyError::PssOnly`].
    pub fn from_spki(spki: Vec<u8>) -> Result<Self, RsaKeyError> {
        form::check_algorithm(form::algorithm_of_spki(&spki))?;
        let key = PublicEncryptingKey::from_der(&spki).map_err(|_| RsaKeyError::NotRsa)?;
        let sealing = OaepPublicEncryptingKey::new(key).map_err(|_| RsaKeyError::NotRsa)?;
        Ok(Self {
            spki,
            sealing: Arc::new(sealing),
        })
    }

    /// The key in PEM, as [`RsaPublicKey::from_pem`] reads it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        // It cannot fail: the label is constant and valid.
        encode_string(PUBLIC, LineEnding::LF, &self.spki).unwrap_or_default()
    }

    /// The key as `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the key in DER.
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// Verifies the signature of `message`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(
        &self,
        hash: RsaHash,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(hash.checking(), &self.spki)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }

    /// Seals a short message so that only the owner of the private key can open it.
    ///
    /// # Errors
    /// [`RsaError`] if the message is longer than the modulus minus 42 bytes.
    pub fn seal(&self, message: &[u8]) -> Result<Vec<u8>, RsaError> {
        let mut sealed = vec![0; self.sealing.ciphertext_size()];
        let length = self
            .sealing
            .encrypt(&OAEP_SHA1_MGF1SHA1, message, &mut sealed, None)
            .map_err(|_| RsaError)?
            .len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

impl PartialEq for RsaPublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for RsaPublicKey {}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({} bits)", self.sealing.key_size_bits())
    }
}

#[cfg(test)]
mod tests;
