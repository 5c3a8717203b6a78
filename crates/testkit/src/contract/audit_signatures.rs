//! Signatures of the site over the audit log.

use std::sync::Arc;

use countersign_core::audit::{ChainHead, MAX_SIGNATURES};
use countersign_core::store::{Change, ChangeSet, Effects, Observer};
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::peer::{AuditHead, SignedAuditHead};
use countersign_proto::site_identity::SiteId;

use super::StoreUnderTest;
use super::sample::{commit, commit_nothing, person};

/// Signs the end of the log after each set, as a site does after some.
struct Signer(SiteKey);

impl Observer for Signer {
    fn committed(&self, _: &ChangeSet) -> Effects {
        Effects::default()
    }

    fn sign(&self, _: &ChangeSet, end: ChainHead) -> Option<SignedAuditHead> {
        let head = AuditHead {
            site: SiteId([7; 32]),
            event: 0,
            seq: end.seq,
            hash: end.hash,
            time: 0,
        };
        Some(SignedAuditHead::new(head, &self.0))
    }
}

pub async fn a_signature_is_stored_with_the_entry_that_it_covers(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    commit_nothing(&*store).await.unwrap();
    assert_eq!(store.audit_signatures(9).await.unwrap(), []);
    let key = SiteKey::from_seed(SiteSeed(Secret::from_bytes([1; 32])));
    store.observe(Arc::new(Signer(key)));
    let ada = person("ada@example.org");
    let insert = || Change::InsertAccount(ada.clone());
    commit(&*store, [insert()]).await.unwrap();
    let end = store.audit_head().await.unwrap();
    // A set that fails has no entry and no signature.
    commit(&*store, [insert()]).await.unwrap_err();
    let stored = store.audit_signatures(9).await.unwrap();
    assert_eq!(stored.len(), 1);
    let signed = stored[0].head.unwrap();
    assert_eq!((signed.head().seq, signed.head().hash), (end.seq, end.hash));

    for _ in 0..MAX_SIGNATURES {
        commit_nothing(&*store).await.unwrap();
    }
    let again = under_test.open().await;
    let kept = again.audit_signatures(u32::MAX).await.unwrap();
    let numbers: Vec<_> = kept.iter().map(|signed| signed.seq).collect();
    let last = again.audit_head().await.unwrap().seq;
    let newest_first: Vec<_> = (0..u64::from(MAX_SIGNATURES)).map(|n| last - n).collect();
    assert_eq!(numbers, newest_first);
    assert_eq!(again.audit_signatures(1).await.unwrap(), kept[..1]);
}
