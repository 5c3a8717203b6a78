//! Formats of RSA keys: algorithm identifiers, and conversion from PKCS #1 to formats that contain
//! one.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, SecretDocument};
use pkcs8::spki::SubjectPublicKeyInfoRef;
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};

use super::RsaKeyError;
use crate::oid::{RSA_ENCRYPTION, RSASSA_PSS};

/// RFC 8017, appendix A.1: the parameters are NULL.
const PLAIN: AlgorithmIdentifierRef<'static> = AlgorithmIdentifierRef {
    oid: RSA_ENCRYPTION,
    parameters: Some(AnyRef::NULL),
};

pub(super) fn algorithm_of_spki(spki: &[u8]) -> Option<ObjectIdentifier> {
    let read = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    Some(read.algorithm.oid)
}

pub(super) fn algorithm_of_pkcs8(document: &SecretDocument) -> Option<ObjectIdentifier> {
    let read: PrivateKeyInfoRef<'_> = document.decode_msg().ok()?;
    Some(read.algorithm.oid)
}

/// Checks that a key with this algorithm supports all operations of edition v1.
pub(super) fn check_algorithm(algorithm: Option<ObjectIdentifier>) -> Result<(), RsaKeyError> {
    match algorithm {
        Some(RSA_ENCRYPTION) => Ok(()),
        Some(RSASSA_PSS) => Err(RsaKeyError::PssOnly),
        _ => Err(RsaKeyError::NotRsa),
    }
}

/// Converts a public key from PKCS #1 to `SubjectPublicKeyInfo`.
pub(super) fn spki(pkcs1: &[u8]) -> der::Result<Vec<u8>> {
    SubjectPublicKeyInfoRef {
        algorithm: PLAIN,
        subject_public_key: BitStringRef::from_bytes(pkcs1)?,
    }
    .to_der()
}

/// Converts a private key from PKCS #1 to PKCS #8.
pub(super) fn pkcs8(pkcs1: &SecretDocument) -> der::Result<SecretDocument> {
    let key = OctetStringRef::new(pkcs1.as_bytes())?;
    SecretDocument::encode_msg(&PrivateKeyInfoRef::new(PLAIN, key))
}
