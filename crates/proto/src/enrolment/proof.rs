//! The proof that a device holds the private key that it presents.

use std::fmt;

use countersign_crypto::device_key::{DeviceKey, DeviceKeyError};
use countersign_crypto::sign::BadSignature;

use super::TokenHash;

/// The label of the TLS exporter (RFC 8446, section 7.5), used without a context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-countersign-enrolment";

/// What the signature is for, so that no signature made for another purpose is a proof.
const PURPOSE: &[u8] = b"countersign enrolment 1\0";
/// The purpose of a proof for a pass phrase.
const PASSPHRASE_PURPOSE: &[u8] = b"countersign pass phrase 1\0";

/// 32 bytes that the two ends of one TLS connection share and no other connection has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Exporter(pub [u8; 32]);

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter(..)")
    }
}

/// What a proof signs, for an id as it stands in the request and a key as `SubjectPublicKeyInfo`.
#[must_use]
pub fn proof_input(exporter: &Exporter, token: &TokenHash, id: &str, key: &[u8]) -> Vec<u8> {
    input(PURPOSE, exporter, token, [id.as_bytes(), key])
}

/// What the proof of a request for a pass phrase signs. `request` is the OPAQUE registration
/// request.
#[must_use]
pub fn passphrase_proof_input(
    exporter: &Exporter,
    token: &TokenHash,
    id: &str,
    key: &[u8],
    request: &[u8],
) -> Vec<u8> {
    let parts = [id.as_bytes(), key, request];
    input(PASSPHRASE_PURPOSE, exporter, token, parts)
}

fn input<const N: usize>(
    purpose: &[u8],
    exporter: &Exporter,
    token: &TokenHash,
    parts: [&[u8]; N],
) -> Vec<u8> {
    let mut input = [purpose, &exporter.0, &token.0].concat();
    for part in parts {
        // No part is longer than a request, so that each length fits 16 bits.
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        input.extend(length.to_be_bytes());
        input.extend(part);
    }
    input
}

/// A public key. The client proved on this connection that it holds the private key. Only
/// [`EnrolmentRequest::verify`](super::EnrolmentRequest::verify) and
/// [`RegistrationRequest::verify`](super::passphrase::RegistrationRequest::verify) make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenKey(DeviceKey);

impl ProvenKey {
    pub(super) fn new(key: DeviceKey) -> Self {
        Self(key)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &DeviceKey {
        &self.0
    }

    /// The key.
    #[must_use]
    pub fn into_key(self) -> DeviceKey {
        self.0
    }
}

/// Why a request proves nothing. With a right token it spends the ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// The key is none that a device may have.
    #[error(transparent)]
    Key(#[from] DeviceKeyError),
    /// The signature is not by that key over this connection, token and id.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// A person's own key is an Ed25519 key; this is another one.
    #[error("a person's key must be an Ed25519 key")]
    NotEd25519,
}
