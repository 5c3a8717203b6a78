//! A worker that fails and is killed: every message is sent, in order, and none of an acknowledged
//! alarm.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::access::Caller;
use countersign_core::alarms::DeliveryState;
use countersign_core::engine::{DeliveryResult, Site};
use countersign_core::id::{AccountId, AlarmId};
use countersign_core::store::{Alarms, DeliverySearch};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run_at};
use serde_json::json;

use super::outbox::{due, failed};
use super::{deliver, later, settings, site};

/// A worker that sometimes fails or is killed, and a record of its messages.
#[derive(Default)]
struct Worker {
    /// The acknowledged alarms.
    acknowledged: BTreeSet<AlarmId>,
    /// The alarms that the channel accepted for each account, in order.
    accepted: BTreeMap<AccountId, Vec<AlarmId>>,
    rounds: usize,
}

impl Worker {
    /// Handles the due messages at `now`. Returns whether there were any.
    async fn round(&mut self, site: &Site, store: &dyn Alarms, now: Timestamp) -> bool {
        let due = site.due_deliveries(now, 100).await.unwrap();
        let any = !due.is_empty();
        for message in due {
            self.rounds += 1;
            let leased = store.leased_deliveries(message.message_id).await.unwrap();
            assert_eq!(leased.len(), message.deliveries);
            for one in &leased {
                assert!(
                    !self.acknowledged.contains(&one.alarm),
                    "an acknowledged alarm was leased"
                );
            }
            match self.rounds % 7 {
                // The worker is killed before it sends and reports no result.
                3 => {}
                5 => {
                    site.delivered(message.message_id, &failed(), now)
                        .await
                        .unwrap();
                }
                _ => {
                    let accepted = self.accepted.entry(message.account).or_default();
                    accepted.extend(leased.iter().map(|one| one.alarm));
                    let sent = DeliveryResult::Sent;
                    assert!(
                        site.delivered(message.message_id, &sent, now)
                            .await
                            .unwrap()
                    );
                }
            }
        }
        any
    }

    async fn acknowledge(&mut self, site: &Site, alarm: AlarmId, now: Timestamp) {
        let (caller, params) = (Caller::admin_socket(), json!({ "id": alarm }));
        let (code, data) = run_at(site, &caller, "alarm.acknowledge", params, now).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
        self.acknowledged.insert(alarm);
    }

    /// Works until nothing waits.
    async fn drain(&mut self, site: &Site, store: &dyn Alarms, mut now: Timestamp) {
        loop {
            while self.round(site, store, now).await {}
            match site.next_delivery().await.unwrap() {
                Some(next) => now = now.plus_millis(1).max(next),
                None => return,
            }
        }
    }
}

/// Raises `each` alarms for each person, one per millisecond. Returns their ids in that order.
async fn raise_many(test: &TestSite, people: &[String], each: usize) -> Vec<AlarmId> {
    let mut ids = Vec::new();
    for at in 0..each * people.len() {
        let to = &people[at % people.len()];
        let severity =
            ["info", "warning", "info", "warning", "info", "critical"][at / people.len() % 6];
        let params = json!({ "to": to, "severity": severity, "text": format!("number {at}") });
        let now = NOW.plus_millis(at as u64);
        // Only alarms of the site itself can use all places.
        let caller = Caller::site();
        let (code, raised) = run_at(&test.site, &caller, "alarm.raise", params, now).await;
        assert_eq!(code, Code::SUCCESS, "{raised}");
        ids.push(raised["id"].as_str().unwrap().parse().unwrap());
    }
    ids
}

/// Checks that each unacknowledged alarm was accepted once, in order for its person and severity.
async fn check(worker: &Worker, store: &dyn Alarms, ids: &[AlarmId]) {
    let mut notified = BTreeSet::new();
    for accepted in worker.accepted.values() {
        let mut last = BTreeMap::new();
        for id in accepted {
            assert!(notified.insert(*id), "sent twice");
            let severity = store.alarm(*id).await.unwrap().unwrap().severity;
            let before = last.insert(severity, *id);
            assert!(before.is_none_or(|before| before < *id), "out of order");
        }
    }
    for id in ids {
        assert!(notified.contains(id) || worker.acknowledged.contains(id));
    }
    let search = DeliverySearch {
        state: Some(DeliveryState::Waiting),
        limit: 1,
        ..DeliverySearch::default()
    };
    assert_eq!(store.deliveries(&search).await.unwrap(), []);
}

async fn people(test: &TestSite, number: usize) -> Vec<String> {
    let names: Vec<String> = (0..number).map(|at| format!("person-{at}")).collect();
    for name in &names {
        let email = format!("{name}@mail.example");
        test.admin("person.create", json!({ "name": name, "email": email }))
            .await;
    }
    names
}

#[tokio::test]
async fn ten_thousand_alarms_are_delivered_in_order_and_acknowledged_ones_never_again() {
    let test = site().await;
    let people = people(&test, 20).await;
    let ids = raise_many(&test, &people, 500).await;
    assert_eq!(ids.len(), 10_000);
    let memory = test.memory();
    let mut worker = Worker::default();
    let now = later(60);
    for _ in 0..20 {
        worker.round(&test.site, &memory, now).await;
    }
    for id in ids.iter().skip(5).step_by(11) {
        worker.acknowledge(&test.site, *id, now).await;
    }
    worker.drain(&test.site, &memory, now).await;
    check(&worker, &memory, &ids).await;
}

#[tokio::test]
async fn a_restart_loses_no_message() {
    let test = TestSite::builder().file().build().await;
    deliver(&test);
    let people = people(&test, 4).await;
    let ids = raise_many(&test, &people, 15).await;
    let mut worker = Worker::default();
    let mut site = test.site.clone();
    for restart in 0..5_u32 {
        let store = test.parts().await.store;
        let now = later(60 + restart);
        worker.round(&site, &*store, now).await;
        // This process leases messages and reports no result.
        due(&site, now).await;
        worker
            .acknowledge(&site, ids[restart as usize * 7], now)
            .await;
        site = test.unsealed().await;
        site.deliver_with(settings());
    }
    let store = test.parts().await.store;
    worker.drain(&site, &*store, later(100)).await;
    check(&worker, &*store, &ids).await;
}
