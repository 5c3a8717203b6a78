//! Enrolment tickets and devices.

use std::sync::Arc;

use countersign_core::accounts::Account;
use countersign_core::devices::Device;
use countersign_core::enrolment::{EnrolmentTicket, RevocationReason, TicketState};
use countersign_core::id::{DeviceId, TicketId};
use countersign_core::page::Page;
use countersign_core::store::{Change, Store, StoreError, Thing, Unique};
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::enrolment::{TicketKind, TokenHash};
use tokio::task::JoinSet;

use super::StoreUnderTest;
use super::sample::{NOW, commit, person, verify};

const KEYS: u8 = 100;

const STALE_TICKET: StoreError = StoreError::Stale {
    what: Thing::Ticket,
};
const NO_TICKET: StoreError = StoreError::NotFound {
    what: Thing::Ticket,
};
const NO_DEVICE: StoreError = StoreError::NotFound {
    what: Thing::Device,
};
const KEY_TAKEN: StoreError = StoreError::Conflict {
    what: Unique::DeviceKey,
};

pub fn ticket(account: &Account, mark: u8) -> EnrolmentTicket {
    EnrolmentTicket {
        id: TicketId::new(NOW.plus_millis(u64::from(mark)), &mut SystemEntropy),
        kind: TicketKind::Device,
        account: account.id,
        token_hash: TokenHash([mark; 32]),
        issued: NOW,
        expires: NOW.plus_seconds(3_600),
        state: TicketState::Open,
    }
}

pub fn device(account: &Account, mark: u8) -> Device {
    Device {
        id: DeviceId::new(NOW.plus_millis(u64::from(mark)), &mut SystemEntropy),
        account: account.id,
        name: format!("device {mark}").parse().unwrap(),
        spki: vec![mark; 44],
        thumbprint: Thumbprint([mark; 32]),
        created: NOW,
        last_seen: None,
        revision: 1,
    }
}

pub fn bind(ticket: &EnrolmentTicket, device: &Device) -> Change {
    Change::BindTicket {
        id: ticket.id,
        account: ticket.account,
        thumbprint: device.thumbprint,
        device: Some(device.id),
        at: NOW,
    }
}

pub fn revoke(ticket: &EnrolmentTicket) -> Change {
    Change::RevokeTicket {
        id: ticket.id,
        account: ticket.account,
        at: NOW,
        why: RevocationReason::WrongId,
    }
}

pub fn delete_device(device: &Device) -> Change {
    Change::DeleteDevice {
        id: device.id,
        account: device.account,
    }
}

const fn page<Cursor>(after: Option<Cursor>, limit: u32) -> Page<Cursor> {
    Page { after, limit }
}

/// Two persons in the store.
async fn persons(store: &dyn Store) -> (Account, Account) {
    let (maria, bob) = (person("maria"), person("bob"));
    let changes = [&maria, &bob].map(|account| Change::InsertAccount(account.clone()));
    commit(store, changes).await.unwrap();
    (maria, bob)
}

async fn state(store: &dyn Store, ticket: &EnrolmentTicket) -> TicketState {
    let found = store.enrolment_ticket(ticket.id).await.unwrap();
    found.unwrap().state
}

pub async fn a_ticket_is_found_by_its_token_and_listed_with_its_account(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let (one, two) = (ticket(&maria, 1), ticket(&maria, 2));
    let mut other = ticket(&bob, 3);
    other.kind = TicketKind::Peer;
    let all = [&one, &two, &other].map(|ticket| Change::InsertTicket(ticket.clone()));
    commit(&*store, all).await.unwrap();

    let found = store.ticket_by_token(&one.token_hash).await.unwrap();
    assert_eq!(found, Some(one.clone()));
    let none = store.ticket_by_token(&TokenHash([9; 32])).await.unwrap();
    assert_eq!(none, None);
    assert_eq!(
        store.enrolment_ticket(other.id).await.unwrap(),
        Some(other.clone())
    );
    let list = async |account, after, limit| {
        let page = page(after, limit);
        let listed = store.enrolment_tickets(account, &page).await.unwrap();
        listed.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(
        list(Some(maria.id), None, 10).await,
        [one.clone(), two.clone()]
    );
    assert_eq!(
        list(Some(maria.id), Some(one.id), 10).await,
        std::slice::from_ref(&two)
    );
    assert_eq!(list(None, None, 2).await, [one.clone(), two.clone()]);
    assert_eq!(list(None, Some(two.id), 10).await, [other]);

    let mut same_token = ticket(&bob, 4);
    same_token.token_hash = one.token_hash;
    let mut same_id = ticket(&bob, 5);
    same_id.id = one.id;
    for taken in [same_token, same_id] {
        let what = Unique::Ticket;
        let answer = commit(&*store, [Change::InsertTicket(taken)]).await;
        assert_eq!(answer, Err(StoreError::Conflict { what }));
    }
    let ghost = person("ghost");
    let what = Thing::Account;
    let answer = commit(&*store, [Change::InsertTicket(ticket(&ghost, 6))]).await;
    assert_eq!(answer, Err(StoreError::NotFound { what }));
}

pub async fn a_ticket_is_bound_once_and_revoked_once(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let (one, two) = (ticket(&maria, 1), ticket(&maria, 2));
    let all = [&one, &two].map(|ticket| Change::InsertTicket(ticket.clone()));
    commit(&*store, all).await.unwrap();
    let device = device(&maria, 7);
    let open = async |now| store.open_tickets(maria.id, now).await.unwrap();
    assert_eq!(open(one.expires).await, 0, "they expire");
    assert_eq!(open(NOW).await, 2);

    // Bound by the account's id as well: a ticket is never taken for another account's.
    let mut foreign = one.clone();
    foreign.account = bob.id;
    for change in [bind(&foreign, &device), revoke(&foreign)] {
        assert_eq!(commit(&*store, [change]).await, Err(NO_TICKET));
    }
    commit(&*store, [bind(&one, &device)]).await.unwrap();
    let bound = TicketState::Bound {
        thumbprint: device.thumbprint,
        device: Some(device.id),
        at: NOW,
    };
    assert_eq!(state(&*store, &one).await, bound);
    assert_eq!(open(NOW).await, 1);
    assert_eq!(
        commit(&*store, [bind(&one, &device)]).await,
        Err(STALE_TICKET)
    );

    let why = RevocationReason::WrongId;
    let revoked = TicketState::Revoked { at: NOW, why };
    for ticket in [&one, &two] {
        commit(&*store, [revoke(ticket)]).await.unwrap();
        assert_eq!(state(&*store, ticket).await, revoked);
        for change in [revoke(ticket), bind(ticket, &device)] {
            assert_eq!(commit(&*store, [change]).await, Err(STALE_TICKET));
        }
    }
    let found = store.ticket_by_token(&one.token_hash).await.unwrap();
    assert_eq!(found.unwrap().state, revoked);
    assert_eq!(store.open_tickets(maria.id, NOW).await, Ok(0));
    let gone = ticket(&maria, 3);
    assert_eq!(commit(&*store, [revoke(&gone)]).await, Err(NO_TICKET));
}

pub async fn a_ticket_is_deleted_by_its_account_alone(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let (one, two) = (ticket(&maria, 1), ticket(&maria, 2));
    let all = [&one, &two].map(|ticket| Change::InsertTicket(ticket.clone()));
    commit(&*store, all).await.unwrap();
    assert_eq!(store.damaged_ticket(one.id).await, Ok(None));
    let delete = async |account: &Account| {
        let (id, account) = (one.id, account.id);
        let deleted = commit(&*store, [Change::DeleteTicket { id, account }]).await;
        deleted.map(drop)
    };
    assert_eq!(delete(&bob).await, Err(NO_TICKET));
    assert_eq!(delete(&maria).await, Ok(()));
    assert_eq!(delete(&maria).await, Err(NO_TICKET));
    assert_eq!(store.ticket_by_token(&one.token_hash).await, Ok(None));
    let left = store.enrolment_tickets(None, &page(None, 10)).await;
    assert_eq!(left.unwrap(), [Ok(two)]);
}

pub async fn one_of_many_keys_gets_a_ticket(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, _) = persons(&*store).await;
    let ticket = ticket(&maria, 1);
    commit(&*store, [Change::InsertTicket(ticket.clone())])
        .await
        .unwrap();
    let mut keys = JoinSet::new();
    for mark in 0..KEYS {
        let store: Arc<dyn Store> = Arc::clone(&store);
        let device = device(&maria, mark);
        let set = [bind(&ticket, &device), Change::InsertDevice(device.clone())];
        keys.spawn(async move { (device, commit(&*store, set).await) });
    }
    let answers = keys.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.is_ok());
    assert_eq!((won.len(), lost.len()), (1, usize::from(KEYS) - 1));
    assert!(lost.iter().all(|(_, answer)| *answer == Err(STALE_TICKET)));
    let (winner, _) = won.first().unwrap();
    let all = store.devices(None, &page(None, 1_000)).await.unwrap();
    assert_eq!(all, [Ok(winner.clone())]);
    let bound = TicketState::Bound {
        thumbprint: winner.thumbprint,
        device: Some(winner.id),
        at: NOW,
    };
    assert_eq!(state(&*store, &ticket).await, bound);
    assert_eq!(verify(&*store).await, 3);
}

pub async fn tickets_that_expired_are_forgotten(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let (old, new, other) = (ticket(&maria, 1), ticket(&maria, 2), ticket(&bob, 3));
    let new = EnrolmentTicket {
        expires: old.expires.plus_millis(1),
        ..new
    };
    let all = [&old, &new, &other].map(|ticket| Change::InsertTicket(ticket.clone()));
    commit(&*store, all).await.unwrap();
    let forget = Change::ForgetTickets {
        account: maria.id,
        expired_before: new.expires,
    };
    commit(&*store, [forget.clone()]).await.unwrap();
    commit(&*store, [forget]).await.unwrap();
    let left = store.enrolment_tickets(None, &page(None, 10)).await;
    assert_eq!(left.unwrap(), [Ok(new), Ok(other)]);
    assert_eq!(
        store.ticket_by_token(&old.token_hash).await.unwrap(),
        None,
        "its token finds nothing"
    );
}

pub async fn a_device_is_found_by_its_key_and_listed_with_its_account(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let (phone, laptop, other) = (device(&maria, 1), device(&maria, 2), device(&bob, 3));
    let all = [&phone, &laptop, &other].map(|device| Change::InsertDevice(device.clone()));
    commit(&*store, all).await.unwrap();

    assert_eq!(store.device(phone.id).await.unwrap(), Some(phone.clone()));
    assert_eq!(
        store.device_login(&other.thumbprint).await.unwrap(),
        Some((bob.clone(), other.clone()))
    );
    assert_eq!(
        store.device_login(&Thumbprint([9; 32])).await.unwrap(),
        None
    );
    let owner = store.device_owner(maria.id).await.unwrap();
    assert_eq!(owner, Some((maria.clone(), 2)));
    let unknown = store.device_owner(person("ghost").id).await.unwrap();
    assert_eq!(unknown, None);
    let list = async |account, after, limit| {
        let page = page(after, limit);
        let listed = store.devices(account, &page).await.unwrap();
        listed.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(
        list(Some(maria.id), None, 10).await,
        [phone.clone(), laptop.clone()]
    );
    assert_eq!(
        list(Some(maria.id), None, 1).await,
        std::slice::from_ref(&phone)
    );
    assert_eq!(list(None, Some(phone.id), 10).await, [laptop, other]);

    let mut same_id = device(&bob, 4);
    same_id.id = phone.id;
    let what = Unique::Device;
    let answer = commit(&*store, [Change::InsertDevice(same_id)]).await;
    assert_eq!(answer, Err(StoreError::Conflict { what }));
    let ghost = person("ghost");
    let what = Thing::Account;
    let answer = commit(&*store, [Change::InsertDevice(device(&ghost, 5))]).await;
    assert_eq!(answer, Err(StoreError::NotFound { what }));
}

pub async fn a_key_serves_one_device_and_a_removed_one_none(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let phone = device(&maria, 1);
    commit(&*store, [Change::InsertDevice(phone.clone())])
        .await
        .unwrap();
    let again = async |account: &Account| {
        let change = Change::InsertDevice(device(account, 1));
        commit(&*store, [change]).await
    };
    for account in [&maria, &bob] {
        assert_eq!(again(account).await, Err(KEY_TAKEN));
    }
    let mut foreign = phone.clone();
    foreign.account = bob.id;
    assert_eq!(
        commit(&*store, [delete_device(&foreign)]).await,
        Err(NO_DEVICE)
    );
    commit(&*store, [delete_device(&phone)]).await.unwrap();
    assert_eq!(store.device(phone.id).await.unwrap(), None);
    assert_eq!(store.device_login(&phone.thumbprint).await.unwrap(), None);
    assert_eq!(
        commit(&*store, [delete_device(&phone)]).await,
        Err(NO_DEVICE)
    );
    for account in [&maria, &bob] {
        assert_eq!(again(account).await, Err(KEY_TAKEN));
    }
}

pub async fn a_device_is_renamed_on_what_was_read(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let phone = device(&maria, 1);
    commit(&*store, [Change::InsertDevice(phone.clone())])
        .await
        .unwrap();
    let see = |device: &Device, seconds| Change::SeeDevice {
        id: device.id,
        account: device.account,
        at: NOW.plus_seconds(seconds),
    };
    commit(&*store, [see(&phone, 7)]).await.unwrap();
    let renamed = Device {
        name: "Ada's phone".parse().unwrap(),
        revision: 2,
        // What a change of the name leaves as it is.
        spki: vec![9; 44],
        thumbprint: Thumbprint([9; 32]),
        ..phone.clone()
    };
    let rename = |device: &Device| [Change::UpdateDevice(device.clone())];
    commit(&*store, rename(&renamed)).await.unwrap();
    let wanted = Device {
        spki: phone.spki.clone(),
        thumbprint: phone.thumbprint,
        last_seen: Some(NOW.plus_seconds(7)),
        ..renamed.clone()
    };
    assert_eq!(store.device(phone.id).await.unwrap(), Some(wanted));
    let what = Thing::Device;
    let stale = commit(&*store, rename(&renamed)).await;
    assert_eq!(stale, Err(StoreError::Stale { what }));
    let foreign = Device {
        account: bob.id,
        revision: 3,
        ..renamed
    };
    assert_eq!(commit(&*store, rename(&foreign)).await, Err(NO_DEVICE));
    commit(&*store, [see(&foreign, 99)]).await.unwrap();
    commit(&*store, [delete_device(&phone)]).await.unwrap();
    commit(&*store, [see(&phone, 99)]).await.unwrap();
    assert_eq!(store.device(phone.id).await.unwrap(), None);
}

pub async fn a_deleted_account_takes_its_tickets_and_devices_along(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let (own, others) = (ticket(&maria, 1), ticket(&bob, 2));
    let (phone, laptop) = (device(&maria, 1), device(&bob, 2));
    let tickets = [&own, &others].map(|ticket| Change::InsertTicket(ticket.clone()));
    let devices = [&phone, &laptop].map(|device| Change::InsertDevice(device.clone()));
    commit(&*store, [tickets, devices].concat()).await.unwrap();
    let delete = Change::DeleteAccount {
        id: maria.id,
        revision: 1,
    };
    commit(&*store, [delete]).await.unwrap();
    assert_eq!(store.ticket_by_token(&own.token_hash).await, Ok(None));
    assert_eq!(store.device_login(&phone.thumbprint).await, Ok(None));
    let (left, held) = (
        store.enrolment_tickets(None, &page(None, 10)).await,
        store.devices(None, &page(None, 10)).await,
    );
    assert_eq!(
        (left.unwrap(), held.unwrap()),
        (vec![Ok(others)], vec![Ok(laptop)])
    );
    assert_eq!(commit(&*store, [bind(&own, &phone)]).await, Err(NO_TICKET));
    // Its key stays removed.
    let heir = Change::InsertDevice(device(&bob, 1));
    assert_eq!(commit(&*store, [heir]).await, Err(KEY_TAKEN));
}

pub async fn a_binding_whose_device_fails_binds_nothing(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, bob) = persons(&*store).await;
    let ticket = ticket(&maria, 1);
    let changes = [
        Change::InsertTicket(ticket.clone()),
        Change::InsertDevice(device(&bob, 1)),
    ];
    commit(&*store, changes).await.unwrap();
    let taken = device(&maria, 1);
    let set = [bind(&ticket, &taken), Change::InsertDevice(taken)];
    assert_eq!(commit(&*store, set).await, Err(KEY_TAKEN));
    assert_eq!(state(&*store, &ticket).await, TicketState::Open);
    assert_eq!(verify(&*store).await, 2);
}
