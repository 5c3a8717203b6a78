//! The outbox: leases, order, retries, summaries and escalation.

use countersign_core::access::Caller;
use countersign_core::alarms::DeliveryChannel;
use countersign_core::engine::{DeliveryResult, DueDelivery, Site};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run_at};
use serde_json::{Value, json};

use super::{deliver, later, person, raise, site};

pub(crate) async fn due(site: &Site, now: Timestamp) -> Vec<DueDelivery> {
    site.due_deliveries(now, 100).await.unwrap()
}

/// Sends all due messages and returns their short texts.
async fn sent(site: &Site, now: Timestamp) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let due = due(site, now).await;
        if due.is_empty() {
            return texts;
        }
        for one in due {
            let result = DeliveryResult::Sent;
            assert!(site.delivered(one.message_id, &result, now).await.unwrap());
            texts.push(one.message.short);
        }
    }
}

pub(crate) fn failed() -> DeliveryResult {
    DeliveryResult::Failed {
        error: "451 later\r\n".to_owned(),
        retry_after_s: None,
    }
}

async fn deliveries(test: &TestSite, state: &str) -> Vec<Value> {
    let listed = test
        .admin("alarm.deliveries", json!({ "state": state }))
        .await;
    listed["entries"].as_array().unwrap().clone()
}

async fn at(test: &TestSite, name: &str, params: Value, now: Timestamp) -> Value {
    let caller = Caller::admin_socket();
    let (code, data) = run_at(&test.site, &caller, name, params, now).await;
    assert_eq!(code, Code::SUCCESS, "{name}: {data}");
    data
}

/// Alarms named commands where refusals name operations, and the message about a message from a peer named
/// `peer inbox`, which is no command.
#[tokio::test]
async fn an_alarm_of_the_site_names_operations_and_its_message_names_commands() {
    let test = site().await;
    person(&test, "root", "admin").await;
    test.person("maria", "member").await;
    let text = "About `lockdown status`.";
    let by_hand = json!({ "to": "admins", "severity": "info", "text": text, "key": "by hand" });
    test.admin("alarm.raise", by_hand).await;
    test.admin("lockdown.person", json!({ "name": "maria" }))
        .await;
    let listed = test.admin("alarm.list", json!({})).await;
    assert!(
        listed
            .to_string()
            .contains("See why with `lockdown status`."),
        "{listed}"
    );
    let sent = sent(&test.site, later(3_600)).await.join("\n");
    assert!(
        sent.contains("See why with `countersign lockdown status`."),
        "{sent}"
    );
    // What a caller wrote stays.
    assert!(sent.contains(text), "{sent}");
}

#[tokio::test]
async fn a_message_is_leased_sent_once_and_recorded() {
    let test = site().await;
    person(&test, "maria", "member").await;
    raise(&test, "maria", "disk").await;
    let [message] = due(&test.site, NOW).await.try_into().unwrap();
    assert_eq!(
        (message.channel, message.address.as_str()),
        (DeliveryChannel::Email, "maria@mail.example")
    );
    assert_eq!(
        message.message.subject,
        "[example.org] Warning, local admin: About disk."
    );
    assert!(due(&test.site, later(119)).await.is_empty(), "it is leased");
    let next = test.site.next_delivery().await.unwrap();
    assert_eq!(next, Some(later(120)));
    // The lease has ended without a result, as when the worker was killed.
    let [again] = due(&test.site, later(120)).await.try_into().unwrap();
    assert_eq!(again.message_id, message.message_id);
    let sent = DeliveryResult::Sent;
    let record = async || {
        test.site
            .delivered(message.message_id, &sent, later(121))
            .await
            .unwrap()
    };
    assert!(record().await && !record().await);
    assert!(due(&test.site, later(10_000)).await.is_empty());
    assert_eq!(test.site.next_delivery().await.unwrap(), None);
}

#[tokio::test]
async fn a_failing_message_is_retried_for_a_day_and_then_dead_until_an_admin_retries_it() {
    let test = site().await;
    person(&test, "maria", "member").await;
    raise(&test, "maria", "disk").await;
    let (mut now, mut backoffs) = (NOW, Vec::new());
    while let [message] = due(&test.site, now).await.as_slice() {
        test.site
            .delivered(message.message_id, &failed(), now)
            .await
            .unwrap();
        let Some(next) = test.site.next_delivery().await.unwrap() else {
            break;
        };
        backoffs.push((next.millis() - now.millis()) / 1_000);
        now = next;
    }
    assert_eq!(
        backoffs[..10],
        [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600]
    );
    assert!((later(86_400)..later(90_000)).contains(&now));
    let [dead] = deliveries(&test, "dead").await.try_into().unwrap();
    assert_eq!(
        dead["last_error"], "451 later",
        "without control characters"
    );
    let status = at(&test, "site.status", json!({}), now).await;
    let counts = json!({
        "email": true, "text": true, "waiting": 0, "dead": 1, "late": false
    });
    assert_eq!(status["delivery"], counts);
    let retried = at(&test, "alarm.retry", json!({}), now).await;
    assert_eq!(
        retried,
        json!({ "retried": 1, "cancelled": 0, "more": false })
    );
    let id = json!({ "id": dead["id"] });
    let (code, _) = test.refused("alarm.retry", id).await;
    assert_eq!(code, Code::CONFLICT, "it is no longer dead");
    let status = at(&test, "site.status", json!({}), now).await;
    assert_eq!(status["delivery"]["oldest"], json!(now));
    assert_eq!(sent(&test.site, now).await.len(), 1);
}

/// A service raised an alarm with a text that the mail server's filter answered with 451 each time. The
/// later alarms of that person, channel and severity waited behind it for 24 hours.
///
/// ALM-6.
#[tokio::test]
async fn a_message_that_the_channel_refuses_ten_times_is_dead_and_the_next_one_is_sent() {
    let test = site().await;
    person(&test, "maria", "member").await;
    raise(&test, "maria", "refused").await;
    raise(&test, "maria", "next").await;
    let refused = DeliveryResult::Refused {
        error: "451 content filter".to_owned(),
        retry_after_s: None,
    };
    let (mut now, mut refusals) = (NOW, 0);
    // An outage of the channel does not count.
    for result in std::iter::once(&failed()).chain(std::iter::repeat_n(&refused, 10)) {
        let [message] = due(&test.site, now).await.try_into().unwrap();
        assert!(
            message.message.short.contains("refused"),
            "the order is kept"
        );
        let status = at(&test, "site.status", json!({}), now).await;
        assert_eq!(status["delivery"]["oldest_attempts"], json!(refusals));
        let recorded = test.site.delivered(message.message_id, result, now);
        assert!(recorded.await.unwrap());
        refusals += 1;
        now = test.site.next_delivery().await.unwrap().unwrap();
    }
    let [dead] = deliveries(&test, "dead").await.try_into().unwrap();
    assert_eq!(dead["last_error"], "451 content filter");
    let two_hours_and_a_half = later(9_000);
    assert!(now < two_hours_and_a_half, "{now}");
    let [next] = sent(&test.site, two_hours_and_a_half)
        .await
        .try_into()
        .unwrap();
    assert!(next.contains("next"), "{next}");
}

#[tokio::test]
async fn the_status_shows_why_the_oldest_message_waits() {
    let test = site().await;
    person(&test, "maria", "member").await;
    raise(&test, "maria", "disk").await;
    let [message] = due(&test.site, NOW).await.try_into().unwrap();
    let failed = failed();
    let recorded = test.site.delivered(message.message_id, &failed, NOW);
    assert!(recorded.await.unwrap());
    for (now, late) in [(later(3_600), false), (later(3_601), true)] {
        let status = at(&test, "site.status", json!({}), now).await;
        assert_eq!(
            status["delivery"],
            json!({
                "email": true, "text": true, "waiting": 1, "dead": 0, "oldest": NOW,
                "oldest_attempts": 1, "oldest_error": "451 later", "late": late,
            })
        );
    }
}

#[tokio::test]
async fn a_channel_can_request_a_delay_and_can_reject_permanently() {
    let test = site().await;
    person(&test, "maria", "member").await;
    raise(&test, "maria", "disk").await;
    let [message] = due(&test.site, NOW).await.try_into().unwrap();
    let busy = DeliveryResult::Failed {
        error: "429".to_owned(),
        retry_after_s: Some(u32::MAX),
    };
    test.site
        .delivered(message.message_id, &busy, NOW)
        .await
        .unwrap();
    assert_eq!(test.site.next_delivery().await.unwrap(), Some(later(3_600)));
    let [message] = due(&test.site, later(3_600)).await.try_into().unwrap();
    let error = "550 no such mailbox".to_owned();
    let rejected = DeliveryResult::Rejected { error };
    test.site
        .delivered(message.message_id, &rejected, later(3_600))
        .await
        .unwrap();
    assert_eq!(deliveries(&test, "dead").await.len(), 1);
    // A retry cancels the delivery of an alarm that was acknowledged in the meantime.
    let alarm = &test.admin("alarm.list", json!({})).await["entries"][0]["id"];
    test.admin("alarm.acknowledge", json!({ "id": alarm }))
        .await;
    let retried = test.admin("alarm.retry", json!({})).await;
    assert_eq!(
        retried,
        json!({ "retried": 0, "cancelled": 1, "more": false })
    );
    assert!(due(&test.site, later(9_000)).await.is_empty());
}

#[tokio::test]
async fn an_acknowledgement_cancels_a_leased_message() {
    let test = site().await;
    person(&test, "maria", "member").await;
    let alarm = raise(&test, "maria", "disk").await;
    let [message] = due(&test.site, NOW).await.try_into().unwrap();
    assert!(
        test.site
            .still_due(&message, later(119))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        test.site
            .still_due(&message, later(120))
            .await
            .unwrap()
            .is_none()
    );
    test.admin("alarm.acknowledge", json!({ "id": alarm["id"] }))
        .await;
    assert!(test.site.still_due(&message, NOW).await.unwrap().is_none());
    let late = test
        .site
        .delivered(message.message_id, &failed(), NOW)
        .await;
    assert!(!late.unwrap(), "nothing to record");
    assert!(due(&test.site, later(10_000)).await.is_empty());
    let again = at(
        &test,
        "alarm.raise",
        json!({ "to": "maria", "severity": "warning", "text": "x", "key": "disk" }),
        later(10_000),
    );
    assert_eq!(again.await["count"], 2);
    assert!(
        due(&test.site, later(10_000)).await.is_empty(),
        "an acknowledged alarm is not delivered"
    );
}

#[tokio::test]
async fn forty_alarms_are_ten_messages_and_one_summary_in_ten_minutes() {
    let test = site().await;
    person(&test, "maria", "member").await;
    let mut ids = Vec::new();
    for at in 0..40 {
        ids.push(raise(&test, "maria", &format!("alarm {at}")).await["id"].clone());
    }
    let singles = sent(&test.site, NOW).await;
    let expected: Vec<_> = (0..10)
        .map(|at| format!("[example.org] Warning, local admin: About alarm {at}."))
        .collect();
    assert_eq!(singles, expected);
    let params = json!({ "to": "maria", "severity": "critical", "text": "Fire." });
    test.admin("alarm.raise", params).await;
    assert_eq!(
        sent(&test.site, later(1)).await,
        ["[example.org] Critical, local admin: Fire."]
    );
    assert_eq!(test.site.next_delivery().await.unwrap(), Some(later(600)));
    let [summary] = due(&test.site, later(600)).await.try_into().unwrap();
    assert_eq!(
        (summary.deliveries, summary.message.subject.as_str()),
        (30, "[example.org] Summary of 30 messages")
    );
    // One of the alarms is acknowledged before the summary is sent.
    test.admin("alarm.acknowledge", json!({ "id": ids[20] }))
        .await;
    let left = test
        .site
        .still_due(&summary, later(601))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((left.deliveries, left.message_id), (29, summary.message_id));
    assert!(!left.message.text.contains("alarm 20."));
    // A failed summary is sent again as one message.
    test.site
        .delivered(left.message_id, &failed(), later(602))
        .await
        .unwrap();
    let [again] = due(&test.site, later(612)).await.try_into().unwrap();
    assert_eq!(again.deliveries, 29);
    assert_eq!(again.idempotency_key, left.idempotency_key);
    assert_ne!(again.idempotency_key, summary.idempotency_key);
    test.site
        .delivered(again.message_id, &DeliveryResult::Sent, later(612))
        .await
        .unwrap();
    assert!(due(&test.site, later(5_000)).await.is_empty());
}

#[tokio::test]
async fn quiet_hours_delay_all_messages_but_critical_ones() {
    let test = site().await;
    person(&test, "maria", "member").await;
    // It is 13:00 in Berlin.
    let quiet = json!({ "person": "maria", "time_zone": "Europe/Berlin", "quiet_from": "12:00", "quiet_to": "14:00", "language": "de" });
    test.admin("alarm.preferences", quiet).await;
    raise(&test, "maria", "disk").await;
    let params = json!({ "to": "maria", "severity": "critical", "text": "Feuer." });
    test.admin("alarm.raise", params).await;
    assert_eq!(
        sent(&test.site, NOW).await,
        ["[example.org] Kritisch, local admin: Feuer."]
    );
    assert_eq!(sent(&test.site, later(3_599)).await.len(), 0);
    assert_eq!(
        sent(&test.site, later(3_600)).await,
        ["[example.org] Warnung, local admin: About disk."]
    );
}

#[tokio::test]
async fn an_unacknowledged_alarm_goes_to_the_next_channel_and_to_the_admins() {
    let test = site().await;
    person(&test, "maria", "member").await;
    person(&test, "root", "admin").await;
    let number = json!({ "person": "maria", "text_to": "+49 151 0" });
    test.admin("alarm.preferences", number).await;
    let params = json!({ "to": "maria", "severity": "critical", "text": "Fire.", "key": "fire" });
    let alarm = test.admin("alarm.raise", params).await;
    let channels = async |now| {
        let mut notified = Vec::new();
        for one in due(&test.site, now).await {
            test.site
                .delivered(one.message_id, &DeliveryResult::Sent, now)
                .await
                .unwrap();
            notified.push((one.name, one.channel));
        }
        notified
    };
    let (maria, root) = (
        "maria@example.org".to_owned(),
        "root@example.org".to_owned(),
    );
    assert_eq!(
        channels(NOW).await,
        [(maria.clone(), DeliveryChannel::Email)]
    );
    assert!(channels(later(299)).await.is_empty());
    assert_eq!(channels(later(300)).await, [(maria, DeliveryChannel::Text)]);
    assert!(channels(later(899)).await.is_empty());
    assert_eq!(
        channels(later(900)).await,
        [(root.clone(), DeliveryChannel::Email)]
    );
    let shown = test.admin("alarm.show", json!({ "id": alarm["id"] })).await;
    assert_eq!(shown["recipients"].as_array().unwrap().len(), 2);
    // Notified recipients receive the end.
    at(&test, "alarm.over", json!({ "key": "fire" }), later(1_000)).await;
    let over = channels(later(1_000)).await;
    assert_eq!(over.len(), 2);
    assert!(over.contains(&(root, DeliveryChannel::Email)));
}

#[tokio::test]
async fn an_alarm_that_ends_before_its_delivery_is_not_delivered() {
    let test = site().await;
    person(&test, "maria", "member").await;
    raise(&test, "maria", "disk").await;
    test.admin("alarm.over", json!({ "key": "disk" })).await;
    assert!(due(&test.site, NOW).await.is_empty());
    assert_eq!(deliveries(&test, "cancelled").await.len(), 1);
}

#[tokio::test]
async fn a_delivery_over_a_removed_channel_is_dead() {
    let test = site().await;
    person(&test, "maria", "member").await;
    raise(&test, "maria", "disk").await;
    test.site.deliver_with(Default::default());
    assert!(due(&test.site, NOW).await.is_empty());
    let [dead] = deliveries(&test, "dead").await.try_into().unwrap();
    assert!(
        dead["last_error"]
            .as_str()
            .unwrap()
            .contains("no such channel")
    );
    deliver(&test);
    test.admin("alarm.retry", json!({ "id": dead["id"] })).await;
    assert_eq!(due(&test.site, NOW).await.len(), 1);
}

/// A mail server that was down was not visible in the list of alarms.
#[tokio::test]
async fn a_message_that_waits_is_seen_in_the_list_of_alarms() {
    let test = site().await;
    let maria = person(&test, "maria", "member").await;
    let alarm = raise(&test, "maria", "disk").await;
    raise(&test, "maria", "door").await;
    let message = due(&test.site, NOW).await.remove(0);
    test.site
        .delivered(message.message_id, &failed(), NOW)
        .await
        .unwrap();
    let by_id = json!({ "id": alarm["id"] });
    let listed = test.admin("alarm.list", json!({})).await;
    let shown = test.admin("alarm.show", by_id.clone()).await;
    let counts = json!({ "waiting": 1, "sent": 0, "dead": 0, "last_error": "451 later" });
    let entries = listed["entries"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["id"] == alarm["id"]);
    assert_eq!(entry.unwrap()["deliveries"], counts);
    assert_eq!(shown["deliveries"], counts);
    let of_alarm = json!({ "alarm": alarm["id"], "state": "waiting" });
    let found = test.admin("alarm.deliveries", of_alarm).await;
    assert_eq!(found["entries"].as_array().unwrap().len(), 1);
    assert_eq!(found["entries"][0]["alarm"], alarm["id"]);
    let (_, own) = run_at(&test.site, &maria.caller, "alarm.show", by_id, NOW).await;
    assert!(
        own["deliveries"].is_null(),
        "members do not see the errors of the site"
    );
}
