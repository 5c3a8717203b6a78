//! The one form of a device's public key, and the checks of its point.

use curve25519_dalek::edwards::CompressedEdwardsY;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode};
use pkcs8::AlgorithmIdentifierRef;
use pkcs8::spki::SubjectPublicKeyInfoRef;

use super::{DeviceAlgorithm, DeviceKeyError, p256};
use crate::oid::{EC_PUBLIC_KEY, ED25519, P256};

/// SEC 1, section 2.3.3: the first byte of a point that is not compressed.
const UNCOMPRESSED: u8 = 4;
/// That byte and both coordinates of a point of P-256.
const P256_POINT: usize = 1 + 32 + 32;

/// The algorithm of a `SubjectPublicKeyInfo`, and its point, which is not checked.
pub(super) fn parts(spki: &[u8]) -> Result<(DeviceAlgorithm, &[u8]), DeviceKeyError> {
    let read = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| DeviceKeyError::NotSpki)?;
    let algorithm = match read.algorithm.oid {
        ED25519 => DeviceAlgorithm::Ed25519,
        EC_PUBLIC_KEY => curve(read.algorithm.parameters)?,
        _ => return Err(DeviceKeyError::Unsupported),
    };
    let point = read.subject_public_key.as_bytes();
    Ok((algorithm, point.ok_or(DeviceKeyError::NotCanonical)?))
}

fn curve(parameters: Option<AnyRef<'_>>) -> Result<DeviceAlgorithm, DeviceKeyError> {
    let named = parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match named {
        Some(P256) if !cfg!(target_arch = "wasm32") => Ok(DeviceAlgorithm::EcdsaP256),
        Some(_) => Err(DeviceKeyError::Unsupported),
        // A curve that is spelled out may have any generator (CVE-2020-0601): it is not compared.
        None => Err(DeviceKeyError::NotCanonical),
    }
}

/// Checks what a `SubjectPublicKeyInfo` of that algorithm has for a point.
pub(super) fn check_point(algorithm: DeviceAlgorithm, point: &[u8]) -> Result<(), DeviceKeyError> {
    match algorithm {
        DeviceAlgorithm::Ed25519 => check_ed25519(point),
        DeviceAlgorithm::EcdsaP256 => check_p256(point),
    }
}

/// On the curve, in its one encoding, and of the order of the base point. A point of small order
/// "verifies" signatures that an attacker makes without a private key, and a point with a part of
/// small order added is a second name of the same key.
fn check_ed25519(point: &[u8]) -> Result<(), DeviceKeyError> {
    let encoded = CompressedEdwardsY::from_slice(point).map_err(|_| DeviceKeyError::BadPoint)?;
    let point = encoded.decompress().ok_or(DeviceKeyError::BadPoint)?;
    let sound = point.compress() == encoded && !point.is_small_order() && point.is_torsion_free();
    sound.then_some(()).ok_or(DeviceKeyError::BadPoint)
}

fn check_p256(point: &[u8]) -> Result<(), DeviceKeyError> {
    match point {
        [UNCOMPRESSED, ..] if point.len() == P256_POINT => {}
        [2 | 3, ..] => return Err(DeviceKeyError::NotCanonical),
        _ => return Err(DeviceKeyError::BadPoint),
    }
    match p256::is_on_curve(point) {
        true => Ok(()),
        false => Err(DeviceKeyError::BadPoint),
    }
}

/// The one form of a key with this point.
pub(super) fn spki(algorithm: DeviceAlgorithm, point: &[u8]) -> der::Result<Vec<u8>> {
    SubjectPublicKeyInfoRef {
        algorithm: identifier(algorithm),
        subject_public_key: BitStringRef::from_bytes(point)?,
    }
    .to_der()
}

fn identifier(algorithm: DeviceAlgorithm) -> AlgorithmIdentifierRef<'static> {
    match algorithm {
        DeviceAlgorithm::Ed25519 => AlgorithmIdentifierRef {
            oid: ED25519,
            parameters: None,
        },
        DeviceAlgorithm::EcdsaP256 => AlgorithmIdentifierRef {
            oid: EC_PUBLIC_KEY,
            parameters: Some((&P256).into()),
        },
    }
}
