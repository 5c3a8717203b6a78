//! Certificates: self-signed X.509 v3 (RFC 5280) with Ed25519 (RFC 8410), one form only.
//!
//! Everything in a certificate follows from the identity: the same identity has the same bytes, and
//! thus the same thumbprint, wherever and whenever the certificate is made.
//!
//! ```text
//! serial      the first 16 bytes of SHA-256 of the Ed25519 key, the top bits set to 01
//! names       CN=countersign identity (who the owner is, the site says; not the certificate)
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

/// The longest certificate that is read, in bytes of DER. Ours have some 500; the rest is room for
/// keys to come, and the cap is what a stranger can make us parse.
pub const MAX_CERTIFICATE: usize = 4096;

/// The longest PEM that is read: base64 and line ends of [`MAX_CERTIFICATE`], and as much text around them
/// as `openssl x509 -text` writes.
const MAX_PEM: usize = 4 * MAX_CERTIFICATE;

const PEM_LABEL: &str = "CERTIFICATE";

/// A certificate whose form and self-signature are good. It proves nothing about who presents it.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    thumbprint: Thumbprint,
    signing: VerifyingKey,
    agreement: AgreementPublic,
}

impl Certificate {
    /// The certificate of the identity with these keys.
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

    /// Reads the DER form and checks it wholly.
    ///
    /// # Errors
    /// [`CertificateError`]; the bytes are then no identity of ours and must not be stored.
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

    /// Reads the DER form of a certificate that [`Self::from_der`] checked before it was stored.
    pub(crate) fn from_stored(der: &[u8]) -> Result<Self, CertificateError> {
        let parsed =
            x509_cert::Certificate::from_der(der).map_err(|_| CertificateError::NotX509)?;
        Ok(Self::trusted(der.to_vec(), &form::keys(&parsed)?))
    }

    /// Reads the PEM form (RFC 7468), as [`Certificate::to_pem`] writes it.
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

    /// The DER form: what is sent, stored and hashed.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM form (RFC 7468): what a person copies between machines.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let pem = Document::try_from(self.der.as_slice())
            .and_then(|document| document.to_pem(PEM_LABEL, LineEnding::LF));
        let Ok(pem) = pem else {
            // The bytes were one DER sequence when this was made; only exhausted memory leads here.
            std::process::abort();
        };
        pem
    }

    /// The name of this certificate: SHA-256 of its DER form.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// The key that checks what the identity signs.
    #[must_use]
    pub fn signing(&self) -> VerifyingKey {
        self.signing
    }

    /// The key to agree on a secret with the identity.
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

/// Why bytes are not a certificate of an identity. The fault is with whoever made or sent them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// More than [`MAX_CERTIFICATE`] bytes (as PEM: four times that); nothing was parsed.
    #[error("{length} bytes are too long for a certificate (at most {MAX_CERTIFICATE} as DER)")]
    TooLong {
        /// How many there were.
        length: usize,
    },
    /// The text has no PEM block.
    #[error("not a PEM file; a certificate begins with -----BEGIN CERTIFICATE-----")]
    NotPem,
    /// The PEM block has no end, or characters of it are wrong or missing.
    #[error("the certificate is damaged; copy it again")]
    Damaged,
    /// There are several certificates in the file.
    #[error("the PEM file holds several certificates; keep the one that is meant")]
    Several,
    /// The PEM block holds something else; for a private key, give its `.pub` file.
    #[error("the PEM file holds a {found}; what is needed here is a CERTIFICATE (the .pub file)")]
    WrongLabel {
        /// What the block says that it holds.
        found: String,
    },
    /// The bytes are not one DER X.509 certificate and nothing after it.
    #[error("not an X.509 certificate in DER form, or bytes follow it")]
    NotX509,
    /// A certificate, but its key is not Ed25519.
    #[error("the certificate's key is not Ed25519; make an identity with `countersign key new`")]
    NotEd25519,
    /// An Ed25519 certificate without an agreement key, as other tools make it.
    #[error(
        "the certificate carries no agreement key; make an identity with `countersign key new`"
    )]
    NoAgreementKey,
    /// Nearly ours, but not byte for byte what these keys' certificate must be.
    #[error("the certificate differs from the one form that an identity's certificate has")]
    NotCanonical,
    /// The form is right, but the owner of the key did not sign it: damaged or forged.
    #[error("the certificate's self-signature is wrong: it was damaged or forged")]
    BadSignature,
}

/// SHA-256 of a certificate's DER form, or of a device's public key: the name by which a credential is
/// found. Shown in 64 lower case hexadecimal digits.
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

/// The text is no thumbprint: it must be 64 lower case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint is 64 lower case hexadecimal digits")]
pub struct BadThumbprint;

#[cfg(test)]
mod tests;
