//! The operations on alarms: their permissions, effects and limits.

mod former_admins;
pub(crate) mod outbox;
mod outbox_worker;
mod preferences;
mod rates;
mod system;
mod worse;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use countersign_core::access::{Caller, Role};
use countersign_core::alarms::{Severity, Target};
use countersign_core::engine::{Answer, Context, DeliverySettings, Entry, NewAlarm, Refusal};
use countersign_core::store::{AlarmSearch, Alarms};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::{Code, Event};
use countersign_testkit::harness::{NOW, TestSession, TestSite, run};
use serde_json::{Value, json};

/// A site that is configured for e-mail and short texts. The tests act as its worker.
pub(crate) async fn site() -> TestSite {
    let test = TestSite::new().await;
    deliver(&test);
    test
}

pub(crate) fn deliver(test: &TestSite) {
    test.site.deliver_with(settings());
}

pub(crate) fn settings() -> DeliverySettings {
    DeliverySettings {
        email: true,
        text: true,
        ..DeliverySettings::default()
    }
}

pub(crate) fn later(seconds: u32) -> Timestamp {
    NOW.plus_seconds(seconds)
}

/// A person with an email address.
pub(crate) async fn person(test: &TestSite, name: &str, role: &str) -> TestSession {
    let session = test.person(name, role).await;
    let email = format!("{name}@mail.example");
    test.admin("person.update", json!({ "name": name, "email": email }))
        .await;
    session
}

pub(crate) async fn raise(test: &TestSite, to: &str, key: &str) -> Value {
    let params =
        json!({ "to": to, "severity": "warning", "text": format!("About {key}."), "key": key });
    test.admin("alarm.raise", params).await
}

/// Collects the events for the connection of a session.
fn subscribe(test: &TestSite, session: &TestSession) -> Arc<Mutex<Vec<Arc<Event>>>> {
    let events = Arc::<Mutex<Vec<Arc<Event>>>>::default();
    let sink = events.clone();
    let add = move |event: &Arc<Event>| {
        sink.lock().unwrap().push(event.clone());
        true
    };
    test.site.events().subscribe(&session.info, Box::new(add));
    events
}

fn names(events: &Mutex<Vec<Arc<Event>>>) -> Vec<String> {
    let events = events.lock().unwrap();
    events.iter().map(|event| event.event.clone()).collect()
}

async fn list(test: &TestSite, caller: &Caller, params: Value) -> Vec<String> {
    let (code, listed) = run(&test.site, caller, "alarm.list", params).await;
    assert_eq!(code, Code::SUCCESS, "{listed}");
    let entries = listed["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["key"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn an_alarm_is_raised_repeated_acknowledged_and_ended() {
    let test = site().await;
    let maria = person(&test, "maria", "member").await;
    let events = subscribe(&test, &maria);
    let first = raise(&test, "maria", "disk").await;
    assert_eq!(
        (&first["count"], &first["state"], &first["recipients"]),
        (&json!(1), &json!("open"), &json!(1))
    );
    // The e-mail is due in 60 s, because the person has a connection.
    assert_eq!(first["deliveries"], 1);
    let again = raise(&test, "maria", "disk").await;
    assert_eq!(
        (&again["id"], &again["count"], &again["deliveries"]),
        (&first["id"], &json!(2), &json!(0))
    );
    assert_eq!(
        names(&events),
        ["raised"],
        "a repeat within the window sends no event"
    );

    let id = json!({ "id": first["id"] });
    let (code, shown) = run(&test.site, &maria.caller, "alarm.acknowledge", id.clone()).await;
    assert_eq!(
        (code, &shown["state"]),
        (Code::SUCCESS, &json!("acknowledged"))
    );
    assert_eq!(shown["acknowledged"]["by"], "maria@example.org");
    assert!(shown["recipients"][0]["acknowledged"].is_string());
    let audited = test.audited().await.len();
    let (code, _) = run(&test.site, &maria.caller, "alarm.acknowledge", id.clone()).await;
    assert_eq!(
        (code, test.audited().await.len()),
        (Code::SUCCESS, audited),
        "a second acknowledgement writes nothing"
    );
    let waiting = test
        .admin("alarm.deliveries", json!({ "state": "waiting" }))
        .await;
    assert_eq!(waiting["entries"], json!([]));

    let ended = test.admin("alarm.over", json!({ "key": "disk" })).await;
    assert_eq!(ended, json!({ "alarms": 1, "more": false }));
    assert_eq!(names(&events), ["raised", "acknowledged", "over"]);
    assert_eq!(test.admin("alarm.show", id).await["state"], "over");
    let (code, _) = test.refused("alarm.over", json!({ "key": "disk" })).await;
    assert_eq!(code, Code::NOT_FOUND);
    let anew = raise(&test, "maria", "disk").await;
    assert_ne!(anew["id"], first["id"]);
}

#[tokio::test]
async fn a_member_sees_and_acknowledges_own_alarms_only() {
    let test = site().await;
    let maria = person(&test, "maria", "member").await;
    let bob = person(&test, "bob", "member").await;
    let root = person(&test, "root", "admin").await;
    let own = raise(&test, "maria", "hers").await;
    raise(&test, "admins", "for admins").await;
    assert_eq!(list(&test, &maria.caller, json!({})).await, ["hers"]);
    assert!(list(&test, &bob.caller, json!({})).await.is_empty());
    assert_eq!(list(&test, &root.caller, json!({})).await.len(), 2);
    assert_eq!(
        list(&test, &root.caller, json!({ "person": "root" })).await,
        ["for admins"]
    );
    let id = json!({ "id": own["id"] });
    for command in ["alarm.show", "alarm.acknowledge"] {
        let (code, _) = run(&test.site, &bob.caller, command, id.clone()).await;
        assert_eq!(code, Code::NOT_FOUND, "{command}");
    }
    let (code, _) = run(
        &test.site,
        &bob.caller,
        "alarm.list",
        json!({ "person": "maria" }),
    )
    .await;
    assert_eq!(code, Code::NOT_FOUND);
    for command in [
        "alarm.raise",
        "alarm.over",
        "alarm.deliveries",
        "alarm.retry",
    ] {
        let params = json!({ "to": "bob", "severity": "info", "text": "x", "key": "hers" });
        let (code, _) = run(&test.site, &maria.caller, command, params).await;
        assert_eq!(code, Code::NOT_PERMITTED, "{command}");
    }
}

/// Otherwise a service could silence an alarm of the site by using the same key.
#[tokio::test]
async fn a_service_neither_repeats_nor_ends_an_alarm_of_another_raiser() {
    let test = site().await;
    person(&test, "root", "admin").await;
    let (robot, _) = test.service("robot").await;
    let ours = raise(&test, "admins", "disk").await;
    let params = json!({ "to": "admins", "severity": "info", "text": "Nothing.", "key": "disk" });
    let (code, theirs) = run(&test.site, &robot.caller, "alarm.raise", params).await;
    assert_eq!((code, &theirs["count"]), (Code::SUCCESS, &json!(1)));
    assert_ne!(theirs["id"], ours["id"]);
    let (code, ended) = run(
        &test.site,
        &robot.caller,
        "alarm.over",
        json!({ "key": "disk" }),
    )
    .await;
    assert_eq!((code, &ended["alarms"]), (Code::SUCCESS, &json!(1)));
    let shown = test.admin("alarm.show", json!({ "id": ours["id"] })).await;
    assert_eq!(
        (&shown["state"], &shown["text"]),
        (&json!("open"), &json!("About disk."))
    );
}

/// The console ended an alarm by its key, and with it up to 20 alarms of other raisers and recipients.
#[tokio::test]
async fn one_alarm_is_ended_by_its_id_and_others_with_its_key_stay() {
    let test = site().await;
    person(&test, "maria", "member").await;
    person(&test, "root", "admin").await;
    let (robot, _) = test.service("robot").await;
    let one = raise(&test, "maria", "disk").await;
    let other = raise(&test, "admins", "disk").await;
    let state = async |alarm: &Value| {
        let shown = test.admin("alarm.show", json!({ "id": alarm["id"] })).await;
        shown["state"].as_str().unwrap().to_owned()
    };
    let id = json!({ "id": one["id"] });
    // For a service, the alarm of another raiser is as an unknown one.
    let unknown = json!({ "id": "019523d0-5c00-7000-8000-000000000000" });
    for params in [id.clone(), unknown.clone()] {
        let (code, data) = run(&test.site, &robot.caller, "alarm.over", params).await;
        assert_eq!((code, &data["field"]), (Code::NOT_FOUND, &json!("id")));
    }
    assert_eq!(test.refused("alarm.over", unknown).await.0, Code::NOT_FOUND);
    let ended = test.admin("alarm.over", id.clone()).await;
    assert_eq!(ended, json!({ "alarms": 1, "more": false }));
    assert_eq!(
        (state(&one).await, state(&other).await),
        ("over".into(), "open".into())
    );

    let audited = test.audited().await.len();
    let again = test.admin("alarm.over", id).await;
    assert_eq!(again["alarms"], 0);
    assert_eq!(
        test.audited().await.len(),
        audited,
        "the second end writes nothing"
    );
    for params in [json!({}), json!({ "key": "disk", "id": one["id"] })] {
        let (code, _) = test.refused("alarm.over", params).await;
        assert_eq!(code, Code::INVALID_PARAMS);
    }
    assert_eq!(state(&other).await, "open");
}

#[tokio::test]
async fn a_new_admin_becomes_a_recipient_at_the_next_repeat() {
    let test = site().await;
    let (code, refused) = test
        .refused(
            "alarm.raise",
            json!({ "to": "admins", "severity": "info", "text": "x" }),
        )
        .await;
    assert_eq!(code, Code::CONFLICT, "{refused}");
    person(&test, "root", "admin").await;
    assert_eq!(raise(&test, "admins", "disk").await["recipients"], 1);
    person(&test, "ada", "admin").await;
    let again = raise(&test, "admins", "disk").await;
    // The new admin gets an e-mail. No person here has an address for short texts.
    assert_eq!(
        (&again["recipients"], &again["deliveries"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn an_alarm_that_becomes_more_severe_is_delivered_at_once() {
    let test = site().await;
    let maria = person(&test, "maria", "member").await;
    let events = subscribe(&test, &maria);
    raise(&test, "maria", "disk").await;
    test.site
        .events()
        .unsubscribe(maria.info.id, maria.info.connection);
    let params = json!({ "to": "maria", "severity": "critical", "text": "Full.", "key": "disk" });
    let worse = test.admin("alarm.raise", params).await;
    assert_eq!(
        (&worse["severity"], &worse["text"]),
        (&json!("critical"), &json!("Full."))
    );
    assert!(worse["escalates"].is_string());
    assert_eq!(names(&events), ["raised"]);
}

#[tokio::test]
async fn an_invalid_parameter_is_named_and_a_value_at_its_limit_is_accepted() {
    let test = site().await;
    person(&test, "maria", "member").await;
    let whole = json!({ "to": "maria", "severity": "info", "text": "x", "key": "k", "data": [1] });
    test.admin("alarm.raise", whole.clone()).await;
    for (field, good, bad) in [
        ("text", json!("x".repeat(500)), json!("x".repeat(501))),
        ("text", json!("ü"), json!("a\r\nBcc: b")),
        ("key", json!("x".repeat(128)), json!("x".repeat(129))),
        ("severity", json!("critical"), json!("loud")),
        ("data", json!("x".repeat(4_094)), json!("x".repeat(4_095))),
        ("to", json!("maria@example.org"), json!("no such name")),
    ] {
        for (value, accepted) in [(good, true), (bad, false)] {
            let mut params = whole.clone();
            params[field] = value;
            let caller = Caller::admin_socket();
            let (code, data) = run(&test.site, &caller, "alarm.raise", params).await;
            assert_eq!(code == Code::SUCCESS, accepted, "{field}: {data}");
            if !accepted {
                assert_eq!(data["field"], field, "{data}");
            }
        }
    }
    let (code, _) = test
        .refused(
            "alarm.raise",
            json!({ "to": "unknown", "severity": "info", "text": "x" }),
        )
        .await;
    assert_eq!(code, Code::NOT_FOUND);
}

/// Tests the limit and one over it. An alarm that is over is deleted for a new one, and places are
/// reserved for the site's own alarms.
#[tokio::test]
async fn a_person_has_at_most_900_alarms_and_further_ones_of_the_site() {
    let test = site().await;
    person(&test, "maria", "member").await;
    for at in 0..900 {
        raise(&test, "maria", &format!("alarm {at}")).await;
    }
    let params = json!({ "to": "maria", "severity": "warning", "text": "x" });
    let (code, refused) = test.refused("alarm.raise", params.clone()).await;
    assert_eq!(code, Code::CONFLICT, "{refused}");
    test.admin("alarm.over", json!({ "key": "alarm 7" })).await;
    test.admin("alarm.raise", params.clone()).await;
    let gone = test.admin("alarm.list", json!({ "state": "over" })).await;
    assert_eq!(gone["entries"], json!([]), "an ended alarm is deleted");
    test.refused("alarm.raise", params).await;
    let found = test.admin("person.show", json!({ "name": "maria" })).await;
    let maria = found["id"].as_str().unwrap().parse().unwrap();
    let caller = Caller::site();
    let raised = test.site.raise(&caller, new(Target::Person(maria)), NOW);
    assert_eq!(raised.await.unwrap().recipients, 1);
}

fn new(to: Target) -> NewAlarm {
    NewAlarm {
        to,
        severity: Severity::Critical,
        text: "A second key was shown for one ticket."
            .to_owned()
            .try_into()
            .unwrap(),
        key: Some("second key".to_owned().try_into().unwrap()),
        data: None,
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[tokio::test]
async fn an_alarm_of_the_site_is_committed_with_its_cause() {
    let notice = |context: Context, _: Nothing| async move {
        let alarm = context
            .site()
            .site_alarm(new(Target::Admins), context.now())
            .await?;
        context.commit(alarm, None, json!({})).await?;
        Ok::<_, Refusal>(Answer::new(Value::Null))
    };
    let own = move || {
        let entry = Entry::new("test", "notice")
            .summary("Raises.")
            .allow(&[Role::Admin]);
        vec![entry.changes().handler(notice)]
    };
    let test = TestSite::builder().operations(own).build().await;
    // Without an admin no alarm is raised, and the change is still made.
    test.admin("test.notice", json!({})).await;
    assert!(
        list(&test, &Caller::admin_socket(), json!({}))
            .await
            .is_empty()
    );
    person(&test, "root", "admin").await;
    for _ in 0..3 {
        test.admin("test.notice", json!({})).await;
    }
    let all = test.admin("alarm.list", json!({})).await;
    let [alarm] = all["entries"].as_array().unwrap().as_slice() else {
        panic!("expected one repeated alarm: {all}");
    };
    assert_eq!(
        (&alarm["count"], &alarm["raised_by"]),
        (&json!(3), &json!("site"))
    );
}

#[tokio::test]
async fn a_test_alarm_replaces_the_previous_one() {
    let test = site().await;
    let maria = person(&test, "maria", "member").await;
    for _ in 0..3 {
        let (code, sent) = run(&test.site, &maria.caller, "alarm.test", json!({})).await;
        assert_eq!((code, &sent["deliveries"]), (Code::SUCCESS, &json!(1)));
    }
    assert_eq!(list(&test, &maria.caller, json!({})).await, ["test"]);
    // One session has half of ten.
    for _ in 3..5 {
        run(&test.site, &maria.caller, "alarm.test", json!({})).await;
    }
    let (code, _) = run(&test.site, &maria.caller, "alarm.test", json!({})).await;
    assert_eq!(code, Code::BUSY);
    let (code, _) = test.refused("alarm.test", json!({})).await;
    assert_eq!(code, Code::NOT_PERMITTED, "the admin socket has no account");
}

#[tokio::test]
async fn a_new_account_with_the_name_of_a_deleted_one_has_none_of_its_alarms() {
    let test = site().await;
    person(&test, "maria", "member").await;
    let set = json!({ "person": "maria", "language": "de" });
    test.admin("alarm.preferences", set).await;
    raise(&test, "maria", "disk").await;
    test.admin("person.delete", json!({ "name": "maria" }))
        .await;
    let maria = person(&test, "maria", "member").await;
    assert!(list(&test, &maria.caller, json!({})).await.is_empty());
    let (_, preferences) = run(&test.site, &maria.caller, "alarm.preferences", json!({})).await;
    assert_eq!(preferences["language"], "en");
    let left = test.admin("alarm.deliveries", json!({})).await;
    assert_eq!(left["entries"], json!([]));
    assert_eq!(raise(&test, "maria", "disk").await["count"], 1);
}

/// Polls a future until it was pending more than `waits` times, then drops it. Returns whether it
/// completed.
async fn dropped_after(mut waits: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if waits == 0 => Poll::Ready(false),
        Poll::Pending => {
            waits -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn an_alarm_whose_caller_disconnects_is_raised_completely_or_not_at_all() {
    let mut raised = [0; 2];
    for waits in 0.. {
        let test = site().await;
        person(&test, "root", "admin").await;
        let done = dropped_after(waits, raise(&test, "admins", "disk")).await;
        let search = AlarmSearch {
            limit: 9,
            ..AlarmSearch::default()
        };
        let memory = test.memory();
        let alarms = memory.alarms(&search).await.unwrap();
        for alarm in &alarms {
            assert_eq!(memory.recipients(alarm.id).await.unwrap().len(), 1);
            assert_eq!(memory.deliveries_of(alarm.id, None).await.unwrap().len(), 1);
        }
        raised[alarms.len()] += 1;
        if done {
            break;
        }
    }
    assert!(raised[0] > 3 && raised[1] > 1, "{raised:?}");
}
