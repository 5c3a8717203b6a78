//! Certificates for TLS with pinned keys: X.509 (RFC 5280) as a wrapper for a public key.
//!
//! The two ends of a connection know each other by their keys. A certificate is only the form in
//! which TLS 1.3 carries a key; TLS itself has the peer prove that it holds the private key. So the
//! site reads the key from a certificate and nothing else: names, dates, extensions, the issuer and
//! its signature have no meaning, and any tool's certificate will do.

use std::str::FromStr;
use std::time::Duration;

use der::asn1::{AnyRef, BitString, UtcTime};
use der::{Decode, Encode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};
use x509_cert::{AlgorithmIdentifier, SubjectPublicKeyInfo, Version};

use crate::device_key::{DeviceAlgorithm, DeviceIdentity, DeviceKey, DeviceKeyError};
use crate::hash::sha256;
use crate::oid::{ECDSA_SHA256, ED25519};
use crate::sign::SigningKey;

/// The longest certificate that is read, in bytes of DER: a certificate of an Ed25519 or P-256 key
/// has some 300 to 1,500.
pub const MAX_TLS_CERTIFICATE: usize = 8 * 1024;

/// 2000-01-01T00:00:00Z, after 1970.
const NOT_BEFORE: Duration = Duration::from_secs(946_684_800);

/// The name in the certificate of a device.
const DEVICE: &str = "CN=countersign device";

/// The self-signed certificate of a site: the same bytes each time.
#[must_use]
pub fn of_site(key: &SigningKey) -> Vec<u8> {
    let public = DeviceKey::from_ed25519(&key.verifying());
    let sign = |message: &[u8]| key.sign(message).0.to_vec();
    let written = public
        .ok()
        .and_then(|public| write("CN=countersign site", &public, sign).ok());
    written.unwrap_or_else(|| std::process::abort()) // only exhausted memory leads here
}

/// A self-signed certificate of a device.
#[must_use]
pub fn of_device(identity: &DeviceIdentity) -> Vec<u8> {
    let sign = |message: &[u8]| identity.sign(message);
    let written = write(DEVICE, identity.public(), sign);
    written.unwrap_or_else(|_| std::process::abort()) // only exhausted memory leads here
}

/// The issuer in the certificates that [`of_device`] makes, as DER.
#[must_use]
pub fn device_issuer() -> Option<Vec<u8>> {
    let name = Name::from_str(DEVICE).ok()?;
    name.to_der().ok()
}

/// SHA-256 of the public key of a certificate with a key of any kind (SubjectPublicKeyInfo), as
/// RFC 7469 pins it.
///
/// # Errors
/// [`TlsCertificateError`].
pub fn pin(certificate: &[u8]) -> Result<[u8; 32], TlsCertificateError> {
    let spki = spki(certificate).map_err(|_| TlsCertificateError::NotX509)?;
    Ok(sha256(spki))
}

/// The public key of a certificate, checked. Nothing else of the certificate is.
///
/// # Errors
/// [`TlsCertificateError`].
pub fn key(certificate: &[u8]) -> Result<DeviceKey, TlsCertificateError> {
    if certificate.len() > MAX_TLS_CERTIFICATE {
        return Err(TlsCertificateError::TooLong {
            length: certificate.len(),
        });
    }
    let spki = spki(certificate).map_err(|_| TlsCertificateError::NotX509)?;
    Ok(DeviceKey::from_spki(spki)?)
}

/// Why the key of a certificate cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsCertificateError {
    /// More than [`MAX_TLS_CERTIFICATE`] bytes; nothing was parsed.
    #[error("{length} bytes are too long for a certificate (at most {MAX_TLS_CERTIFICATE} as DER)")]
    TooLong {
        /// How many there were.
        length: usize,
    },
    /// The bytes are not one DER X.509 certificate and nothing after it.
    #[error("not an X.509 certificate in DER form, or bytes follow it")]
    NotX509,
    /// The certificate's key is not one that a device may have.
    #[error(transparent)]
    Key(#[from] DeviceKeyError),
}

/// `Certificate` of RFC 5280, section 4.1.
#[derive(Sequence)]
struct Signed {
    tbs: ToBeSigned,
    algorithm: AlgorithmIdentifier,
    signature: BitString,
}

/// `TBSCertificate` of RFC 5280, section 4.1, without extensions.
#[derive(Clone, Sequence)]
struct ToBeSigned {
    #[asn1(context_specific = "0")]
    version: Version,
    serial: SerialNumber,
    algorithm: AlgorithmIdentifier,
    issuer: Name,
    validity: Validity,
    subject: Name,
    key: SubjectPublicKeyInfo,
}

fn write(name: &str, key: &DeviceKey, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> der::Result<Vec<u8>> {
    let algorithm = AlgorithmIdentifier {
        oid: match key.algorithm() {
            DeviceAlgorithm::Ed25519 => ED25519,
            DeviceAlgorithm::EcdsaP256 => ECDSA_SHA256,
        },
        parameters: None,
    };
    let tbs = ToBeSigned {
        version: Version::V3,
        serial: serial(key)?,
        algorithm: algorithm.clone(),
        issuer: Name::from_str(name)?,
        validity: Validity::new(
            Time::UtcTime(UtcTime::from_unix_duration(NOT_BEFORE)?),
            Time::INFINITY,
        ),
        subject: Name::from_str(name)?,
        key: SubjectPublicKeyInfo::from_der(key.spki())?,
    };
    let signature = BitString::from_bytes(&sign(&tbs.to_der()?))?;
    let signed = Signed {
        tbs,
        algorithm,
        signature,
    };
    signed.to_der()
}

/// 128 bits of the key's digest, of which the two top bits keep the number positive and of one length.
fn serial(key: &DeviceKey) -> der::Result<SerialNumber> {
    let [first, rest @ ..] = sha256(key.spki());
    let mut serial = vec![first & 0x3f | 0x40];
    serial.extend(rest.iter().take(15));
    SerialNumber::new(&serial)
}

/// The bytes of `subjectPublicKeyInfo`. What stands before it is passed over by its lengths, so that
/// no form of a name or a date is a reason to refuse a key.
fn spki(certificate: &[u8]) -> der::Result<&[u8]> {
    let certificate = AnyRef::from_der(certificate)?;
    certificate.tag().assert_eq(Tag::Sequence)?;
    let tbs = AnyRef::decode(&mut SliceReader::new(certificate.value())?)?;
    tbs.tag().assert_eq(Tag::Sequence)?;
    let mut fields = SliceReader::new(tbs.value())?;
    let version = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(0),
    };
    if Tag::peek(&fields)? == version {
        fields.tlv_bytes()?;
    }
    // serialNumber, signature, issuer, validity, subject
    for _ in 0..5 {
        fields.tlv_bytes()?;
    }
    fields.tlv_bytes()
}

#[cfg(test)]
mod tests;
