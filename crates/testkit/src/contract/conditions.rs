//! The contract for conditions, which change nothing.

use std::sync::Arc;

use countersign_core::accounts::{Account, CredentialId};
use countersign_core::store::{Change, Setting, StoreError, Thing};
use tokio::task::JoinSet;

use super::StoreUnderTest;
use super::devices::ticket;
use super::sample::{commit, passphrase, person};

const LOCKDOWNS: &str = "lockdowns";

fn put(revision: u64) -> Change {
    let value = b"{}".to_vec();
    Change::PutSetting {
        name: LOCKDOWNS,
        setting: Setting { value, revision },
    }
}

const fn expect_setting(revision: u64) -> Change {
    Change::ExpectSetting {
        name: LOCKDOWNS,
        revision,
    }
}

const fn expect(account: &Account, passphrase: Option<CredentialId>) -> Change {
    Change::ExpectAccount {
        id: account.id,
        revision: account.revision,
        passphrase,
    }
}

pub async fn nothing_is_written_for_an_account_that_changed(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, bob) = (person("maria"), person("bob"));
    let inserted = [&maria, &bob].map(|one| Change::InsertAccount(one.clone()));
    commit(&*store, inserted).await.unwrap();
    // Writes a ticket under a condition. Returns whether it is there.
    let write = async |condition: Change, mark: u8| {
        let ticket = ticket(&bob, mark);
        let set = [condition, Change::InsertTicket(ticket.clone())];
        let written = commit(&*store, set).await.map(drop);
        let found = store.enrolment_ticket(ticket.id).await.unwrap();
        assert_eq!(found.is_some(), written.is_ok());
        written
    };
    let stale = Err(StoreError::Stale {
        what: Thing::Account,
    });
    let later = Account {
        revision: 2,
        ..maria.clone()
    };
    let [first, second] = [1, 2].map(|mark| passphrase(&maria, mark));
    let first_id = Some(first.credential_id);
    assert_eq!(write(expect(&maria, None), 1).await, Ok(()));
    assert_eq!(write(expect(&later, None), 2).await, stale);
    assert_eq!(write(expect(&maria, first_id), 3).await, stale);

    commit(&*store, [Change::PutPassphrase(first)])
        .await
        .unwrap();
    assert_eq!(write(expect(&maria, None), 4).await, stale);
    assert_eq!(write(expect(&maria, first_id), 5).await, Ok(()));
    let mut second = second;
    second.credential_id = CredentialId([7; 16]);
    let second_id = Some(second.credential_id);
    commit(&*store, [Change::PutPassphrase(second)])
        .await
        .unwrap();
    assert_eq!(write(expect(&maria, first_id), 6).await, stale);
    assert_eq!(write(expect(&maria, second_id), 7).await, Ok(()));

    let update = Change::UpdateAccount(later.clone());
    commit(&*store, [update]).await.unwrap();
    assert_eq!(write(expect(&maria, second_id), 8).await, stale);
    assert_eq!(write(expect(&later, second_id), 9).await, Ok(()));
    let delete = Change::DeleteAccount {
        id: maria.id,
        revision: 2,
    };
    commit(&*store, [delete]).await.unwrap();
    let gone = Err(StoreError::NotFound {
        what: Thing::Account,
    });
    assert_eq!(write(expect(&later, second_id), 10).await, gone);
}

pub async fn nothing_is_written_after_a_setting_that_changed(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let stale = Err(StoreError::Stale {
        what: Thing::Setting,
    });
    let write = async |revision: u64, name: &str| {
        let insert = Change::InsertAccount(person(name));
        let written = commit(&*store, [insert, expect_setting(revision)]).await;
        let found = store.account_by_name(&name.parse().unwrap()).await.unwrap();
        assert_eq!(found.is_some(), written.is_ok());
        written.map(drop)
    };
    assert_eq!(write(0, "a").await, Ok(()));
    assert_eq!(write(1, "b").await, stale);
    commit(&*store, [put(1)]).await.unwrap();
    assert_eq!(write(0, "c").await, stale);
    assert_eq!(write(1, "d").await, Ok(()));
}

/// Sets that are committed at once may share a transaction: a condition meets the sets before it.
pub async fn a_condition_holds_among_concurrent_sets(under_test: &dyn StoreUnderTest) {
    const TICKETS: u8 = 64;
    let store = under_test.open().await;
    let people: Vec<Account> = (0..TICKETS)
        .map(|number| person(&format!("person-{number}")))
        .collect();
    let inserted = people.iter().cloned().map(Change::InsertAccount);
    commit(&*store, inserted.collect::<Vec<_>>()).await.unwrap();
    let mut writers = JoinSet::new();
    let mut spawn = |is_lockdown: bool, changes: Vec<Change>| {
        let store = Arc::clone(&store);
        writers.spawn(async move { (is_lockdown, commit(&*store, changes).await) });
    };
    for (account, number) in people.iter().zip(0..) {
        if number == TICKETS / 2 {
            spawn(true, vec![put(1)]);
        }
        let ticket = Change::InsertTicket(ticket(account, number));
        spawn(
            false,
            vec![expect(account, None), ticket, expect_setting(0)],
        );
    }
    let (lockdown, tickets): (Vec<_>, Vec<_>) =
        writers.join_all().await.into_iter().partition(|one| one.0);
    let lockdown = lockdown[0].1.clone().unwrap().audit_seq;
    for (_, written) in tickets {
        match written {
            Ok(written) => assert!(written.audit_seq < lockdown),
            Err(refused) => {
                let what = Thing::Setting;
                assert_eq!(refused, StoreError::Stale { what });
            }
        }
    }
}
