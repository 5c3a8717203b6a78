//! The contract for reopening a store, and for the detection of altered audit entries.

use std::sync::Arc;

use countersign_core::audit::{Broken, ChainHead, Problem};
use countersign_core::page::Page;
use countersign_core::store::{Change, Store};

use super::StoreUnderTest;
use super::sample::{commit, person, verify};

/// A killed process does not close its store, so each store here is dropped without being closed.
pub async fn acknowledged_changes_survive_the_process(under_test: &dyn StoreUnderTest) {
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let store = under_test.open().await;
        for at in 0..10 {
            let account = person(&format!("person-{round}-{at}"));
            commit(&*store, [Change::InsertAccount(account.clone())])
                .await
                .unwrap();
            acknowledged.push(account);
        }
    }
    let store = under_test.open().await;
    for account in acknowledged {
        assert_eq!(store.account(account.id).await.unwrap(), Some(account));
    }
}

pub async fn the_audit_chain_continues_after_reopening(under_test: &dyn StoreUnderTest) {
    for round in 1..=3 {
        let store = under_test.open().await;
        let change = Change::InsertAccount(person(&format!("person-{round}")));
        commit(&*store, [change]).await.unwrap();
        assert_eq!(verify(&*store).await, round);
    }
}

pub async fn an_altered_audit_entry_is_found(under_test: &dyn StoreUnderTest) {
    let store = written(under_test).await;
    under_test.alter_audit(4).await;
    assert_eq!(
        broken(&*store).await,
        Some(Broken {
            seq: 4,
            problem: Problem::Altered
        })
    );
}

pub async fn a_removed_audit_entry_is_found(under_test: &dyn StoreUnderTest) {
    let store = written(under_test).await;
    under_test.remove_audit(4).await;
    assert_eq!(
        broken(&*store).await,
        Some(Broken {
            seq: 4,
            problem: Problem::Missing
        })
    );
}

async fn written(under_test: &dyn StoreUnderTest) -> Arc<dyn Store> {
    let store = under_test.open().await;
    for at in 0..8 {
        let change = Change::InsertAccount(person(&format!("person-{at}")));
        commit(&*store, [change]).await.unwrap();
    }
    store
}

async fn broken(store: &dyn Store) -> Option<Broken> {
    let mut head = ChainHead::EMPTY;
    let page = Page {
        after: None,
        limit: 100,
    };
    let entries = store.audit(&page).await.unwrap();
    entries.iter().find_map(|entry| head.verify(entry).err())
}
