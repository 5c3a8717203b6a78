//! The contract for alarms, recipients, the outbox and preferences.

use std::slice;

use countersign_core::access::Role;
use countersign_core::accounts::{Account, State};
use countersign_core::alarms::{
    About, Alarm, AlarmState, Delivery, DeliveryChannel, DeliveryState, Language, Lease,
    Preferences, Raiser, Recipient, Severity, Target,
};
use countersign_core::id::{AccountId, AlarmId, DeliveryId};
use countersign_core::store::{
    AlarmChange, AlarmCounts, AlarmSearch, Change, DeliverySearch, Store, StoreError,
    StoredPreferences, Thing, Unique,
};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;

use super::StoreUnderTest;
use super::sample::{NOW, commit, person};

pub(super) fn alarm(to: Target, key: &str) -> Alarm {
    Alarm {
        id: AlarmId::new(NOW, &mut SystemEntropy),
        key: key.to_owned().try_into().unwrap(),
        to,
        raiser: Raiser::Site,
        raised_by: "site".to_owned(),
        severity: Severity::Warning,
        text: format!("It is about {key}.").try_into().unwrap(),
        data: serde_json::from_str(r#"{"free":1.50}"#).unwrap(),
        first: NOW,
        last: NOW,
        notified: NOW,
        count: 1,
        state: AlarmState::Open,
        acknowledged: None,
        ended: None,
        escalates: Some(after(900)),
        revision: 1,
    }
}

fn after(seconds: u32) -> Timestamp {
    NOW.plus_seconds(seconds)
}

fn delivery(alarm: &Alarm, account: AccountId, channel: DeliveryChannel) -> Delivery {
    Delivery {
        id: DeliveryId::new(NOW, &mut SystemEntropy),
        alarm: alarm.id,
        account,
        channel,
        about: About::Raised,
        severity: alarm.severity,
        due: NOW,
        since: NOW,
        attempts: 0,
        refusals: 0,
        state: DeliveryState::Waiting,
        last_error: None,
        folded: false,
        attempted: None,
        lease: None,
        revision: 1,
    }
}

/// The changes that raise an alarm for these accounts, with a delivery by e-mail to each.
fn raise(alarm: &Alarm, accounts: &[&Account]) -> Vec<Change> {
    let recipients = accounts.iter().map(|account| Recipient {
        account: account.id,
        acknowledged: None,
    });
    let deliveries = accounts
        .iter()
        .map(|account| delivery(alarm, account.id, DeliveryChannel::Email));
    let changes = [
        AlarmChange::Insert(alarm.clone()),
        AlarmChange::PutRecipients {
            alarm: alarm.id,
            recipients: recipients.collect(),
        },
        AlarmChange::InsertDeliveries(deliveries.collect()),
    ];
    changes.map(Change::Alarm).to_vec()
}

fn leased(delivery: &Delivery, message: DeliveryId, at: Timestamp) -> Delivery {
    delivery.clone().revised(|one| {
        one.attempted = Some(at);
        let until = at.plus_seconds(120);
        one.lease = Some(Lease { message, until });
    })
}

async fn update(store: &dyn Store, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
    let change = AlarmChange::UpdateDeliveries(deliveries);
    commit(store, [Change::Alarm(change)]).await.map(|_| ())
}

pub(super) async fn persons<const N: usize>(store: &dyn Store, names: [&str; N]) -> [Account; N] {
    let accounts = names.map(person);
    let changes = accounts.clone().map(Change::InsertAccount);
    commit(store, changes).await.unwrap();
    accounts
}

pub async fn an_alarm_is_read_back_with_recipients_and_deliveries(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria, bob] = persons(&*store, ["maria", "bob"]).await;
    let disk = alarm(Target::Admins, "disk");
    let changes = raise(&disk, &[&maria, &bob]);
    commit(&*store, changes).await.unwrap();

    let store = under_test.open().await;
    assert_eq!(store.alarm(disk.id).await.unwrap(), Some(disk.clone()));
    let current = store.current_alarm(Raiser::Site, Target::Admins, &disk.key);
    assert_eq!(current.await.unwrap(), Some(disk.clone()));
    let other = store.current_alarm(Raiser::LocalAdmin, Target::Admins, &disk.key);
    assert_eq!(other.await.unwrap(), None);
    let recipients = store.recipients(disk.id).await.unwrap();
    let ids: Vec<_> = recipients.iter().map(|one| one.account).collect();
    assert_eq!(ids, [maria.id.min(bob.id), maria.id.max(bob.id)]);
    let to_maria = store.deliveries_of(disk.id, Some(maria.id)).await.unwrap();
    assert_eq!(to_maria.len(), 1);
    let read = store.delivery(to_maria[0].id).await.unwrap();
    assert_eq!(read.as_ref(), to_maria.first());
    assert_eq!(store.deliveries_of(disk.id, None).await.unwrap().len(), 2);

    let acknowledged = Recipient {
        account: bob.id,
        acknowledged: Some(after(1)),
    };
    let change = AlarmChange::PutRecipients {
        alarm: disk.id,
        recipients: vec![acknowledged],
    };
    commit(&*store, [Change::Alarm(change)]).await.unwrap();
    let recipients = store.recipients(disk.id).await.unwrap();
    assert!(recipients.contains(&acknowledged) && recipients.len() == 2);
}

pub async fn an_alarm_is_changed_at_its_current_revision_only(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria] = persons(&*store, ["maria"]).await;
    let disk = alarm(Target::Person(maria.id), "disk");
    commit(&*store, raise(&disk, &[&maria])).await.unwrap();
    // A second alarm with the same raiser, target and key is refused until the first one is over.
    let twin = alarm(disk.to, "disk");
    let what = Unique::Alarm;
    let refused = commit(&*store, raise(&twin, &[&maria])).await;
    assert_eq!(refused, Err(StoreError::Conflict { what }));
    let set = async |alarm: &Alarm| {
        let change = AlarmChange::Update(alarm.clone());
        commit(&*store, [Change::Alarm(change)]).await.map(|_| ())
    };
    let over = disk.clone().revised(|alarm| alarm.state = AlarmState::Over);
    set(&over).await.unwrap();
    let what = Thing::Alarm;
    assert_eq!(set(&over).await, Err(StoreError::Stale { what }));
    let oldest = store.oldest_over(Some(maria.id)).await.unwrap();
    assert_eq!(oldest, Some(over.clone()));
    commit(&*store, raise(&twin, &[&maria])).await.unwrap();

    let list = async |search: AlarmSearch| {
        let found = store.alarms(&search).await.unwrap();
        found.iter().map(|alarm| alarm.id).collect::<Vec<_>>()
    };
    let all = AlarmSearch {
        account: Some(maria.id),
        limit: 9,
        ..AlarmSearch::default()
    };
    let newest_first = [twin.id.max(disk.id), twin.id.min(disk.id)];
    assert_eq!(list(all.clone()).await, newest_first);
    let limited = AlarmSearch {
        account: None,
        limit: 1,
        ..all.clone()
    };
    assert_eq!(list(limited.clone()).await, newest_first[..1]);
    let before = Some(newest_first[0]);
    assert_eq!(
        list(AlarmSearch { before, ..limited }).await,
        newest_first[1..]
    );
    let current_key = Some(disk.key.clone());
    let current = AlarmSearch {
        current_key,
        raiser: Some(Raiser::Site),
        ..all.clone()
    };
    assert_eq!(list(current).await, [twin.id]);
    let state = Some(AlarmState::Over);
    assert_eq!(list(AlarmSearch { state, ..all }).await, [disk.id]);
    let counts = store.alarm_counts(Some(Raiser::Site)).await.unwrap();
    let (stored, of_raiser) = (2, 1);
    assert_eq!(counts, AlarmCounts { stored, of_raiser });

    let delete = |revision| {
        let id = disk.id;
        [Change::Alarm(AlarmChange::Delete { id, revision })]
    };
    assert_eq!(
        commit(&*store, delete(1)).await,
        Err(StoreError::Stale { what })
    );
    commit(&*store, delete(2)).await.unwrap();
    assert_eq!(
        commit(&*store, delete(2)).await,
        Err(StoreError::NotFound { what })
    );
    assert_eq!(set(&over).await, Err(StoreError::NotFound { what }));
    assert!(store.deliveries_of(disk.id, None).await.unwrap().is_empty());
    assert_eq!(store.oldest_over(None).await.unwrap(), None);
}

pub async fn deleting_an_account_deletes_its_alarms(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria, bob] = persons(&*store, ["maria", "bob"]).await;
    let own = alarm(Target::Person(maria.id), "own");
    let shared = alarm(Target::Admins, "shared");
    commit(&*store, raise(&own, &[&maria])).await.unwrap();
    commit(&*store, raise(&shared, &[&maria, &bob]))
        .await
        .unwrap();
    let stored = StoredPreferences {
        preferences: Preferences::default(),
        revision: 1,
    };
    let put = |account| {
        let stored = stored.clone();
        [Change::Alarm(AlarmChange::PutPreferences {
            account,
            stored,
        })]
    };
    commit(&*store, put(maria.id)).await.unwrap();
    let (id, revision) = (maria.id, 1);
    commit(&*store, [Change::DeleteAccount { id, revision }])
        .await
        .unwrap();
    assert_eq!(
        store.alarm(own.id).await.unwrap(),
        None,
        "it has no other recipient"
    );
    let left = store.recipients(shared.id).await.unwrap();
    assert_eq!(
        left.iter().map(|one| one.account).collect::<Vec<_>>(),
        [bob.id]
    );
    let left = store.deliveries_of(shared.id, None).await.unwrap();
    assert!(left.iter().all(|one| one.account == bob.id) && left.len() == 1);
    assert_eq!(store.preferences(maria.id).await.unwrap(), None);
    let what = Thing::Account;
    let missing = StoreError::NotFound { what };
    assert_eq!(commit(&*store, put(maria.id)).await, Err(missing.clone()));
    let ghost = alarm(Target::Admins, "ghost");
    assert_eq!(
        commit(&*store, raise(&ghost, &[&bob, &maria])).await,
        Err(missing)
    );
    assert_eq!(store.alarm(ghost.id).await.unwrap(), None);
}

pub async fn deliveries_are_leased_in_their_order(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria, bob] = persons(&*store, ["maria", "bob"]).await;
    let alarms = ["one", "two", "three"].map(|key| alarm(Target::Admins, key));
    for alarm in &alarms {
        commit(&*store, raise(alarm, &[&maria, &bob]))
            .await
            .unwrap();
    }
    let due = async |now| {
        let due = store.due_deliveries(now, 9).await.unwrap();
        let of = due.into_iter().filter(|one| one.account == maria.id);
        of.collect::<Vec<_>>()
    };
    assert_eq!(store.due_deliveries(NOW, 9).await.unwrap().len(), 2);
    assert_eq!(store.due_deliveries(NOW, 1).await.unwrap().len(), 1);
    assert!(
        due(Timestamp::from_millis(NOW.millis() - 1))
            .await
            .is_empty()
    );
    assert_eq!(store.next_due().await.unwrap(), Some(NOW));
    let first = due(NOW).await.pop().unwrap();
    assert_eq!(first.alarm, alarms[0].id);

    // A leased delivery blocks the later ones of its queue. Only one worker gets the lease.
    let taken = leased(&first, first.id, NOW);
    update(&*store, vec![taken.clone()]).await.unwrap();
    let what = Thing::Delivery;
    let again = update(&*store, vec![leased(&first, first.id, NOW)]).await;
    assert_eq!(again, Err(StoreError::Stale { what }));
    assert!(due(after(119)).await.is_empty());
    assert_eq!(
        store.leased_deliveries(first.id).await.unwrap(),
        slice::from_ref(&taken)
    );
    let recent = async |since, now| {
        let recent = store.recent_messages(maria.id, since, now, 9);
        recent.await.unwrap()
    };
    let message = (DeliveryChannel::Email, NOW);
    let before = Timestamp::from_millis(NOW.millis() - 1);
    assert_eq!(recent(before, NOW).await, [message]);
    assert!(recent(NOW, NOW).await.is_empty());
    // A lease that has ended is ignored, and so is one from before the clock was set back.
    assert_eq!(due(after(120)).await, slice::from_ref(&taken));
    let far_back = Timestamp::from_millis(NOW.millis() - 1_000_000);
    let back = taken.clone().revised(|one| one.due = far_back);
    update(&*store, vec![back.clone()]).await.unwrap();
    assert_eq!(due(far_back).await, slice::from_ref(&back));

    let sent = back.revised(|one| one.state = DeliveryState::Sent);
    update(&*store, vec![sent]).await.unwrap();
    assert_eq!(
        recent(before, after(500)).await,
        [message],
        "a sent message counts"
    );
    assert_eq!(due(NOW).await[0].alarm, alarms[1].id);
    let waiting = store.waiting_deliveries(maria.id, DeliveryChannel::Email, 9);
    let waiting = waiting.await.unwrap();
    let order: Vec<_> = waiting.iter().map(|one| one.alarm).collect();
    assert_eq!(order, [alarms[1].id, alarms[2].id]);

    // A delivery that replaces another one is placed after all others.
    let email = DeliveryChannel::Email;
    let anew = delivery(&alarms[1], maria.id, email);
    let change = AlarmChange::InsertDeliveries(vec![anew.clone()]);
    commit(&*store, [Change::Alarm(change)]).await.unwrap();
    let waiting = store.waiting_deliveries(maria.id, email, 9).await.unwrap();
    let order: Vec<_> = waiting.iter().map(|one| one.alarm).collect();
    assert_eq!(order, [alarms[2].id, alarms[1].id]);
    let stale = vec![
        leased(&waiting[1], anew.id, NOW),
        leased(&first, first.id, NOW),
    ];
    assert!(update(&*store, stale).await.is_err(), "it is atomic");
    assert_eq!(store.delivery(anew.id).await.unwrap(), Some(anew));
}

pub async fn cancelling_includes_leased_deliveries(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria] = persons(&*store, ["maria"]).await;
    let disk = alarm(Target::Person(maria.id), "disk");
    let mut changes = raise(&disk, &[&maria]);
    let text = delivery(&disk, maria.id, DeliveryChannel::Text);
    let sent = text.clone().revised(|one| one.state = DeliveryState::Sent);
    changes.push(Change::Alarm(AlarmChange::InsertDeliveries(vec![text])));
    changes.push(Change::Alarm(AlarmChange::UpdateDeliveries(vec![
        sent.clone(),
    ])));
    commit(&*store, changes).await.unwrap();
    let [email] = store
        .due_deliveries(NOW, 9)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    let taken = leased(&email, email.id, NOW);
    update(&*store, vec![taken.clone()]).await.unwrap();
    let cancel = AlarmChange::CancelDeliveries(disk.id);
    commit(&*store, [Change::Alarm(cancel)]).await.unwrap();
    let late = taken.revised(|one| one.state = DeliveryState::Sent);
    let what = Thing::Delivery;
    let refused = update(&*store, vec![late]).await;
    assert_eq!(refused, Err(StoreError::Stale { what }));
    let list = async |state| {
        let search = DeliverySearch {
            state,
            limit: 9,
            ..DeliverySearch::default()
        };
        store.deliveries(&search).await.unwrap()
    };
    assert_eq!(list(Some(DeliveryState::Cancelled)).await.len(), 1);
    assert_eq!(list(Some(DeliveryState::Sent)).await, [sent]);
    assert!(list(Some(DeliveryState::Waiting)).await.is_empty());
    let all = list(None).await;
    let rest = DeliverySearch {
        after: Some(all[0].id),
        limit: 9,
        ..DeliverySearch::default()
    };
    assert_eq!(store.deliveries(&rest).await.unwrap(), all[1..]);
    assert!(store.leased_deliveries(email.id).await.unwrap().is_empty());
}

pub async fn due_escalations_and_active_admins_are_found(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let mut accounts = ["carol", "alice", "bob"].map(person);
    for account in &mut accounts {
        account.role = Role::Admin;
    }
    accounts[2].state = State::Locked;
    let changes = accounts.clone().map(Change::InsertAccount);
    commit(&*store, changes).await.unwrap();
    persons(&*store, ["maria"]).await;
    let admins = store.active_admins(9).await.unwrap();
    assert_eq!(admins, [accounts[1].clone(), accounts[0].clone()]);
    assert_eq!(store.active_admins(1).await.unwrap().len(), 1);
    let late = alarm(Target::Person(accounts[0].id), "late");
    let mut early = alarm(late.to, "early");
    early.escalates = Some(after(60));
    for alarm in [&late, &early] {
        commit(&*store, raise(alarm, &[&accounts[0]]))
            .await
            .unwrap();
    }
    let due = async |now| store.due_escalations(now, 9).await.unwrap();
    assert_eq!(due(after(59)).await, []);
    assert_eq!(due(after(60)).await, [early.clone()]);
    assert_eq!(due(after(900)).await, [early.clone(), late.clone()]);
    let acknowledged = early.revised(|one| one.state = AlarmState::Acknowledged);
    let change = AlarmChange::Update(acknowledged);
    commit(&*store, [Change::Alarm(change)]).await.unwrap();
    assert_eq!(due(after(900)).await, [late]);
}

pub async fn preferences_are_changed_at_the_current_revision_only(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria] = persons(&*store, ["maria"]).await;
    assert_eq!(store.preferences(maria.id).await.unwrap(), None);
    let put = async |language, revision| {
        let preferences = Preferences {
            language,
            ..Preferences::default()
        };
        let stored = StoredPreferences {
            preferences,
            revision,
        };
        let account = maria.id;
        let change = AlarmChange::PutPreferences { account, stored };
        commit(&*store, [Change::Alarm(change)]).await.map(|_| ())
    };
    let what = Thing::Preferences;
    let stale = Err(StoreError::Stale { what });
    assert_eq!(put(Language::De, 2).await, stale);
    put(Language::De, 1).await.unwrap();
    assert_eq!(put(Language::En, 1).await, stale);
    put(Language::En, 2).await.unwrap();
    let stored = store.preferences(maria.id).await.unwrap().unwrap();
    assert_eq!(
        (stored.preferences.language, stored.revision),
        (Language::En, 2)
    );
}
