//! Heads of audit logs and receipts from any bytes: what is read is written as the same, and no
//! change of what is signed verifies.

use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::peer::{AuditReceipt, SignedAuditHead, WitnessedHead};

pub(super) fn run(bytes: &[u8]) {
    // The key of the seeds is another one.
    let key = SiteKey::from_seed(SiteSeed(Secret::from_bytes([1; 32])));
    if let Ok(head) = SignedAuditHead::from_bytes(bytes) {
        assert_eq!(head.to_bytes(), bytes);
        assert_eq!(SignedAuditHead::try_from(String::from(head)), Ok(head));
        assert!(head.verify(&key.public().signing).is_err());
        let again = SignedAuditHead::new(*head.head(), &key);
        assert!(again.verify(&key.public().signing).is_ok());
        let receipt = AuditReceipt::new(&head, (head.head().site, 0), &key, 0);
        assert!(receipt.is_for(&head) && !receipt.is_for(&again));
    }
    if let Ok(receipt) = AuditReceipt::from_bytes(bytes) {
        assert_eq!(receipt.to_bytes(), bytes);
        assert_eq!(AuditReceipt::try_from(String::from(receipt)), Ok(receipt));
        assert!(receipt.verify(&key.public().signing).is_err());
    }
    if let Ok(witnessed) = serde_json::from_slice::<WitnessedHead>(bytes) {
        let text = serde_json::to_vec(&witnessed).unwrap();
        let again: WitnessedHead = serde_json::from_slice(&text).unwrap();
        assert_eq!(again, witnessed);
    }
}
