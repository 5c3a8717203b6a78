//! The limits on alarms.

use countersign_core::accounts::Account;
use countersign_core::alarms::{Alarm, MAX_ALARMS, MAX_ALARMS_OF_PERSON, Recipient, Target};
use countersign_core::id::{AccountId, AlarmId};
use countersign_core::store::{AlarmChange, Change, Store, StoreError, Unique};

use super::StoreUnderTest;
use super::alarms::{alarm, persons};
use super::sample::{NOW, commit};

/// A recipient at the limit can acknowledge.
async fn acknowledge(store: &dyn Store, alarm: AlarmId, account: AccountId) {
    let acknowledged = Some(NOW);
    let one = Recipient {
        account,
        acknowledged,
    };
    let recipients = vec![one];
    let put = AlarmChange::PutRecipients { alarm, recipients };
    commit(store, [Change::Alarm(put)]).await.unwrap();
    assert_eq!(store.recipients(alarm).await.unwrap(), [one]);
}

/// Tests both limits, at the limit and one over it.
pub async fn the_limits_on_alarms_are_enforced(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria, bob] = persons(&*store, ["maria", "bob"]).await;
    let full = Err(StoreError::Conflict {
        what: Unique::AlarmRoom,
    });
    let raise = |account: &Account, key: &str| {
        let alarm = alarm(Target::Person(account.id), key);
        let recipients = vec![Recipient {
            account: account.id,
            acknowledged: None,
        }];
        let put = AlarmChange::PutRecipients {
            alarm: alarm.id,
            recipients,
        };
        [AlarmChange::Insert(alarm), put].map(Change::Alarm)
    };
    let alarms = (0..MAX_ALARMS_OF_PERSON).map(|at| raise(&maria, &format!("alarm {at}")));
    let changes: Vec<Change> = alarms.flatten().collect();
    let Some(Change::Alarm(AlarmChange::Insert(Alarm { id: first, .. }))) = changes.first() else {
        panic!("the first change inserts an alarm");
    };
    let first = *first;
    commit(&*store, changes).await.unwrap();
    assert_eq!(commit(&*store, raise(&maria, "one over")).await, full);
    acknowledge(&*store, first, maria.id).await;
    let [at_limit] = store
        .recipients_at_limit(MAX_ALARMS_OF_PERSON)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(at_limit, maria.id);

    let others = (MAX_ALARMS_OF_PERSON..MAX_ALARMS).map(|at| {
        let alarm = alarm(Target::Admins, &format!("alarm {at}"));
        Change::Alarm(AlarmChange::Insert(alarm))
    });
    let changes: Vec<Change> = others.collect();
    commit(&*store, changes).await.unwrap();
    assert_eq!(commit(&*store, raise(&bob, "one over")).await, full);
    assert_eq!(store.alarm_counts(None).await.unwrap().stored, MAX_ALARMS);
    let (id, revision) = (maria.id, 1);
    commit(&*store, [Change::DeleteAccount { id, revision }])
        .await
        .unwrap();
    assert_eq!(store.recipients_at_limit(1).await.unwrap(), []);
    commit(&*store, raise(&bob, "a free place")).await.unwrap();
}
