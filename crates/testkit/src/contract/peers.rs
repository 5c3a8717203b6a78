//! Peers, and the messages between their people.

use countersign_core::accounts::{Account, State};
use countersign_core::id::MessageId;
use countersign_core::page::Page;
use countersign_core::peers::{
    InboxMessage, Introduction, OutboxMessage, Peer, PeerPermission, PeerState, SealedText,
    SendState,
};
use countersign_core::store::{
    Change, LastReceived, PeerChange, Store, StoreError, Thing, Unique, Withheld,
};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::site_identity::{KnownSite, SignedKeyEvent, SiteId};

use super::StoreUnderTest;
use super::sample::{NOW, commit, name, person};

const STALE_PEER: StoreError = StoreError::Stale { what: Thing::Peer };
pub(super) const NO_PEER: StoreError = StoreError::NotFound { what: Thing::Peer };
const SEEN_BEFORE: StoreError = StoreError::Stale {
    what: Thing::Message,
};
/// Nothing is withheld.
const ALL: Withheld = Withheld {
    accounts: Vec::new(),
    pairs: Vec::new(),
};
const NO_MESSAGE: StoreError = StoreError::NotFound {
    what: Thing::Message,
};

pub(super) fn peer(mark: u8, zone: &str, own: &Account) -> Peer {
    let key = |byte| SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])));
    let first = SignedKeyEvent::first(&key(mark), &key(mark + 100).public(), 0);
    Peer {
        known: KnownSite::whole(&[first]).unwrap(),
        zone: zone.parse().unwrap(),
        host: zone.to_owned(),
        port: 4750,
        introductions: vec![Introduction {
            own: own.id,
            own_name: own.name.clone(),
            other: name(&format!("bob@{zone}")),
            at: NOW,
        }],
        state: PeerState::Active,
        told_address: Some("a.example:4750".to_owned()),
        allows: PeerPermission::ALL.to_vec(),
        joined: NOW,
        last_seen: None,
        sent: 0,
        received: 0,
        revision: 1,
    }
}

pub(super) fn insert(peer: &Peer) -> Change {
    Change::Peer(PeerChange::Insert(Box::new(peer.clone())))
}

pub(super) fn update(peer: &Peer) -> Change {
    Change::Peer(PeerChange::Update(Box::new(peer.clone())))
}

pub(super) fn removed(peer: &Peer) -> Peer {
    let by = "admin".to_owned();
    peer.clone()
        .revised(|peer| peer.state = PeerState::Removed { by, at: NOW })
}

fn outgoing(peer: &Peer, own: &Account, other: &str, text: &str) -> OutboxMessage {
    OutboxMessage {
        id: MessageId::new(NOW, &mut SystemEntropy),
        peer: peer.site(),
        own: own.id,
        other: name(other),
        number: 1_000,
        text: SealedText::from_sealed(text.into()),
        at: NOW,
        state: SendState::Waiting,
    }
}

fn send(message: &OutboxMessage) -> Change {
    Change::Peer(PeerChange::Send(Box::new(message.clone())))
}

fn incoming(peer: &Peer, own: &Account, other: &str, number: u64) -> InboxMessage {
    InboxMessage {
        id: MessageId::new(NOW, &mut SystemEntropy),
        peer: peer.site(),
        other: name(other),
        own: own.id,
        number,
        text: SealedText::from_sealed(format!("message {number}").into()),
        sent: NOW,
        received: NOW.plus_seconds(1),
    }
}

/// A message that arrived after the one with the number `last`.
fn receive(message: &InboxMessage, last: u64) -> Change {
    let message = Box::new(message.clone());
    Change::Peer(PeerChange::Receive { message, last })
}

const fn page<Cursor>(after: Option<Cursor>, limit: u32) -> Page<Cursor> {
    Page { after, limit }
}

pub(super) async fn ada(store: &dyn Store) -> Account {
    let ada = person("ada");
    commit(store, [Change::InsertAccount(ada.clone())])
        .await
        .unwrap();
    ada
}

pub async fn a_peer_is_found_by_its_site_id_and_its_zone(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let (one, two) = (peer(1, "b.example", &ada), peer(2, "c.example", &ada));
    commit(&*store, [insert(&one), insert(&two)]).await.unwrap();
    assert_eq!(store.peer(one.site()).await.unwrap(), Some(one.clone()));
    assert_eq!(store.peer(SiteId([9; 32])).await.unwrap(), None);
    let found = store.peer_of_zone(&two.zone).await.unwrap();
    assert_eq!(found, Some(two.clone()));
    let mut all = [one.clone(), two];
    all.sort_by_key(Peer::site);
    let all = all.map(Ok);
    let after = page(all[0].as_ref().map(Peer::site).ok(), 9);
    assert_eq!(store.peers(&page(None, 9)).await.unwrap(), all);
    assert_eq!(store.peers(&after).await.unwrap(), all[1..]);
    assert_eq!(store.damaged_peer(one.site()).await.unwrap(), None);
    assert_eq!(store.peer_count().await.unwrap(), 2);

    let (site, at) = (one.site(), NOW.plus_seconds(60));
    commit(&*store, [Change::Peer(PeerChange::See { site, at })])
        .await
        .unwrap();
    let seen = store.peer(site).await.unwrap().unwrap();
    assert_eq!((seen.last_seen, seen.revision), (Some(at), 1));
}

pub async fn a_zone_belongs_to_one_peer_until_it_is_removed(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let (one, other) = (peer(1, "b.example", &ada), peer(2, "b.example", &ada));
    commit(&*store, [insert(&one)]).await.unwrap();
    let conflict = |what| Err(StoreError::Conflict { what });
    assert_eq!(
        commit(&*store, [insert(&other)]).await,
        conflict(Unique::PeerZone)
    );
    let again = peer(1, "c.example", &ada);
    assert_eq!(
        commit(&*store, [insert(&again)]).await,
        conflict(Unique::Peer)
    );
    let one = removed(&one);
    commit(&*store, [update(&one)]).await.unwrap();
    assert_eq!(store.peer_of_zone(&one.zone).await.unwrap(), None);
    commit(&*store, [insert(&other)]).await.unwrap();
    let back = one.clone().revised(|peer| peer.state = PeerState::Active);
    assert_eq!(
        commit(&*store, [update(&back)]).await,
        conflict(Unique::PeerZone)
    );
}

pub async fn a_peer_is_changed_at_its_current_revision_only(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let one = peer(1, "b.example", &ada);
    assert_eq!(commit(&*store, [update(&one)]).await, Err(NO_PEER));
    commit(&*store, [insert(&one)]).await.unwrap();
    assert_eq!(commit(&*store, [update(&one)]).await, Err(STALE_PEER));
    let forget = |revision| {
        let site = one.site();
        Change::Peer(PeerChange::Forget { site, revision })
    };
    assert_eq!(commit(&*store, [forget(1)]).await, Err(STALE_PEER));
    let damaged = |site| [Change::Peer(PeerChange::ForgetDamaged(site))];
    let readable = commit(&*store, damaged(one.site()));
    assert_eq!(readable.await, Err(STALE_PEER));
    let unknown = commit(&*store, damaged(SiteId([9; 32])));
    assert_eq!(unknown.await, Err(NO_PEER));
    let gone = removed(&one);
    commit(&*store, [update(&gone)]).await.unwrap();
    assert_eq!(store.peer(one.site()).await.unwrap(), Some(gone));
    assert_eq!(commit(&*store, [forget(1)]).await, Err(STALE_PEER));
    commit(&*store, [forget(2)]).await.unwrap();
    assert_eq!(commit(&*store, [forget(2)]).await, Err(NO_PEER));
    assert_eq!(store.peer_count().await.unwrap(), 0);
}

pub async fn a_message_is_numbered_once_and_leaves_the_outbox_when_it_is_delivered(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let one = peer(1, "b.example", &ada);
    let first = outgoing(&one, &ada, "bob@b.example", "one");
    assert_eq!(commit(&*store, [send(&first)]).await, Err(NO_PEER));
    commit(&*store, [insert(&one)]).await.unwrap();
    let mut second = outgoing(&one, &ada, "bob@b.example", "two");
    commit(&*store, [send(&first)]).await.unwrap();
    commit(&*store, [send(&second)]).await.unwrap();
    // The number that the sender proposes is taken: the next one is assigned.
    second.number = 1_001;
    let waiting = store.waiting_messages(one.site(), &ALL, 9).await.unwrap();
    assert_eq!(waiting, [first.clone(), second.clone()]);
    assert_eq!(store.peers_awaited(&ALL).await.unwrap(), [one.site()]);
    assert_eq!(store.outbox_count(ada.id).await.unwrap(), 2);
    assert_eq!(store.outbox_peers(ada.id).await.unwrap(), [one.site()]);

    let (id, peer) = (first.id, one.site());
    let delivered = || Change::Peer(PeerChange::Delivered { id, peer });
    commit(&*store, [delivered()]).await.unwrap();
    commit(&*store, [delivered()]).await.unwrap();
    let why = "no such person".to_owned();
    let refused = Change::Peer(PeerChange::Undeliverable {
        id: second.id,
        peer,
        why: why.clone(),
        at: NOW,
    });
    commit(&*store, [refused]).await.unwrap();
    second.state = SendState::Refused { why, at: NOW };
    let waiting = store.waiting_messages(peer, &ALL, 9).await.unwrap();
    assert_eq!(waiting, []);
    assert_eq!(store.peers_awaited(&ALL).await.unwrap(), []);
    assert_eq!(store.outbox_peers(ada.id).await.unwrap(), []);
    let outbox = store.outbox(ada.id, &page(None, 9)).await.unwrap();
    assert_eq!(outbox, std::slice::from_ref(&second));
    assert_eq!(store.peer(peer).await.unwrap().unwrap().sent, 1);

    let (id, own) = (second.id, ada.id);
    let discard = || Change::Peer(PeerChange::DiscardSent { id, own });
    commit(&*store, [discard()]).await.unwrap();
    assert_eq!(commit(&*store, [discard()]).await, Err(NO_MESSAGE));
    // The pair's numbers go on.
    let third = outgoing(&one, &ada, "bob@b.example", "three");
    commit(&*store, [send(&third)]).await.unwrap();
    let waiting = store.waiting_messages(peer, &ALL, 9).await.unwrap();
    assert_eq!(waiting[0].number, 1_002);
}

pub async fn a_message_is_received_once_and_in_order(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let one = peer(1, "b.example", &ada);
    let first = incoming(&one, &ada, "bob@b.example", 7);
    assert_eq!(commit(&*store, [receive(&first, 0)]).await, Err(NO_PEER));
    commit(&*store, [insert(&one)]).await.unwrap();
    commit(&*store, [receive(&first, 0)]).await.unwrap();
    for last in [0, 6, 8] {
        let again = incoming(&one, &ada, "bob@b.example", 9);
        let changed = commit(&*store, [receive(&again, last)]).await;
        assert_eq!(changed, Err(SEEN_BEFORE), "{last}");
    }
    let other = incoming(&one, &ada, "eve@b.example", 1);
    commit(&*store, [receive(&other, 0)]).await.unwrap();
    let bob = name("bob@b.example");
    let last = store.last_received(one.site(), &bob, ada.id);
    let expected = LastReceived {
        number: 7,
        recent: vec![first.id],
    };
    assert_eq!(last.await.unwrap(), expected);
    let inbox = store.inbox(ada.id, &page(None, 9)).await.unwrap();
    let messages: Vec<_> = inbox.iter().map(|(_, message)| message.clone()).collect();
    assert_eq!(messages, [first.clone(), other.clone()]);
    let after = page(Some(inbox[0].0), 9);
    assert_eq!(store.inbox(ada.id, &after).await.unwrap(), inbox[1..]);
    assert_eq!(store.inbox_count(ada.id).await.unwrap(), 2);
    assert_eq!(store.peer(one.site()).await.unwrap().unwrap().received, 2);

    let (id, own) = (first.id, ada.id);
    let discard = || Change::Peer(PeerChange::DiscardReceived { id, own });
    commit(&*store, [discard()]).await.unwrap();
    assert_eq!(commit(&*store, [discard()]).await, Err(NO_MESSAGE));
    // A message that was discarded does not come again.
    assert_eq!(
        commit(&*store, [receive(&first, 0)]).await,
        Err(SEEN_BEFORE)
    );
    // The number of the last one may be that of a wrong clock: the next one may have a smaller number.
    let next = incoming(&one, &ada, "bob@b.example", 3);
    commit(&*store, [receive(&next, 7)]).await.unwrap();
    let last = store.last_received(one.site(), &bob, ada.id);
    let expected = LastReceived {
        number: 3,
        recent: vec![next.id, first.id],
    };
    assert_eq!(last.await.unwrap(), expected);
}

pub async fn the_first_message_of_each_pair_waits_before_the_second_of_any(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let one = peer(1, "b.example", &ada);
    commit(&*store, [insert(&one)]).await.unwrap();
    for (other, text) in [
        ("bob@b.example", "1"),
        ("bob@b.example", "2"),
        ("bob@b.example", "3"),
        ("eve@b.example", "4"),
    ] {
        let message = outgoing(&one, &ada, other, text);
        commit(&*store, [send(&message)]).await.unwrap();
    }
    let waiting = store.waiting_messages(one.site(), &ALL, 3).await.unwrap();
    let texts: Vec<_> = waiting
        .iter()
        .map(|message| message.text.as_bytes())
        .collect();
    assert_eq!(texts, [b"1", b"4", b"2"]);
}

/// One person with many recipients filled every batch, and delayed the messages of all others.
pub async fn accounts_take_turns_at_sending_and_what_is_withheld_is_passed_over(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let (ada, bob) = (ada(&*store).await, person("bob"));
    commit(&*store, [Change::InsertAccount(bob.clone())])
        .await
        .unwrap();
    let one = peer(1, "b.example", &ada);
    commit(&*store, [insert(&one)]).await.unwrap();
    for (own, other, text) in [
        (&ada, "p1@b.example", "1"),
        (&ada, "p2@b.example", "2"),
        (&ada, "p1@b.example", "3"),
        (&ada, "p3@b.example", "4"),
        (&bob, "p4@b.example", "5"),
        (&bob, "p4@b.example", "6"),
    ] {
        let message = outgoing(&one, own, other, text);
        commit(&*store, [send(&message)]).await.unwrap();
    }
    let site = one.site();
    let texts = async |withheld: &Withheld| {
        let waiting = store.waiting_messages(site, withheld, 9).await.unwrap();
        let texts = waiting.iter().map(|message| message.text.as_bytes());
        texts.map(String::from_utf8_lossy).collect::<String>()
    };
    assert_eq!(texts(&ALL).await, "152643");
    let of_ada = Withheld {
        accounts: vec![ada.id],
        pairs: Vec::new(),
    };
    assert_eq!(texts(&of_ada).await, "56");
    let pair = |own: &Account, other: &str| (site, own.id, name(other));
    let pairs = Withheld {
        accounts: Vec::new(),
        pairs: vec![pair(&ada, "p1@b.example"), pair(&ada, "p4@b.example")],
    };
    assert_eq!(texts(&pairs).await, "2546");
    let both = Withheld {
        pairs: vec![pair(&bob, "p4@b.example")],
        ..of_ada
    };
    assert_eq!(texts(&both).await, "");
    assert_eq!(store.peers_awaited(&both).await.unwrap(), []);
    assert_eq!(store.peers_awaited(&pairs).await.unwrap(), [site]);
    let locked = bob.revised(NOW, |bob| bob.state = State::Locked);
    commit(&*store, [Change::UpdateAccount(locked)])
        .await
        .unwrap();
    assert_eq!(texts(&ALL).await, "1243");
    let own = ada.id;
    commit(&*store, [Change::Peer(PeerChange::DiscardWaiting { own })])
        .await
        .unwrap();
    assert_eq!(texts(&ALL).await, "");
    assert_eq!(store.outbox_count(ada.id).await.unwrap(), 0);
}

pub async fn a_recipient_is_new_until_a_message_was_accepted(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let ada = ada(&*store).await;
    let one = peer(1, "b.example", &ada);
    commit(&*store, [insert(&one)]).await.unwrap();
    let (peer, bob) = (one.site(), name("bob@b.example"));
    let first = outgoing(&one, &ada, "bob@b.example", "1");
    let other = outgoing(&one, &ada, "eve@b.example", "2");
    commit(&*store, [send(&first), send(&other)]).await.unwrap();
    let new = async || store.new_recipients(peer, ada.id).await.unwrap();
    let has_accepted = async || store.has_accepted(peer, &bob, ada.id).await.unwrap();
    assert_eq!(new().await, [bob.clone(), name("eve@b.example")]);
    assert!(!has_accepted().await);
    let id = first.id;
    commit(&*store, [Change::Peer(PeerChange::Delivered { id, peer })])
        .await
        .unwrap();
    assert!(has_accepted().await);
    let again = outgoing(&one, &ada, "bob@b.example", "3");
    commit(&*store, [send(&again)]).await.unwrap();
    assert_eq!(new().await, [name("eve@b.example")]);
    let (id, own) = (other.id, ada.id);
    commit(&*store, [Change::Peer(PeerChange::DiscardSent { id, own })])
        .await
        .unwrap();
    assert_eq!(new().await, []);
}

pub async fn a_deleted_account_and_a_forgotten_peer_take_their_messages_along(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let (ada, bob) = (ada(&*store).await, person("bob"));
    commit(&*store, [Change::InsertAccount(bob.clone())])
        .await
        .unwrap();
    let one = peer(1, "b.example", &ada);
    commit(&*store, [insert(&one)]).await.unwrap();
    for own in [&ada, &bob] {
        let sent = outgoing(&one, own, "eve@b.example", "hello");
        let received = incoming(&one, own, "eve@b.example", 1);
        commit(&*store, [send(&sent), receive(&received, 0)])
            .await
            .unwrap();
    }
    let (id, revision) = (ada.id, 1);
    commit(&*store, [Change::DeleteAccount { id, revision }])
        .await
        .unwrap();
    let waiting = store.waiting_messages(one.site(), &ALL, 9).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].own, bob.id);
    assert_eq!(store.inbox_count(ada.id).await.unwrap(), 0);

    commit(&*store, [update(&removed(&one))]).await.unwrap();
    let (site, revision) = (one.site(), 2);
    let forget = Change::Peer(PeerChange::Forget { site, revision });
    commit(&*store, [forget]).await.unwrap();
    assert_eq!(store.inbox_count(bob.id).await.unwrap(), 0);
    assert_eq!(store.outbox_count(bob.id).await.unwrap(), 0);
}
