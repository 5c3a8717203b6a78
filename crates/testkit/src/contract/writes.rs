//! The contract for changes, one after the other.

use countersign_core::accounts::{Account, Kind, PersonData, State};
use countersign_core::page::Page;
use countersign_core::store::{
    Change, ScriptProgress, Setting, StoreError, Thing, Unique, WholeAccount,
};
use countersign_crypto::certificate::Thumbprint;

use super::StoreUnderTest;
use super::sample::{NOW, commit, delivered, key, name, passphrase, person, service, verify};

pub async fn what_was_committed_is_read_back(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, mailer) = (person("maria@example.org"), service("mailer"));
    let (credential, first, second) = (passphrase(&maria, 1), key(&mailer, 1), key(&mailer, 2));
    let delivered = delivered(&maria, 1);
    let changes = [
        Change::InsertAccount(maria.clone()),
        Change::InsertAccount(mailer.clone()),
        Change::PutPassphrase(credential.clone()),
        Change::PutDeliveredKey(delivered.clone()),
        Change::InsertKey(first.clone()),
        Change::InsertKey(second.clone()),
    ];
    commit(&*store, changes).await.unwrap();

    assert_eq!(store.account(maria.id).await.unwrap(), Some(maria.clone()));
    assert_eq!(
        store.account_by_name(&maria.name).await.unwrap(),
        Some(maria.clone())
    );
    assert_eq!(
        store.passphrase(maria.id).await.unwrap(),
        Some(credential.clone())
    );
    assert_eq!(
        store.passphrase_login(&maria.name).await.unwrap(),
        Some((maria.clone(), credential.clone()))
    );
    assert_eq!(
        store.delivered_key(maria.id).await.unwrap(),
        Some(delivered.clone())
    );
    assert_eq!(
        store.delivered_login(&maria.name).await.unwrap(),
        Some((maria.clone(), delivered))
    );
    assert_eq!(
        store.key_login(&second.thumbprint).await.unwrap(),
        Some((mailer.clone(), second.clone()))
    );
    let keys = vec![first, second];
    assert_eq!(store.keys_of(mailer.id).await.unwrap(), keys);
    for (account, setup, keys) in [
        (maria, Some(credential.setup), Vec::new()),
        (mailer, None, keys),
    ] {
        let whole = store.whole_account(account.id).await.unwrap();
        let data = PersonData::default();
        let expected = WholeAccount {
            account,
            data,
            setup,
            keys,
        };
        assert_eq!(whole, Some(expected));
    }
    let unknown = store.whole_account(person("unknown").id).await.unwrap();
    assert_eq!(unknown, None);
    assert_eq!(store.account_by_name(&name("unknown")).await.unwrap(), None);
    assert_eq!(store.key_login(&Thumbprint([9; 32])).await.unwrap(), None);
    assert_eq!(verify(&*store).await, 1);
}

pub async fn a_name_is_taken_once(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    commit(&*store, [Change::InsertAccount(person("maria"))])
        .await
        .unwrap();
    let taken = Err(StoreError::Conflict { what: Unique::Name });
    // Persons and services share one set of names.
    for account in [person("maria"), service("maria")] {
        let again = commit(&*store, [Change::InsertAccount(account)]).await;
        assert_eq!(again, taken);
    }
    let other = person("other");
    commit(&*store, [Change::InsertAccount(other.clone())])
        .await
        .unwrap();
    let renamed = other.revised(NOW, |account| account.name = name("maria"));
    assert_eq!(
        commit(&*store, [Change::UpdateAccount(renamed)]).await,
        taken
    );
}

pub async fn a_key_serves_one_account(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (one, two) = (service("one"), service("two"));
    let changes = [
        Change::InsertAccount(one.clone()),
        Change::InsertAccount(two.clone()),
        Change::InsertKey(key(&one, 1)),
    ];
    commit(&*store, changes).await.unwrap();
    for account in [&one, &two] {
        let again = commit(&*store, [Change::InsertKey(key(account, 1))]).await;
        assert_eq!(again, Err(StoreError::Conflict { what: Unique::Key }));
    }
}

pub async fn an_id_is_used_once(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let maria = person("maria");
    commit(&*store, [Change::InsertAccount(maria.clone())])
        .await
        .unwrap();
    let twin = Account {
        name: name("twin"),
        ..maria
    };
    assert_eq!(
        commit(&*store, [Change::InsertAccount(twin)]).await,
        Err(StoreError::Conflict {
            what: Unique::AccountId
        })
    );
}

pub async fn a_stale_revision_is_refused(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let maria = person("maria");
    commit(&*store, [Change::InsertAccount(maria.clone())])
        .await
        .unwrap();
    let locked = maria
        .clone()
        .revised(NOW, |account| account.state = State::Locked);
    commit(&*store, [Change::UpdateAccount(locked.clone())])
        .await
        .unwrap();

    // This update is based on the revision before the lock.
    let renamed = maria.revised(NOW, |account| account.full_name = "Other".to_owned());
    let stale = Err(StoreError::Stale {
        what: Thing::Account,
    });
    assert_eq!(
        commit(&*store, [Change::UpdateAccount(renamed)]).await,
        stale
    );
    let delete = Change::DeleteAccount {
        id: locked.id,
        revision: 1,
    };
    assert_eq!(commit(&*store, [delete]).await, stale);
    assert_eq!(store.account(locked.id).await.unwrap(), Some(locked));
}

pub async fn a_change_to_a_missing_item_is_refused(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let ghost = service("ghost");
    let gone = Err(StoreError::NotFound {
        what: Thing::Account,
    });
    let update = ghost.clone().revised(NOW, |_| ());
    assert_eq!(commit(&*store, [Change::UpdateAccount(update)]).await, gone);
    let delete = Change::DeleteAccount {
        id: ghost.id,
        revision: 1,
    };
    assert_eq!(commit(&*store, [delete]).await, gone);
    let put = Change::PutPassphrase(passphrase(&ghost, 1));
    assert_eq!(commit(&*store, [put]).await, gone);
    let put = Change::PutDeliveredKey(delivered(&ghost, 1));
    assert_eq!(commit(&*store, [put]).await, gone);
    let insert = Change::InsertKey(key(&ghost, 1));
    assert_eq!(commit(&*store, [insert]).await, gone);
    let revoke = Change::DeleteKey {
        account: ghost.id,
        thumbprint: Thumbprint([1; 32]),
    };
    assert_eq!(
        commit(&*store, [revoke]).await,
        Err(StoreError::NotFound { what: Thing::Key })
    );
    assert_eq!(verify(&*store).await, 0);
}

pub async fn a_change_set_is_atomic(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (first, second) = (service("first"), service("second"));
    let changes = [
        Change::InsertAccount(first.clone()),
        Change::InsertKey(key(&first, 1)),
    ];
    commit(&*store, changes).await.unwrap();
    let changes = [
        Change::InsertAccount(second.clone()),
        Change::InsertKey(key(&second, 2)),
        Change::InsertKey(key(&second, 1)),
    ];
    let refused = commit(&*store, changes).await;
    assert_eq!(refused, Err(StoreError::Conflict { what: Unique::Key }));
    assert_eq!(store.account(second.id).await.unwrap(), None);
    assert_eq!(store.key_login(&Thumbprint([2; 32])).await.unwrap(), None);
    assert_eq!(
        verify(&*store).await,
        1,
        "a refused change set leaves no audit entry"
    );
}

pub async fn deleting_an_account_deletes_its_credentials(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, mailer) = (person("maria"), service("mailer"));
    let changes = [
        Change::InsertAccount(maria.clone()),
        Change::InsertAccount(mailer.clone()),
        Change::PutPassphrase(passphrase(&maria, 1)),
        Change::PutDeliveredKey(delivered(&maria, 1)),
        Change::InsertKey(key(&mailer, 1)),
    ];
    commit(&*store, changes).await.unwrap();
    for account in [&maria, &mailer] {
        let delete = Change::DeleteAccount {
            id: account.id,
            revision: account.revision,
        };
        commit(&*store, [delete]).await.unwrap();
    }
    assert_eq!(store.passphrase(maria.id).await.unwrap(), None);
    assert_eq!(store.passphrase_login(&maria.name).await.unwrap(), None);
    assert_eq!(store.delivered_key(maria.id).await.unwrap(), None);
    assert_eq!(store.delivered_login(&maria.name).await.unwrap(), None);
    assert_eq!(store.key_login(&Thumbprint([1; 32])).await.unwrap(), None);
    // The name can be used again, but the key cannot.
    let heir = service("maria");
    let with = |mark| {
        [
            Change::InsertAccount(heir.clone()),
            Change::InsertKey(key(&heir, mark)),
        ]
    };
    let what = Unique::RemovedKey;
    let again = commit(&*store, with(1)).await;
    assert_eq!(again, Err(StoreError::Conflict { what }));
    commit(&*store, with(2)).await.unwrap();
}

pub async fn a_passphrase_replaces_the_one_before(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let maria = person("maria");
    let changes = [
        Change::InsertAccount(maria.clone()),
        Change::PutPassphrase(passphrase(&maria, 1)),
    ];
    commit(&*store, changes).await.unwrap();
    let next = passphrase(&maria, 2);
    commit(&*store, [Change::PutPassphrase(next.clone())])
        .await
        .unwrap();
    assert_eq!(store.passphrase(maria.id).await.unwrap(), Some(next));
}

pub async fn a_delivered_key_replaces_the_one_before_and_can_be_deleted(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let (maria, mario) = (person("maria"), person("mario"));
    let others = delivered(&mario, 3);
    let changes = [
        Change::InsertAccount(maria.clone()),
        Change::InsertAccount(mario.clone()),
        Change::PutDeliveredKey(delivered(&maria, 1)),
        Change::PutDeliveredKey(others.clone()),
    ];
    commit(&*store, changes).await.unwrap();
    let next = delivered(&maria, 2);
    commit(&*store, [Change::PutDeliveredKey(next.clone())])
        .await
        .unwrap();
    assert_eq!(store.delivered_key(maria.id).await.unwrap(), Some(next));
    // Deleting a key that does not exist succeeds.
    for _ in 0..2 {
        commit(&*store, [Change::DeleteDeliveredKey(maria.id)])
            .await
            .unwrap();
        assert_eq!(store.delivered_key(maria.id).await.unwrap(), None);
    }
    assert_eq!(store.delivered_key(mario.id).await.unwrap(), Some(others));
}

pub async fn a_setting_is_changed_at_its_current_revision_only(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let put = |value: &str, revision| {
        let setting = Setting {
            value: value.into(),
            revision,
        };
        [Change::PutSetting {
            name: "colour",
            setting,
        }]
    };
    let stale = Err(StoreError::Stale {
        what: Thing::Setting,
    });
    assert_eq!(commit(&*store, put("early", 2)).await, stale);
    commit(&*store, put("red", 1)).await.unwrap();
    assert_eq!(commit(&*store, put("green", 1)).await, stale);
    commit(&*store, put("blue", 2)).await.unwrap();
    let setting = store.setting("colour").await.unwrap().unwrap();
    assert_eq!(
        (setting.value.as_slice(), setting.revision),
        (&b"blue"[..], 2)
    );
    assert_eq!(store.setting("shape").await.unwrap(), None);
}

pub async fn the_progress_of_a_script_is_recorded(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let mut progress = ScriptProgress {
        name: "10-people.jsonl".to_owned(),
        digest: [1; 32],
        lines: 1,
        applied: None,
    };
    for (lines, applied) in [(1, None), (2, Some(NOW))] {
        progress.lines = lines;
        progress.applied = applied;
        commit(&*store, [Change::PutScript(progress.clone())])
            .await
            .unwrap();
        assert_eq!(
            store.script(&progress.name).await.unwrap(),
            Some(progress.clone())
        );
    }
    assert_eq!(store.script("20-other.jsonl").await.unwrap(), None);
}

pub async fn lists_are_ordered_by_name_and_paged(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let accounts = [
        person("carol"),
        service("b-service"),
        person("alice"),
        person("bob"),
        service("a-service"),
    ];
    commit(&*store, accounts.map(Change::InsertAccount))
        .await
        .unwrap();
    let list = async |kind, after: Option<&str>, limit| {
        let after = after.map(str::to_owned);
        let found = store
            .accounts(kind, &Page { after, limit }, None)
            .await
            .unwrap();
        let names = found
            .iter()
            .map(|account| account.as_ref().unwrap().name.to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(Kind::Person, None, 2).await, "alice bob");
    assert_eq!(list(Kind::Person, Some("bob"), 2).await, "carol");
    assert_eq!(list(Kind::Person, Some("carol"), 2).await, "");
    assert_eq!(list(Kind::Service, None, 9).await, "a-service b-service");
}

pub async fn changes_are_written_in_the_order_of_the_set(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let old = person("maria");
    commit(&*store, [Change::InsertAccount(old.clone())])
        .await
        .unwrap();
    let new = person("maria");
    let changes = [
        Change::DeleteAccount {
            id: old.id,
            revision: 1,
        },
        Change::InsertAccount(new.clone()),
    ];
    commit(&*store, changes).await.unwrap();
    assert_eq!(store.account_by_name(&new.name).await.unwrap(), Some(new));
}
