//! The contract for concurrent changes.

use std::sync::Arc;

use countersign_core::accounts::State;
use countersign_core::store::{Change, Store, StoreError, Thing, Unique};
use tokio::task::JoinSet;

use super::StoreUnderTest;
use super::sample::{NOW, commit, passphrase, person, verify};

const WRITERS: usize = 64;
const EACH: usize = 20;

pub async fn sixty_four_writers_lose_nothing(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let mut seqs = Vec::new();
            for at in 0..EACH {
                let account = person(&format!("person-{writer}-{at}"));
                let changes = [
                    Change::InsertAccount(account.clone()),
                    Change::PutPassphrase(passphrase(&account, 1)),
                ];
                let committed = commit(&*store, changes).await.unwrap();
                // After the commit returns, the change can be read.
                let read = store.passphrase_login(&account.name).await.unwrap();
                assert_eq!(read.unwrap().0, account);
                seqs.push(committed.audit_seq);
            }
            seqs
        });
    }
    let mut seqs: Vec<u64> = writers.join_all().await.concat();
    seqs.sort_unstable();
    let all = (WRITERS * EACH) as u64;
    assert_eq!(seqs, (1..=all).collect::<Vec<_>>());
    assert_eq!(verify(&*store).await, all);
}

pub async fn a_refused_set_does_not_affect_concurrent_ones(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            // Every fourth writer inserts the same name.
            let wanted = match writer % 4 {
                0 => "wanted-by-many".to_owned(),
                _ => format!("wanted-by-{writer}"),
            };
            let insert = Change::InsertAccount(person(&wanted));
            (writer % 4 == 0, commit(&*store, [insert]).await)
        });
    }
    let answers = writers.join_all().await;
    let (contested, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|one| one.0);
    assert!(others.iter().all(|(_, answer)| answer.is_ok()));
    let refused = contested
        .iter()
        .filter(|(_, answer)| *answer == Err(StoreError::Conflict { what: Unique::Name }));
    assert_eq!(refused.count(), contested.len() - 1);
    assert_eq!(verify(&*store).await, others.len() as u64 + 1);
}

pub async fn one_of_many_concurrent_updates_succeeds(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let maria = person("maria");
    commit(&*store, [Change::InsertAccount(maria.clone())])
        .await
        .unwrap();
    let mut updates = JoinSet::new();
    for update in 0..WRITERS {
        let store: Arc<dyn Store> = Arc::clone(&store);
        let decided = maria.clone().revised(NOW, |account| {
            account.state = State::Locked;
            account.full_name = format!("decided by {update}");
        });
        updates.spawn(async move { commit(&*store, [Change::UpdateAccount(decided)]).await });
    }
    let answers = updates.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let stale = Err(StoreError::Stale {
        what: Thing::Account,
    });
    assert!(
        answers
            .iter()
            .all(|answer| answer.is_ok() || *answer == stale)
    );
    assert_eq!(verify(&*store).await, 2);
}
