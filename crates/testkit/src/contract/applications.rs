//! The contract for applications.

use countersign_core::applications::Application;
use countersign_core::id::InstanceId;
use countersign_core::page::Page;
use countersign_core::store::{Change, StoreError, Thing, Unique};

use super::StoreUnderTest;
use super::sample::{NOW, application, commit, verify};

pub async fn an_application_is_changed_at_its_current_revision_only(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let [billing, ledger] = ["billing", "Application B"].map(application);
    let insert = |of: &Application| Change::InsertApplication(Box::new(of.clone()));
    let update = |of: &Application| Change::UpdateApplication(Box::new(of.clone()));
    let delete = |of: &Application, revision| Change::DeleteApplication {
        id: of.id.clone(),
        instance: of.instance,
        revision,
    };
    let both = [insert(&billing), insert(&ledger)];
    commit(&*store, both).await.unwrap();
    let read = async |of: &Application| store.application(&of.id).await.unwrap();
    assert_eq!(read(&billing).await, Some(billing.clone()));
    let taken = commit(&*store, [insert(&billing)]).await;
    let what = Unique::Application;
    assert_eq!(taken, Err(StoreError::Conflict { what }));

    let changed = billing.clone().revised(NOW, |of| of.groups.clear());
    commit(&*store, [update(&changed)]).await.unwrap();
    let what = Thing::Application;
    let stale = commit(&*store, [update(&changed)]).await;
    assert_eq!(stale, Err(StoreError::Stale { what }));
    let stale = commit(&*store, [delete(&billing, 1)]).await;
    assert_eq!(stale, Err(StoreError::Stale { what }));
    let store = under_test.open().await;
    let all = store
        .applications(&Page {
            after: None,
            limit: 10,
        })
        .await;
    assert_eq!(all.unwrap(), [Ok(ledger.clone()), Ok(changed.clone())]);
    let rest = Page {
        after: Some(ledger.id.to_string()),
        limit: 10,
    };
    assert_eq!(
        store.applications(&rest).await.unwrap(),
        [Ok(changed.clone())]
    );

    commit(&*store, [delete(&changed, 2)]).await.unwrap();
    assert_eq!(store.application(&billing.id).await.unwrap(), None);
    for gone in [delete(&changed, 2), update(&changed)] {
        let refused = commit(&*store, [gone]).await;
        assert_eq!(refused, Err(StoreError::NotFound { what }));
    }
    assert_eq!(verify(&*store).await, 3);
}

/// A change was stored by id and revision alone. An application that was deleted and registered again
/// between the reading and the writing of a handler got the change that was decided for the earlier one.
pub async fn a_change_for_a_deleted_application_does_not_reach_the_next_one_of_its_id(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let what = Thing::Application;
    for instance in [Some(InstanceId::from_bytes([8; 16])), None] {
        // Keys are of no interest: a removed one serves no application again.
        let first = Application {
            keys: Vec::new(),
            ..application("billing")
        };
        let next = Application {
            instance,
            ..first.clone()
        };
        let insert = |of: &Application| Change::InsertApplication(Box::new(of.clone()));
        let delete = |of: &Application| Change::DeleteApplication {
            id: of.id.clone(),
            instance: of.instance,
            revision: of.revision,
        };
        let changes = [insert(&first), delete(&first), insert(&next)];
        for change in changes {
            commit(&*store, [change]).await.unwrap();
        }
        let decided = first.clone().revised(NOW, |of| of.groups.clear());
        for late in [Change::UpdateApplication(Box::new(decided)), delete(&first)] {
            let refused = commit(&*store, [late]).await;
            assert_eq!(refused, Err(StoreError::Stale { what }));
        }
        let stored = store.application(&next.id).await.unwrap();
        assert_eq!(stored, Some(next.clone()));
        // Its own changes are stored, also those of a registration without an instance.
        let changed = next.revised(NOW, |of| of.groups.clear());
        let update = Change::UpdateApplication(Box::new(changed.clone()));
        commit(&*store, [update]).await.unwrap();
        commit(&*store, [delete(&changed)]).await.unwrap();
    }
}
