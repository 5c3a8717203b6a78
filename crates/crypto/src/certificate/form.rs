//! The canonical form of a certificate in DER (X.690). Two keys and a signature determine every
//! byte, so parsing extracts these three, encodes the certificate again and compares.

use std::time::Duration;

use der::{
    Decode, Encode, Sequence,
    asn1::{BitString, OctetString, OctetStringRef, UtcTime},
};
use x509_cert::{
    AlgorithmIdentifier, SubjectPublicKeyInfo, Version,
    ext::{Extension, Extensions},
    name::Name,
    serial_number::SerialNumber,
    time::{Time, Validity},
};

use super::CertificateError;
use crate::{
    agreement::AgreementPublic,
    hash::sha256,
    oid::{AGREEMENT_KEY, ED25519},
    sign::{Signature, VerifyingKey},
};

/// `CN=countersign identity` in DER. The parser of such texts brings a table of all names of
/// attributes, some 90 KiB that each browser would load.
const NAME: &[u8] = b"\x30\x1f\x31\x1d\x30\x1b\x06\x03\x55\x04\x03\x0c\x14countersign identity";

/// 2000-01-01T00:00:00Z, after 1970.
const NOT_BEFORE: Duration = Duration::from_secs(946_684_800);

/// The keys that distinguish the certificates of identities.
pub(super) struct Keys {
    pub(super) signing: VerifyingKey,
    pub(super) agreement: AgreementPublic,
}

/// `Certificate` of RFC 5280, section 4.1.
#[derive(Sequence)]
struct Signed {
    tbs: ToBeSigned,
    algorithm: AlgorithmIdentifier,
    signature: BitString,
}

/// The fields of `TBSCertificate` (RFC 5280, section 4.1) that our certificates have.
#[derive(Sequence)]
struct ToBeSigned {
    #[asn1(context_specific = "0")]
    version: Version,
    serial: SerialNumber,
    algorithm: AlgorithmIdentifier,
    issuer: Name,
    validity: Validity,
    subject: Name,
    key: SubjectPublicKeyInfo,
    #[asn1(context_specific = "3")]
    extensions: Extensions,
}

impl ToBeSigned {
    fn new(keys: &Keys) -> der::Result<Self> {
        Ok(Self {
            version: Version::V3,
            serial: serial(keys.signing)?,
            algorithm: algorithm(),
            issuer: Name::from_der(NAME)?,
            validity: Validity::new(
                Time::UtcTime(UtcTime::from_unix_duration(NOT_BEFORE)?),
                Time::INFINITY,
            ),
            subject: Name::from_der(NAME)?,
            key: SubjectPublicKeyInfo {
                algorithm: algorithm(),
                subject_public_key: BitString::from_bytes(&keys.signing.0)?,
            },
            extensions: vec![Extension {
                extn_id: AGREEMENT_KEY,
                critical: false,
                extn_value: OctetString::new(OctetStringRef::new(&keys.agreement.0)?.to_der()?)?,
            }],
        })
    }
}

/// The signed part of the certificate.
pub(super) fn to_be_signed(keys: &Keys) -> der::Result<Vec<u8>> {
    ToBeSigned::new(keys)?.to_der()
}

/// The complete certificate.
pub(super) fn certificate(keys: &Keys, signature: Signature) -> der::Result<Vec<u8>> {
    let signed = Signed {
        tbs: ToBeSigned::new(keys)?,
        algorithm: algorithm(),
        signature: BitString::from_bytes(&signature.0)?,
    };
    signed.to_der()
}

/// Extracts the two keys of a certificate in any form.
pub(super) fn keys(certificate: &x509_cert::Certificate) -> Result<Keys, CertificateError> {
    let tbs = certificate.tbs_certificate();
    let key = tbs.subject_public_key_info();
    if key.algorithm.oid != ED25519 {
        return Err(CertificateError::NotEd25519);
    }
    let signing = key
        .subject_public_key
        .as_bytes()
        .and_then(|bytes| bytes.try_into().ok())
        .map(VerifyingKey)
        .ok_or(CertificateError::NotEd25519)?;
    let agreement = tbs
        .extensions()
        .into_iter()
        .flatten()
        .find(|extension| extension.extn_id == AGREEMENT_KEY)
        .and_then(|extension| <&OctetStringRef>::from_der(extension.extn_value.as_bytes()).ok())
        .and_then(|octets| octets.as_bytes().try_into().ok())
        .map(AgreementPublic)
        .ok_or(CertificateError::NoAgreementKey)?;
    Ok(Keys { signing, agreement })
}

/// RFC 8410, section 3: the parameters are absent.
fn algorithm() -> AlgorithmIdentifier {
    AlgorithmIdentifier {
        oid: ED25519,
        parameters: None,
    }
}

/// 128 bits of the key's digest. The two top bits make the number positive and its length constant.
fn serial(key: VerifyingKey) -> der::Result<SerialNumber> {
    let [first, rest @ ..] = sha256(&key.0);
    let mut serial = vec![first & 0x3f | 0x40];
    serial.extend(rest.iter().take(15));
    SerialNumber::new(&serial)
}
