//! The contract for the data of persons.

use countersign_core::accounts::{Account, PersonData};
use countersign_core::store::{Change, StoreError, Thing};
use serde_json::json;

use super::StoreUnderTest;
use super::sample::{NOW, commit, person};

fn data(room: &str) -> PersonData {
    let document = json!({
        "other_emails": ["m.lind@example.com"],
        "telephones": [{ "label": "work", "number": "+49 30 1234567" }],
        "postal_address": { "lines": ["Unter den Linden 77"], "city": "Berlin", "country": "DE" },
        "language": "de",
        "attributes": { "room": room },
    });
    serde_json::from_value(document).unwrap()
}

fn put(account: &Account, data: PersonData) -> Change {
    Change::PutPersonData {
        account: account.id,
        data: Box::new(data),
    }
}

pub async fn the_data_of_a_person_is_read_back_with_the_account(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let (maria, bob) = (person("maria"), person("bob"));
    let changes = [
        Change::InsertAccount(maria.clone()),
        Change::InsertAccount(bob.clone()),
        put(&maria, data("12")),
    ];
    commit(&*store, changes).await.unwrap();
    let found = store.with_data(maria.id).await.unwrap();
    assert_eq!(found, Some((maria.clone(), data("12"))));
    let whole = store.whole_account(maria.id).await.unwrap().unwrap();
    assert_eq!((whole.account, whole.data), (maria, data("12")));
    let found = store.with_data(bob.id).await.unwrap();
    assert_eq!(found, Some((bob, PersonData::default())));
    assert_eq!(store.with_data(person("eve").id).await.unwrap(), None);
}

pub async fn the_data_of_a_person_is_changed_at_the_current_revision_of_the_account_only(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let maria = person("maria");
    commit(
        &*store,
        [
            Change::InsertAccount(maria.clone()),
            put(&maria, data("12")),
        ],
    )
    .await
    .unwrap();
    let revised = maria.clone().revised(NOW, |_| {});
    let update = |room: &str| {
        [
            Change::UpdateAccount(revised.clone()),
            put(&maria, data(room)),
        ]
    };
    commit(&*store, update("13")).await.unwrap();
    let stale = Err(StoreError::Stale {
        what: Thing::Account,
    });
    assert_eq!(commit(&*store, update("14")).await, stale);
    let found = store.with_data(maria.id).await.unwrap();
    assert_eq!(found, Some((revised, data("13"))));
}

pub async fn a_deleted_account_takes_its_data_along(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let maria = person("maria");
    let insert = || Change::InsertAccount(maria.clone());
    commit(&*store, [insert(), put(&maria, data("12"))])
        .await
        .unwrap();
    let delete = Change::DeleteAccount {
        id: maria.id,
        revision: maria.revision,
    };
    commit(&*store, [delete]).await.unwrap();
    let missing = Err(StoreError::NotFound {
        what: Thing::Account,
    });
    assert_eq!(commit(&*store, [put(&maria, data("12"))]).await, missing);
    commit(&*store, [insert()]).await.unwrap();
    let found = store.with_data(maria.id).await.unwrap();
    assert_eq!(found, Some((maria, PersonData::default())));
}
