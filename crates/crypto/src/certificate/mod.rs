//! Certificates: self-signed X.509 v3 (RFC 5280) with Ed25519 (RFC 8410), in one canonical form.
//!
//! All fields are derived from the identity. So the certificate of an identity always has the same
//! bytes and the same thumbprint.
//!
//! ```text
//! serial      the first 16 bytes of SHA-256 of the Ed25519 key, the top bits set to 01
//! names       CN=countersign identity (the site, not the certificate, maps keys to accounts)
//! validity    2000-01-01 to 9999-12-31 (RFC 5280, section 4.1.2.5: no well-defined end)
//! key         Ed25519
//! extension   AGREEMENT_KEY, not critical: OCTET STRING of the 32 bytes of the X25519 key
//! ```

mod form;

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use der::{Decode, Document, pem::LineEnding};
use serde::{Deserialize, Serialize};

use crate::{
    agreement::AgreementPublic,
    hash::sha256,
    pem::{self, BadPem},
    sign::{Signature, SigningKey, VerifyingKey},
};

/// Maximum length of a certificate in DER, in bytes. Current ones have about 500; the rest is
/// reserved for future keys. The limit bounds what an unauthenticated client can make the server
/// parse.
pub const MAX_CERTIFICATE: usize = 4096;

/// Maximum length of a PEM text: base64 and line endings of [`MAX_CERTIFICATE`] bytes, and the text
/// that `openssl x509 -text` adds.
const MAX_PEM: usize = 4 * MAX_CERTIFICATE;

const PEM_LABEL: &str = "CERTIFICATE";

/// A certificate with canonical form and valid self-signature. It does not authenticate the party
/// that presents it.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    thumbprint: Thumbprint,
    signing: VerifyingKey,
    agreement: AgreementPublic,
}

impl Certificate {
    /// Creates the certificate of the identity with these keys.
    pub(crate) fn issue(signing: &SigningKey, agreement: AgreementPublic) -> Self {
        let subject = form::Keys {
            signing: signing.verifying(),
            agreement,
        };
        let encoded = form::to_be_signed(&subject)
            .and_then(|tbs| form::certificate(&subject, signing.sign(&tbs)));
        let Ok(der) = encoded else {
            // Every field has a fixed length; only exhausted memory leads here.
            std::process::abort();
        };
        Self::trusted(der, &subject)
    }

    /// Parses and checks a certificate in DER.
    ///
    /// # Errors
    /// [`CertificateError`]; the bytes must not be stored.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::TooLong { length: der.len() });
        }
        let parsed =
            x509_cert::Certificate::from_der(der).map_err(|_| CertificateError::NotX509)?;
        let keys = form::keys(&parsed)?;
        let signature = parsed
            .signature()
            .as_bytes()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Signature)
            .ok_or(CertificateError::NotCanonical)?;

        let canonical = form::certificate(&keys, signature);
        if canonical.as_deref() != Ok(der) {
            return Err(CertificateError::NotCanonical);
        }
        let signed = form::to_be_signed(&keys).map_err(|_| CertificateError::NotCanonical)?;
        keys.signing
            .verify(&signed, &signature)
            .map_err(|_| CertificateError::BadSignature)?;
        Ok(Self::trusted(der.to_vec(), &keys))
    }

    /// Parses a stored certificate that [`Self::from_der`] has checked before.
    pub(crate) fn from_stored(der: &[u8]) -> Result<Self, CertificateError> {
        let parsed =
            x509_cert::Certificate::from_der(der).map_err(|_| CertificateError::NotX509)?;
        Ok(Self::trusted(der.to_vec(), &form::keys(&parsed)?))
    }

    /// Parses a certificate in PEM (RFC 7468), as [`Certificate::to_pem`] writes it.
    ///
    /// # Errors
    /// [`CertificateError`]; see [`Certificate::from_der`].
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        if pem.len() > MAX_PEM {
            return Err(CertificateError::TooLong { length: pem.len() });
        }
        let block = pem::find(pem, &[PEM_LABEL])?;
        if block.label != PEM_LABEL {
            return Err(CertificateError::WrongLabel {
                found: block.label.to_owned(),
            });
        }
        Self::from_der(&block.decode()?)
    }

    /// The certificate in DER, the form that is sent, stored and hashed.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM (RFC 7468), for people to copy.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let pem = Document::try_from(self.der.as_slice())
            .and_then(|document| document.to_pem(PEM_LABEL, LineEnding::LF));
        let Ok(pem) = pem else {
            // The bytes are a DER sequence; only exhausted memory leads here.
            std::process::abort();
        };
        pem
    }

    /// SHA-256 of the certificate in DER.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// The key that verifies the identity's signatures.
    #[must_use]
    pub fn signing(&self) -> VerifyingKey {
        self.signing
    }

    /// The identity's public key for key agreement.
    #[must_use]
    pub fn agreement(&self) -> AgreementPublic {
        self.agreement
    }

    fn trusted(der: Vec<u8>, keys: &form::Keys) -> Self {
        Self {
            thumbprint: Thumbprint(sha256(&der)),
            der,
            signing: keys.signing,
            agreement: keys.agreement,
        }
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.thumbprint)
    }
}

impl From<BadPem> for CertificateError {
    fn from(bad: BadPem) -> Self {
        match bad {
            BadPem::NoBlock => Self::NotPem,
            BadPem::Damaged => Self::Damaged,
            BadPem::Several => Self::Several,
        }
    }
}

/// Why bytes are not the certificate of an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// More than [`MAX_CERTIFICATE`] bytes (four times that in PEM). Nothing was parsed.
    #[error("{length} bytes are too long for a certificate (at most {MAX_CERTIFICATE} as DER)")]
    TooLong {
        /// The length in bytes.
        length: usize,
    },
    /// The text has no PEM block.
    #[error("not a PEM file; a certificate begins with -----BEGIN CERTIFICATE-----")]
    NotPem,
    /// The PEM block is incomplete, or has wrong or missing characters.
    #[error("the certificate is damaged; copy it again")]
    Damaged,
    /// The file contains several certificates.
    #[error("the PEM file contains several certificates; remove all but one")]
    Several,
    /// The PEM block has another label, for example that of a private key.
    #[error("the PEM file contains a {found}; a CERTIFICATE (the .pub file) is required")]
    WrongLabel {
        /// The block's label.
        found: String,
    },
    /// The bytes are not exactly one X.509 certificate in DER.
    #[error("not an X.509 certificate in DER form, or bytes follow it")]
    NotX509,
    /// The certificate's key is not Ed25519.
    #[error("the certificate's key is not Ed25519; make an identity with `countersign key new`")]
    NotEd25519,
    /// An Ed25519 certificate without an agreement key, as other tools create it.
    #[error(
        "the certificate carries no agreement key; make an identity with `countersign key new`"
    )]
    NoAgreementKey,
    /// The certificate is not byte for byte the canonical one for its keys.
    #[error("the certificate does not have the canonical form of an identity's certificate")]
    NotCanonical,
    /// The form is canonical, but the self-signature is invalid.
    #[error("the certificate's self-signature is wrong: it was damaged or forged")]
    BadSignature,
}

/// SHA-256 of a certificate in DER, or of the public key of a device, by which a credential is
/// found. Displayed as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbprint(pub [u8; 32]);

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for Thumbprint {
    type Err = BadThumbprint;

    fn from_str(text: &str) -> Result<Self, BadThumbprint> {
        HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(BadThumbprint)
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = BadThumbprint;

    fn try_from(text: String) -> Result<Self, BadThumbprint> {
        text.parse()
    }
}

impl From<Thumbprint> for String {
    fn from(thumbprint: Thumbprint) -> Self {
        thumbprint.to_string()
    }
}

/// The text is not a thumbprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint is 64 lower case hexadecimal digits")]
pub struct BadThumbprint;

#[cfg(test)]
mod tests;
