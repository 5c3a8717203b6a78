//! RSA as the Serveros protocol has it: OAEP (RFC 8017, section 7.1) with SHA-1 and MGF1 under SHA-1, and
//! signatures of PKCS #1 v1.5 (section 8.2). For nothing else: what is new seals with HPKE and signs with
//! Ed25519.
//!
//! SHA-1 is checked for those who ask for it, but never signed with. OAEP draws on AWS-LC's own
//! generator, which takes no entropy from outside.

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
use der::pem::{LineEnding, encode_string};
use der::{Document, SecretDocument};

use crate::hash::sha256;
use crate::secret::{SecretBytes, SecretText};
use crate::sign::BadSignature;

/// The digest of a signature, under the name that it has on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RsaHash {
    /// `sha256`.
    Sha256,
    /// `sha384`.
    Sha384,
    /// `sha512`.
    Sha512,
    /// `sha1`: collisions are known. Checked for those who can do nothing else, never signed with.
    Sha1,
}

impl RsaHash {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Sha384, Self::Sha512, Self::Sha1];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sha1 => "sha1",
        }
    }

    /// Whether [`RsaKey::sign`] signs with it.
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

/// No digest of this name.
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

/// What was given is no RSA key that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RsaKeyError {
    /// Not PEM, or of another kind than `PRIVATE KEY` or `PUBLIC KEY`.
    #[error("this is no PEM text of {0}: `openssl pkey` writes one")]
    NotPem(&'static str),
    /// The key is of another algorithm, is broken, or is shorter than 2,048 or longer than 8,192 bits.
    #[error("this is no RSA key of 2,048 to 8,192 bits")]
    NotRsa,
}

/// What RSA was asked to do cannot be done with this key: it is too long, or of another key, or broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("RSA cannot do this with this key")]
pub struct RsaFailed;

/// A private key. Its secret numbers are in memory that AWS-LC wipes when it frees it.
pub struct RsaKey {
    signing: RsaKeyPair,
    opening: OaepPrivateDecryptingKey,
    public: RsaPublicKey,
}

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

impl RsaKey {
    /// A private key in PEM: unencrypted PKCS #8 (RFC 5958).
    ///
    /// # Errors
    /// [`RsaKeyError`].
    pub fn from_pem(pem: &SecretText) -> Result<Self, RsaKeyError> {
        let (label, document) =
            SecretDocument::from_pem(pem.expose()).map_err(|_| RsaKeyError::NotPem(PRIVATE))?;
        if label != PRIVATE {
            return Err(RsaKeyError::NotPem(PRIVATE));
        }
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

    /// A new private key of 3,072 bits in PEM, as [`RsaKey::from_pem`] reads it. Takes up to seconds; draws on
    /// AWS-LC's own generator.
    ///
    /// # Errors
    /// [`RsaFailed`] when the generator fails.
    pub fn generate() -> Result<SecretText, RsaFailed> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa3072).map_err(|_| RsaFailed)?;
        let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| RsaFailed)?;
        let document = SecretDocument::try_from(der.as_ref()).map_err(|_| RsaFailed)?;
        let pem = document.to_pem(PRIVATE, LineEnding::LF);
        pem.map(|pem| SecretText::from(pem.to_string()))
            .map_err(|_| RsaFailed)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    /// Signs `message`. The same message always gets the same signature.
    ///
    /// # Errors
    /// [`RsaFailed`] for a digest that is not signed with.
    pub fn sign(&self, hash: RsaHash, message: &[u8]) -> Result<Vec<u8>, RsaFailed> {
        let encoding = hash.signing().ok_or(RsaFailed)?;
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| RsaFailed)?;
        Ok(signature)
    }

    /// The length of what is sealed to this key, in bytes.
    #[must_use]
    pub fn lock_length(&self) -> usize {
        self.opening.key_size_bytes()
    }

    /// Opens what [`RsaPublicKey::seal`] sealed to this key.
    ///
    /// # Errors
    /// [`RsaFailed`].
    pub fn open(&self, sealed: &[u8]) -> Result<SecretBytes, RsaFailed> {
        let mut out = vec![0; self.opening.min_output_size()];
        let length = self
            .opening
            .decrypt(&OAEP_SHA1_MGF1SHA1, sealed, &mut out, None)
            .map_err(|_| RsaFailed)?
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
    /// A public key in PEM: `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
    ///
    /// # Errors
    /// [`RsaKeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, RsaKeyError> {
        let (label, document) = Document::from_pem(pem).map_err(|_| RsaKeyError::NotPem(PUBLIC))?;
        if label != PUBLIC {
            return Err(RsaKeyError::NotPem(PUBLIC));
        }
        Self::from_spki(document.into_vec())
    }

    /// The same as DER.
    ///
    /// # Errors
    /// [`RsaKeyError::NotRsa`].
    pub fn from_spki(spki: Vec<u8>) -> Result<Self, RsaKeyError> {
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
        // A constant label, and bytes that fit into memory twice.
        encode_string(PUBLIC, LineEnding::LF, &self.spki).unwrap_or_default()
    }

    /// The key as DER: `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The SHA-256 of the key as DER.
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// Checks that the key's owner signed exactly `message`.
    ///
    /// # Errors
    /// [`BadSignature`] for every other message, key, digest or signature.
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

    /// Seals a short message, so that only the key's owner can open it.
    ///
    /// # Errors
    /// [`RsaFailed`] for a message that is longer than the modulus less 42 bytes.
    pub fn seal(&self, message: &[u8]) -> Result<Vec<u8>, RsaFailed> {
        let mut sealed = vec![0; self.sealing.ciphertext_size()];
        let length = self
            .sealing
            .encrypt(&OAEP_SHA1_MGF1SHA1, message, &mut sealed, None)
            .map_err(|_| RsaFailed)?
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
