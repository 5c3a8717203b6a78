//! A signature of the site over its audit log, as it is stored.

use countersign_proto::peer::SignedAuditHead;

/// A stored signature over the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSignature {
    /// The number of the entry under which it is stored.
    pub seq: u64,
    /// The signed head. `None` if it cannot be read or has another number, which shows that the
    /// database was changed.
    pub head: Option<SignedAuditHead>,
}

impl StoredSignature {
    /// Reads what is stored under a number.
    #[must_use]
    pub fn read(seq: u64, head: &[u8]) -> Self {
        let head = SignedAuditHead::from_bytes(head).ok();
        let head = head.filter(|signed| signed.head().seq == seq);
        Self { seq, head }
    }
}

impl From<SignedAuditHead> for StoredSignature {
    fn from(signed: SignedAuditHead) -> Self {
        Self {
            seq: signed.head().seq,
            head: Some(signed),
        }
    }
}
