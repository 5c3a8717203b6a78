//! Heads of audit logs that peers saw.

use countersign_core::peers::{LogSide, MAX_HEADS, Peer};
use countersign_core::store::{Change, PeerChange, StoreError, Thing};
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::peer::{AuditHead, AuditReceipt, SignedAuditHead, WitnessedHead};
use countersign_proto::site_identity::SiteId;

use super::StoreUnderTest;
use super::peers::{NO_PEER, ada, insert, peer, removed, update};
use super::sample::commit;

fn head(peer: &Peer, seq: u64, hash: u8, seen: i64) -> WitnessedHead {
    let key = SiteKey::from_seed(SiteSeed(Secret::from_bytes([1; 32])));
    let head = AuditHead {
        site: peer.site(),
        event: 0,
        seq,
        hash: [hash; 32],
        time: 0,
    };
    let head = SignedAuditHead::new(head, &key);
    let receipt = AuditReceipt::new(&head, (SiteId([9; 32]), 0), &key, seen);
    WitnessedHead { head, receipt }
}

fn witness(peer: &Peer, side: LogSide, head: WitnessedHead) -> Change {
    Change::Peer(PeerChange::Witness {
        peer: peer.site(),
        side,
        head: Box::new(head),
        revision: None,
    })
}

// PEER-31
pub async fn the_newest_heads_of_each_side_of_a_peer_are_kept(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let one = peer(1, "b.example", &ada);
    let own = |seq, hash| witness(&one, LogSide::Own, head(&one, seq, hash, 0));
    assert_eq!(commit(&*store, [own(1, 1)]).await, Err(NO_PEER));
    commit(&*store, [insert(&one)]).await.unwrap();
    let most = u64::from(MAX_HEADS);
    // Of the first two days, the newest head each is kept.
    let of_day = |seq, day: i64| witness(&one, LogSide::Own, head(&one, seq, 1, day * 86_400_000));
    let days = [of_day(1, 1), of_day(2, 1), of_day(3, 2), of_day(4, 2)];
    commit(&*store, days).await.unwrap();
    let at = 3 * 86_400_000;
    let own = |seq, hash| witness(&one, LogSide::Own, head(&one, seq, hash, at));
    let many: Vec<_> = (5..=most).map(|seq| own(seq, 1)).collect();
    commit(&*store, many).await.unwrap();
    // Another head of this site with the number of a stored one is evidence, and is kept beside it.
    commit(&*store, [own(most, 2)]).await.unwrap();
    let newest = most - 190;
    let heads = |limit| store.audit_heads(one.site(), LogSide::Own, limit);
    let stored = heads(u32::MAX).await.unwrap();
    let numbers: Vec<_> = stored.iter().map(|head| head.head.head().seq).collect();
    let expected: Vec<_> = [2, 4]
        .into_iter()
        .chain(newest..=most)
        .chain([most])
        .collect();
    assert_eq!(numbers, expected);
    let newest = heads(2).await.unwrap();
    assert_eq!(newest, stored[stored.len() - 2..]);

    commit(&*store, [update(&removed(&one))]).await.unwrap();
    let (site, revision) = (one.site(), 2);
    let forget = Change::Peer(PeerChange::Forget { site, revision });
    commit(&*store, [forget]).await.unwrap();
    assert_eq!(heads(9).await.unwrap(), []);
}

// PEER-28
pub async fn of_two_heads_of_a_peer_with_one_number_one_is_stored(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let one = peer(1, "b.example", &ada);
    commit(&*store, [insert(&one)]).await.unwrap();
    let put = |seq, hash, seen| witness(&one, LogSide::Peer, head(&one, seq, hash, seen));
    let stale = Err(StoreError::Stale {
        what: Thing::AuditHead,
    });
    commit(&*store, [put(7, 1, 10)]).await.unwrap();
    for (seq, hash) in [(7, 2), (7, 1), (6, 1)] {
        assert_eq!(commit(&*store, [put(seq, hash, 11)]).await, stale);
    }
    // The log of this site does not matter.
    let own = witness(&one, LogSide::Own, head(&one, 9, 1, 10));
    commit(&*store, [own, put(8, 1, 12)]).await.unwrap();

    let peer = one.site();
    let void = |newest, void: &[u64]| {
        let void = void.to_vec();
        Change::Peer(PeerChange::VoidHeads { peer, newest, void })
    };
    // A head was stored since the decision.
    for newest in [None, Some(7)] {
        assert_eq!(commit(&*store, [void(newest, &[7])]).await, stale);
    }
    commit(&*store, [void(Some(8), &[8, 9])]).await.unwrap();
    let left = store.audit_heads(peer, LogSide::Peer, 9).await.unwrap();
    assert_eq!(left, [head(&one, 7, 1, 10)]);
    let own = store.audit_heads(peer, LogSide::Own, 9).await.unwrap();
    assert_eq!(own.len(), 1);
    commit(&*store, [put(8, 2, 13)]).await.unwrap();
    commit(&*store, [void(Some(8), &[8, 7])]).await.unwrap();
    commit(&*store, [void(None, &[])]).await.unwrap();
}

/// A thief of a peer's key sent a head at the moment at which the peer's new key was followed. It was
/// decided with the old key, stored after the heads by that key had been deleted, and stayed.
// PEER-28
pub async fn a_head_that_was_decided_with_a_replaced_key_is_not_stored(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let one = peer(1, "b.example", &ada);
    commit(&*store, [insert(&one)]).await.unwrap();
    let put = |side, revision| {
        Change::Peer(PeerChange::Witness {
            peer: one.site(),
            side,
            head: Box::new(head(&one, 7, 1, 10)),
            revision: Some(revision),
        })
    };
    let newer = one.clone().revised(|_| {});
    commit(&*store, [update(&newer)]).await.unwrap();
    let stale = Err(StoreError::Stale {
        what: Thing::AuditHead,
    });
    for side in [LogSide::Peer, LogSide::Own] {
        assert_eq!(commit(&*store, [put(side, one.revision)]).await, stale);
        commit(&*store, [put(side, newer.revision)]).await.unwrap();
    }
}
