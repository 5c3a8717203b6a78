//! Void tickets of which peers are to be told.

use countersign_core::peers::{MAX_VOID_AT_PEER, VoidAtPeer};
use countersign_core::store::{Change, PeerChange};
use countersign_proto::broker::v2::limits::MAX_FOREIGN_TICKET;
use countersign_proto::site_identity::SiteId;

use super::StoreUnderTest;
use super::peers::{ada, insert, peer};
use super::sample::{NOW, commit};

pub async fn void_tickets_wait_until_the_peer_was_told_or_they_have_ended(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let (one, two) = (peer(1, "b.example", &ada), peer(2, "c.example", &ada));
    commit(&*store, [insert(&one), insert(&two)]).await.unwrap();
    let void = |peer: SiteId, number: usize, after: u64| VoidAtPeer {
        peer,
        consumer: format!("app{number}@a.example").parse().unwrap(),
        at: NOW.plus_millis(after),
    };
    let put_all = |voids: &[VoidAtPeer]| Change::Peer(PeerChange::Void(voids.into()));
    let put = |void: &VoidAtPeer| put_all(std::slice::from_ref(void));
    let (of_one, of_two) = (void(one.site(), 1, 0), void(two.site(), 1, 0));
    // A site that is no peer is never told.
    let unknown = void(SiteId([9; 32]), 1, 0);
    let all = put_all(&[of_one.clone(), of_two.clone(), unknown]);
    commit(&*store, [all]).await.unwrap();
    let again = under_test.open().await;
    let stored = async || {
        let mut stored = again.void_at_peers().await.unwrap();
        stored.sort();
        stored
    };
    let mut both = [of_one.clone(), of_two.clone()];
    both.sort();
    assert_eq!(stored().await, both);

    // Tickets that became void again stay when the peer was told of the earlier ones.
    let later = void(one.site(), 1, 1);
    let told = Change::Peer(PeerChange::ToldVoid(vec![of_one, of_two]));
    commit(&*again, [put(&later), told]).await.unwrap();
    assert_eq!(stored().await, [later]);
    let ended = void(two.site(), 1, 1 + MAX_FOREIGN_TICKET);
    commit(&*again, [put(&ended)]).await.unwrap();
    assert_eq!(stored().await, std::slice::from_ref(&ended));

    // One of them waits already.
    let after = 2 + MAX_FOREIGN_TICKET;
    let many = (1..=MAX_VOID_AT_PEER + 1).map(|number| void(two.site(), number, after));
    let many: Vec<_> = many.collect();
    commit(&*again, [put_all(&many)]).await.unwrap();
    let stored = stored().await;
    assert_eq!(stored.len(), MAX_VOID_AT_PEER);
    assert!(stored.contains(&many[0]));
    assert!(stored.iter().all(|one| one.at == NOW.plus_millis(after)));
}
