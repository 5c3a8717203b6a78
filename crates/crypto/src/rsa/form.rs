//! The forms that RSA keys come in: which algorithm one names, and PKCS #1 within the forms that name one.

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

/// Whether a key of this algorithm does all that edition v1 asks of it.
pub(super) fn check_algorithm(algorithm: Option<ObjectIdentifier>) -> Result<(), RsaKeyError> {
    match algorithm {
        Some(RSA_ENCRYPTION) => Ok(()),
        Some(RSASSA_PSS) => Err(RsaKeyError::PssOnly),
        _ => Err(RsaKeyError::NotRsa),
    }
}

/// A `SubjectPublicKeyInfo` of a public key of PKCS #1.
pub(super) fn spki(pkcs1: &[u8]) -> der::Result<Vec<u8>> {
    SubjectPublicKeyInfoRef {
        algorithm: PLAIN,
        subject_public_key: BitStringRef::from_bytes(pkcs1)?,
    }
    .to_der()
}

/// A private key of PKCS #1 as PKCS #8.
pub(super) fn pkcs8(pkcs1: &SecretDocument) -> der::Result<SecretDocument> {
    let key = OctetStringRef::new(pkcs1.as_bytes())?;
    SecretDocument::encode_msg(&PrivateKeyInfoRef::new(PLAIN, key))
}
