//! Alarms about the misuse of a person's credentials, when the attacker has the credentials.

use countersign_core::access::Caller;
use countersign_core::alarms::SystemAlarm;
use countersign_core::engine::{Decision, NewDeviceSession, Observed};
use countersign_core::sessions::SessionInfo;
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{DEVICE_SOURCE, NOW, TestDevice, TestSite, run};
use serde_json::{Value, json};

use crate::site::alarms::deliver;
use crate::site::alarms::outbox::due;
use crate::site::enrolment::{ADA, site};

const HOUR: u32 = 60 * 60;
const IDLE: u64 = 300_000;

/// A site that sends mail and texts, with the member `ada` and the admin `maria`, who have both.
async fn with_contacts() -> TestSite {
    let test = site().await;
    deliver(&test);
    let maria = json!({ "name": "maria", "role": "admin" });
    test.admin("person.create", maria).await;
    for (name, number) in [("ada", "+49 1"), ("maria", "+49 2")] {
        let email = format!("{name}@mail.example");
        test.admin("person.update", json!({ "name": name, "email": email }))
            .await;
        let number = json!({ "person": name, "text_to": number });
        test.admin("alarm.preferences", number).await;
    }
    test
}

async fn alarms(test: &TestSite) -> Vec<Value> {
    let listed = test.admin("alarm.list", json!({})).await;
    listed["entries"].as_array().unwrap().clone()
}

/// The addresses of the messages that are due.
async fn addresses(test: &TestSite, now: Timestamp) -> Vec<String> {
    let due = due(&test.site, now).await;
    let mut addresses: Vec<String> = due.into_iter().map(|one| one.address).collect();
    addresses.sort_unstable();
    addresses
}

const ALL: [&str; 4] = ["+49 1", "+49 2", "ada@mail.example", "maria@mail.example"];

/// A thief enrolled with the ticket, kept a connection open and acknowledged the alarm that the
/// owner's own attempt raised: no message was sent to anyone.
// ALM-44, ALM-45
#[tokio::test]
async fn a_device_that_took_the_ticket_cannot_silence_the_alarm_about_it() {
    let test = with_contacts().await;
    let (ticket, thief) = (test.ticket("ada").await, TestDevice::new());
    thief
        .enrol(&test.site, &ticket.token, ADA, NOW)
        .await
        .unwrap();
    let session = test.device_session(&test.site, &thief, ADA, NOW).await;
    let session = session.unwrap();
    let events = Box::new(|_: &_| true);
    test.site.events().subscribe(&session.info, events);
    let owner = TestDevice::new();
    assert!(
        owner
            .enrol(&test.site, &ticket.token, ADA, NOW)
            .await
            .is_err()
    );
    test.site.raise_reported(NOW).await.unwrap();
    for alarm in alarms(&test).await {
        let by_id = json!({ "id": alarm["id"] });
        let (code, _) = run(&test.site, &session.caller, "alarm.acknowledge", by_id).await;
        let expected = match alarm["to"] == "admins" {
            true => Code::NOT_FOUND,
            false => Code::NOT_PERMITTED,
        };
        assert_eq!(code, expected, "{alarm}");
        assert!(alarm["escalates"].is_null(), "{alarm}");
    }
    assert_eq!(addresses(&test, NOW).await, ALL);
}

/// The admins were told after 15 minutes, and not at all if the person's alarm was acknowledged.
// ALM-44
#[tokio::test]
async fn the_admins_learn_of_a_second_key_at_once() {
    let test = with_contacts().await;
    let ticket = test.ticket("ada").await;
    for _ in 0..2 {
        let device = TestDevice::new();
        let _ = device.enrol(&test.site, &ticket.token, ADA, NOW).await;
    }
    test.site.raise_reported(NOW).await.unwrap();
    let of_ada = alarms(&test).await;
    let of_ada = of_ada.iter().find(|alarm| alarm["to"] == ADA).unwrap();
    test.admin("alarm.acknowledge", json!({ "id": of_ada["id"] }))
        .await;
    assert_eq!(addresses(&test, NOW).await, ["+49 2", "maria@mail.example"]);
}

async fn connection(
    test: &TestSite,
    device: &TestDevice,
    peer: &str,
    at: Timestamp,
) -> SessionInfo {
    let new = NewDeviceSession {
        name: ADA.parse().unwrap(),
        thumbprint: device.thumbprint(),
        peer: peer.to_owned(),
        source: DEVICE_SOURCE,
        cut: Box::new(|_| ()),
        max_sessions: 10,
        max_connections: 10,
    };
    match test.site.open_device_session(new, at).await.unwrap() {
        Decision::Opened(info) => info,
        _ => panic!("the device is enrolled"),
    }
}

/// The alarms after a check at this time.
async fn checked(test: &TestSite, now: Timestamp) -> Vec<Value> {
    let observed = Observed {
        idle_timeout: IDLE,
        ..Observed::default()
    };
    test.site.check_system(observed, now).await.unwrap();
    test.site.raise_reported(now).await.unwrap();
    alarms(test).await
}

/// A copy of a key acknowledged the alarm about itself.
// ALM-45
#[tokio::test]
async fn a_copied_key_cannot_acknowledge_the_alarm_about_two_places() {
    let test = with_contacts().await;
    let (phone, ticket) = (TestDevice::new(), test.ticket("ada").await);
    phone
        .enrol(&test.site, &ticket.token, ADA, NOW)
        .await
        .unwrap();
    connection(&test, &phone, "192.0.2.7:1", NOW).await;
    let copy = connection(&test, &phone, "198.51.100.1:1", NOW).await;
    let raised = checked(&test, NOW.plus_millis(2 * IDLE + 1)).await;
    let of_ada = raised.iter().find(|alarm| alarm["to"] == ADA).unwrap();
    let by_id = json!({ "id": of_ada["id"] });
    let (code, refused) = run(&test.site, &copy.caller(), "alarm.acknowledge", by_id).await;
    assert_eq!(code, Code::NOT_PERMITTED, "{refused}");
    assert_eq!(addresses(&test, NOW.plus_millis(2 * IDLE + 1)).await, ALL);
}

/// A thief with a copied key connected anew every nine minutes, and no alarm told of it: only
/// connections older than ten minutes counted.
// ALM-43
#[tokio::test]
async fn two_connections_that_are_active_in_turns_raise_the_alarm_before_ten_minutes() {
    let test = with_contacts().await;
    let (phone, ticket) = (TestDevice::new(), test.ticket("ada").await);
    phone
        .enrol(&test.site, &ticket.token, ADA, NOW)
        .await
        .unwrap();
    let owner = connection(&test, &phone, "192.0.2.7:1", NOW).await;
    let begun = NOW.plus_seconds(120);
    connection(&test, &phone, "198.51.100.1:1", begun).await;
    let line = |seconds| {
        let now = begun.plus_seconds(seconds);
        test.site.sessions().line_came(owner.id, now);
        now
    };
    let now = line(60);
    assert_eq!(
        checked(&test, now).await,
        [json!(null); 0],
        "a change of networks"
    );
    let now = line(61);
    assert_eq!(checked(&test, now).await.len(), 2);
}

/// A device that called the REST API was never seen, and no alarm told of a copy of its key that did so
/// too.
// ALM-43
#[tokio::test]
async fn requests_of_a_device_over_http_count_as_lines_of_a_connection() {
    let test = with_contacts().await;
    let (phone, ticket) = (TestDevice::new(), test.ticket("ada").await);
    phone
        .enrol(&test.site, &ticket.token, ADA, NOW)
        .await
        .unwrap();
    let at = |seconds| NOW.plus_seconds(seconds);
    let caller = test.site.device_caller(phone.thumbprint(), None).await;
    let caller = caller.unwrap().unwrap();
    let [own, copy] = [("192.0.2.7:1", 0), ("198.51.100.1:1", 120)]
        .map(|(peer, opened)| (peer.parse().unwrap(), at(opened)));
    let request = |connection, seconds| {
        test.site.device_requested(&caller, connection, at(seconds));
    };
    let last_seen = async || {
        let listed = test.admin("device.list", json!({})).await;
        listed["entries"][0]["last_seen"].clone()
    };
    assert_eq!(last_seen().await, json!(null));
    request(own, 0);
    request(copy, 120);
    request(own, 180);
    let raised = checked(&test, at(180)).await;
    assert_eq!(raised, [json!(null); 0], "a change of networks");
    // However old they are, it is not known that both are open.
    let later = 2 * u32::try_from(IDLE / 1_000).unwrap() + 121;
    assert_eq!(checked(&test, at(later)).await, [json!(null); 0]);
    assert_eq!(last_seen().await, json!(at(180)));
    request(own, 181);
    assert_eq!(checked(&test, at(181)).await.len(), 2);
    // One audit entry in five minutes for any number of requests.
    for _ in 0..100 {
        request(own, 200);
    }
    for seconds in [200, 201, 499] {
        test.site.write_counted(at(seconds)).await.unwrap();
    }
    let entries = test.audit().await.into_iter();
    let mut used = entries.filter(|entry| entry["operation"] == "device.used");
    let (entry, none) = (used.next().unwrap(), used.next());
    assert!(none.is_none(), "{none:?}");
    let counts = entry["details"]["devices"].as_object().unwrap();
    assert_eq!(counts.values().collect::<Vec<_>>(), [&json!(104)]);
    // It survives a restart.
    let site = test.unsealed().await;
    let admin = Caller::admin_socket();
    let (_, listed) = run(&site, &admin, "device.list", json!({})).await;
    assert_eq!(listed["entries"][0]["last_seen"], json!(at(200)));
}

/// A phone that changes its network must raise no alarm: its lost connection is never active again.
// ALM-43
#[tokio::test]
async fn a_phone_that_changed_its_network_raises_none() {
    let test = with_contacts().await;
    let (phone, ticket) = (TestDevice::new(), test.ticket("ada").await);
    phone
        .enrol(&test.site, &ticket.token, ADA, NOW)
        .await
        .unwrap();
    let lost = connection(&test, &phone, "192.0.2.7:1", NOW).await;
    let changed = NOW.plus_seconds(120);
    test.site.sessions().line_came(lost.id, changed);
    let next = connection(&test, &phone, "198.51.100.1:1", changed).await;
    let now = changed.plus_seconds(200);
    test.site.sessions().line_came(next.id, now);
    assert_eq!(checked(&test, now).await, [json!(null); 0]);
}

/// Once an alarm about refusals was acknowledged, an attacker who kept it going hid the attack of
/// another one: its text was replaced, and no message was sent.
// ALM-46
#[tokio::test]
async fn another_actor_reopens_an_acknowledged_alarm() {
    let test = with_contacts().await;
    let refused = async |actors: &[&str], seconds: u32| {
        for actor in actors {
            test.site.report(SystemAlarm::Refusals {
                operation: "session.login".to_owned(),
                actor: (*actor).to_owned(),
                count: 100,
            });
        }
        let now = NOW.plus_seconds(seconds);
        test.site.raise_reported(now).await.unwrap();
        let alarm = alarms(&test).await.remove(0);
        let names = |actor: &&&str| alarm["text"].as_str().unwrap().starts_with(**actor);
        let named = actors
            .iter()
            .find(names)
            .copied()
            .unwrap_or_default()
            .to_owned();
        (alarm["state"].as_str().unwrap().to_owned(), named)
    };
    let seen = |state: &str, actor: &str| (state.to_owned(), actor.to_owned());
    let (one, other) = ("192.0.2.1", "198.51.100.1");
    assert_eq!(refused(&[one], 0).await, seen("open", one));
    let id = alarms(&test).await[0]["id"].clone();
    test.admin("alarm.acknowledge", json!({ "id": id })).await;
    assert_eq!(
        refused(&[other], 60).await.0,
        "acknowledged",
        "at most once an hour"
    );
    assert_eq!(refused(&[one], HOUR).await, seen("acknowledged", one));
    // The second one is named although the first one is refused in the same second.
    assert_eq!(refused(&[one, other], HOUR + 60).await, seen("open", other));
    let caller = Caller::admin_socket();
    let (_, acknowledged) = run(&test.site, &caller, "alarm.show", json!({ "id": id })).await;
    assert!(acknowledged["acknowledged"].is_null(), "{acknowledged}");
}
