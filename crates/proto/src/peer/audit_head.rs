//! Heads of audit logs: a site signs the end of its log, and its peer countersigns it.
//!
//! ```text
//! head    = site id (32) | key event (8) | number (8) | hash (32) | time (8) | signature (64)
//! receipt = witness's site id (32) | key event (8) | digest of the head (32) | time (8)
//!           | signature (64)
//! ```
//!
//! Numbers are big-endian; times are milliseconds since 1970 UTC. Each signature covers a label and
//! the bytes before it.

use countersign_crypto::hash::sha256;
use countersign_crypto::sign::{BadSignature, Signature, VerifyingKey};
use countersign_crypto::site_key::SiteKey;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::site_identity::SiteId;

const HEAD_LABEL: &[u8] = b"countersign audit head 1\0";
const RECEIPT_LABEL: &[u8] = b"countersign audit receipt 1\0";
const HEAD_BODY: usize = 88;
const RECEIPT_BODY: usize = 80;
/// The greatest number of an entry, which databases can store.
const MAX_SEQ: u64 = i64::MAX as u64;

/// The end of a site's audit log, as the site states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// The site whose log it is.
    pub site: SiteId,
    /// The number of the key event whose key signs.
    pub event: u64,
    /// The number of the last entry, from 1 on.
    pub seq: u64,
    /// The hash of that entry.
    pub hash: [u8; 32],
    /// When the site signed it, in milliseconds since 1970 UTC.
    pub time: i64,
}

/// A head with its signature, which is not verified yet. Its text is base64url without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignedAuditHead {
    head: AuditHead,
    signature: Signature,
}

/// The statement of a peer that it saw a head, with a signature that is not verified yet. Its text
/// is base64url without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuditReceipt {
    /// The peer that saw the head.
    pub witness: SiteId,
    /// The number of the peer's key event whose key signs.
    pub event: u64,
    /// When the peer saw it, in milliseconds since 1970 UTC, by the peer's clock.
    pub time: i64,
    head: [u8; 32],
    signature: Signature,
}

/// A head with the receipt of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessedHead {
    /// The head.
    pub head: SignedAuditHead,
    /// The receipt for it.
    pub receipt: AuditReceipt,
}

/// The bytes or the text are no head and no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a head of an audit log of 152 bytes, or a receipt of 144 bytes")]
pub struct BadAuditHead;

impl AuditHead {
    fn body(&self) -> Vec<u8> {
        [
            &self.site.0[..],
            &self.event.to_be_bytes(),
            &self.seq.to_be_bytes(),
            &self.hash,
            &self.time.to_be_bytes(),
        ]
        .concat()
    }
}

impl SignedAuditHead {
    /// The number of bytes.
    pub const LENGTH: usize = HEAD_BODY + 64;

    /// Signs a head with the key of the event that it names.
    #[must_use]
    pub fn new(head: AuditHead, key: &SiteKey) -> Self {
        let signature = key.sign(&[HEAD_LABEL, &head.body()].concat());
        Self { head, signature }
    }

    /// The head.
    #[must_use]
    pub const fn head(&self) -> &AuditHead {
        &self.head
    }

    /// Verifies the signature by a key of the site.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), BadSignature> {
        let signed = [HEAD_LABEL, &self.head.body()].concat();
        key.verify(&signed, &self.signature)
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.head.body()[..], &self.signature.0].concat()
    }

    /// Reads a head from exactly its bytes.
    ///
    /// # Errors
    /// [`BadAuditHead`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadAuditHead> {
        let read = || {
            let (site, rest) = bytes.split_first_chunk()?;
            let (event, rest) = rest.split_first_chunk()?;
            let (seq, rest) = rest.split_first_chunk()?;
            let (hash, rest) = rest.split_first_chunk()?;
            let (time, rest) = rest.split_first_chunk()?;
            let signature = rest.try_into().ok()?;
            let seq = u64::from_be_bytes(*seq);
            (1..=MAX_SEQ).contains(&seq).then_some(Self {
                head: AuditHead {
                    site: SiteId(*site),
                    event: u64::from_be_bytes(*event),
                    seq,
                    hash: *hash,
                    time: i64::from_be_bytes(*time),
                },
                signature: Signature(signature),
            })
        };
        read().ok_or(BadAuditHead)
    }

    fn digest(&self) -> [u8; 32] {
        sha256(&self.to_bytes())
    }
}

impl AuditReceipt {
    /// The number of bytes.
    pub const LENGTH: usize = RECEIPT_BODY + 64;

    /// States that `witness` saw a head at `time`. `event` is the number of the witness's key event
    /// with `key`.
    #[must_use]
    pub fn new(
        head: &SignedAuditHead,
        (witness, event): (SiteId, u64),
        key: &SiteKey,
        time: i64,
    ) -> Self {
        let mut receipt = Self {
            witness,
            event,
            time,
            head: head.digest(),
            signature: Signature([0; 64]),
        };
        receipt.signature = key.sign(&receipt.signed());
        receipt
    }

    /// Whether it is for that head. The signature is verified by [`AuditReceipt::verify`].
    #[must_use]
    pub fn is_for(&self, head: &SignedAuditHead) -> bool {
        self.head == head.digest()
    }

    /// Verifies the signature by a key of the witness.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), BadSignature> {
        key.verify(&self.signed(), &self.signature)
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.body()[..], &self.signature.0].concat()
    }

    /// Reads a receipt from exactly its bytes.
    ///
    /// # Errors
    /// [`BadAuditHead`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadAuditHead> {
        let read = || {
            let (witness, rest) = bytes.split_first_chunk()?;
            let (event, rest) = rest.split_first_chunk()?;
            let (head, rest) = rest.split_first_chunk()?;
            let (time, rest) = rest.split_first_chunk()?;
            let signature = rest.try_into().ok()?;
            Some(Self {
                witness: SiteId(*witness),
                event: u64::from_be_bytes(*event),
                time: i64::from_be_bytes(*time),
                head: *head,
                signature: Signature(signature),
            })
        };
        read().ok_or(BadAuditHead)
    }

    fn body(&self) -> Vec<u8> {
        [
            &self.witness.0[..],
            &self.event.to_be_bytes(),
            &self.head,
            &self.time.to_be_bytes(),
        ]
        .concat()
    }

    fn signed(&self) -> Vec<u8> {
        [RECEIPT_LABEL, &self.body()].concat()
    }
}

fn bytes_of(text: &str) -> Result<Vec<u8>, BadAuditHead> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
    bytes.map_err(|_| BadAuditHead)
}

impl TryFrom<String> for SignedAuditHead {
    type Error = BadAuditHead;

    fn try_from(text: String) -> Result<Self, BadAuditHead> {
        Self::from_bytes(&bytes_of(&text)?)
    }
}

impl From<SignedAuditHead> for String {
    fn from(head: SignedAuditHead) -> Self {
        BASE64URL_NOPAD.encode(&head.to_bytes())
    }
}

impl TryFrom<String> for AuditReceipt {
    type Error = BadAuditHead;

    fn try_from(text: String) -> Result<Self, BadAuditHead> {
        Self::from_bytes(&bytes_of(&text)?)
    }
}

impl From<AuditReceipt> for String {
    fn from(receipt: AuditReceipt) -> Self {
        BASE64URL_NOPAD.encode(&receipt.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::secret::Secret;
    use countersign_crypto::site_key::SiteSeed;

    use super::*;

    fn key(byte: u8) -> SiteKey {
        SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
    }

    fn head() -> SignedAuditHead {
        let head = AuditHead {
            site: SiteId([1; 32]),
            event: 2,
            seq: 3,
            hash: [4; 32],
            time: 5,
        };
        SignedAuditHead::new(head, &key(1))
    }

    fn receipt() -> AuditReceipt {
        AuditReceipt::new(&head(), (SiteId([6; 32]), 7), &key(2), 8)
    }

    // PEER-26
    #[test]
    fn a_head_or_receipt_changed_anywhere_does_not_verify() {
        let (signer, witness) = (key(1).public().signing, key(2).public().signing);
        let text = String::from(head());
        assert_eq!(SignedAuditHead::try_from(text), Ok(head()));
        assert_eq!(head().verify(&signer), Ok(()));
        let bytes = head().to_bytes();
        for at in 0..SignedAuditHead::LENGTH {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let changed = SignedAuditHead::from_bytes(&bytes);
            let verified = changed.map(|head| head.verify(&signer));
            assert!(!matches!(verified, Ok(Ok(()))), "byte {at}");
            assert!(changed.map_or(true, |head| !receipt().is_for(&head)));
        }
        assert_eq!(receipt().verify(&witness), Ok(()));
        assert!(receipt().is_for(&head()));
        let text = String::from(receipt());
        assert_eq!(AuditReceipt::try_from(text), Ok(receipt()));
        for at in 0..AuditReceipt::LENGTH {
            let mut bytes = receipt().to_bytes();
            bytes[at] ^= 1;
            let changed = AuditReceipt::from_bytes(&bytes).unwrap();
            assert_eq!(changed.verify(&witness), Err(BadSignature), "byte {at}");
        }
    }

    // PEER-26
    #[test]
    fn bytes_of_another_length_and_impossible_numbers_are_no_head() {
        let bytes = head().to_bytes();
        for length in [0, 87, 88, 151] {
            let cut = SignedAuditHead::from_bytes(&bytes[..length]);
            assert_eq!(cut, Err(BadAuditHead));
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(SignedAuditHead::from_bytes(&longer), Err(BadAuditHead));
        for number in [0, u64::MAX] {
            let mut bytes = bytes.clone();
            bytes[40..48].copy_from_slice(&number.to_be_bytes());
            assert_eq!(SignedAuditHead::from_bytes(&bytes), Err(BadAuditHead));
        }
        let cut = AuditReceipt::from_bytes(&receipt().to_bytes()[..143]);
        assert_eq!(cut, Err(BadAuditHead));
    }
}
