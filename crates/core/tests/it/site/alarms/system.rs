//! The alarms that the site raises itself.

use countersign_core::access::Caller;
use countersign_core::alarms::{
    About, AlarmState, DiskSpace, Item, Language, MailTemplates, MessageContext, Preferences,
    Severity, SystemAlarm, message,
};
use countersign_core::engine::{Decision, NewDeviceSession, Observed};
use countersign_core::sessions::SessionInfo;
use countersign_core::store::{AlarmSearch, Alarms};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{DEVICE_SOURCE, NOW, TestDevice, TestSite, run_at};
use serde_json::{Value, json};

use crate::site::enrolment::{ADA, site};

const GIB: u64 = 1 << 30;
const IDLE: u64 = 300_000;

/// A site that takes enrolments, with the member `ada` and the admin `maria`.
async fn with_admin() -> TestSite {
    let test = site().await;
    let maria = json!({ "name": "maria", "role": "admin" });
    test.admin("person.create", maria).await;
    test
}

async fn alarms(test: &TestSite) -> Vec<Value> {
    let listed = test.admin("alarm.list", json!({})).await;
    listed["entries"].as_array().unwrap().clone()
}

fn disk(free: u64) -> Observed {
    Observed {
        disk: Some(DiskSpace {
            free,
            total: 10 * GIB,
        }),
        idle_timeout: IDLE,
        ..Observed::default()
    }
}

/// The only two alarms: the one of the admins, and the one of ada.
async fn pair(test: &TestSite) -> (Value, Value) {
    let alarms = alarms(test).await;
    assert_eq!(alarms.len(), 2, "{alarms:?}");
    let to = |name: &str| alarms.iter().find(|alarm| alarm["to"] == name).unwrap();
    (to("admins").clone(), to(ADA).clone())
}

async fn audited_alarms(test: &TestSite) -> Vec<String> {
    let audited = test.audited().await;
    let of_alarms = |line: &String| line.starts_with("alarm.");
    audited.into_iter().filter(of_alarms).collect()
}

/// The token of ada's ticket came with another key: one of the two is not ada's.
// ALM-40, ALM-42
#[tokio::test]
async fn a_second_key_on_a_ticket_raises_one_critical_alarm_for_its_person() {
    let test = with_admin().await;
    let (ticket, other) = (test.ticket("ada").await, test.ticket("ada").await);
    let ada = test.admin("person.show", json!({ "name": "ada" })).await;
    let enrol = async |device: TestDevice| {
        let enrolled = device.enrol(&test.site, &ticket.token, ADA, NOW).await;
        enrolled.is_ok()
    };
    assert!(enrol(TestDevice::new()).await);
    test.site.raise_reported(NOW).await.unwrap();
    assert!(alarms(&test).await.is_empty());
    for _ in 0..20 {
        assert!(!enrol(TestDevice::new()).await);
        test.site.raise_reported(NOW).await.unwrap();
    }
    let (of_admins, alarm) = &pair(&test).await;
    assert_eq!(of_admins["key"], alarm["key"]);
    assert_eq!(alarm["severity"], "critical");
    assert_eq!(
        alarm["key"],
        format!("second key {}", ada["id"].as_str().unwrap())
    );
    let text = alarm["text"].as_str().unwrap();
    assert!(text.contains(ADA) && text.contains("192.0.2.7"), "{text}");
    assert_eq!(audited_alarms(&test).await.len(), 2);
    assert!(!enrol(TestDevice::new()).await);
    let later = NOW.plus_seconds(2 * 60 * 60);
    test.site.raise_reported(later).await.unwrap();
    assert_eq!(alarms(&test).await[0]["count"], 2);

    // Another ticket of the person repeats the alarm: a member with many tickets cannot raise many.
    for _ in 0..2 {
        let device = TestDevice::new();
        let _ = device.enrol(&test.site, &other.token, ADA, NOW).await;
    }
    let day = later.plus_seconds(24 * 60 * 60);
    test.site.raise_reported(day).await.unwrap();
    assert_eq!(alarms(&test).await.len(), 2);
    assert_eq!(alarms(&test).await[0]["count"], 3);
    let over = day.plus_seconds(24 * 60 * 60);
    for (now, state) in [(over, "open"), (over.plus_millis(1), "over")] {
        let observed = Observed::default();
        test.site.check_system(observed, now).await.unwrap();
        let alarms = alarms(&test).await;
        let is_second = |alarm: &&Value| alarm["severity"] == "critical";
        assert_eq!(alarms.iter().find(is_second).unwrap()["state"], state);
    }
}

/// Each refusal wrote to the database once the alarm was acknowledged.
// ALM-42
#[tokio::test]
async fn an_acknowledged_alarm_is_written_once_an_hour_at_most() {
    let test = with_admin().await;
    let refused = async |millis: u64| {
        test.site.report(SystemAlarm::Refusals {
            operation: "session.login".to_owned(),
            actor: "192.0.2.1".to_owned(),
            count: 100,
        });
        let now = NOW.plus_millis(millis);
        test.site.raise_reported(now).await.unwrap();
        let alarm = alarms(&test).await.remove(0);
        (alarm["state"].clone(), alarm["count"].clone())
    };
    assert_eq!(refused(0).await, (json!("open"), json!(1)));
    let id = alarms(&test).await[0]["id"].clone();
    test.admin("alarm.acknowledge", json!({ "id": id })).await;
    const HOUR: u64 = 60 * 60 * 1000;
    let acknowledged = |count: u64| (json!("acknowledged"), json!(count));
    assert_eq!(refused(1).await, acknowledged(1));
    assert_eq!(refused(HOUR - 1).await, acknowledged(1));
    assert_eq!(refused(HOUR).await, acknowledged(2));
    assert_eq!(refused(HOUR + 1).await, acknowledged(2));
}

// ALM-40
#[tokio::test]
async fn the_alarm_about_a_revoked_device_names_the_person_and_ends_after_a_day() {
    let test = with_admin().await;
    let (phone, ticket) = (TestDevice::new(), test.ticket("ada").await);
    let enrolled = phone.enrol(&test.site, &ticket.token, ADA, NOW).await;
    let id = enrolled.unwrap().device;
    let unknown = TestDevice::new();
    assert!(
        test.device_session(&test.site, &unknown, ADA, NOW)
            .await
            .is_none()
    );
    test.site.raise_reported(NOW).await.unwrap();
    assert!(alarms(&test).await.is_empty());
    test.admin("device.revoke", json!({ "id": id })).await;
    assert!(
        test.device_session(&test.site, &phone, ADA, NOW)
            .await
            .is_none()
    );
    test.site.raise_reported(NOW).await.unwrap();
    let (of_admins, of_ada) = &pair(&test).await;
    let text = of_ada["text"].as_str().unwrap();
    assert!(text.contains("“phone” of ada@example.org"), "{text}");
    for alarm in [of_admins, of_ada] {
        test.admin("alarm.acknowledge", json!({ "id": alarm["id"] }))
            .await;
    }

    // It ended by hand only, so no later device was announced.
    let day = NOW.plus_seconds(24 * 60 * 60);
    for (now, state) in [(day, "acknowledged"), (day.plus_millis(1), "over")] {
        let observed = Observed::default();
        test.site.check_system(observed, now).await.unwrap();
        for alarm in alarms(&test).await {
            let is_about_it = alarm["key"].as_str().unwrap().starts_with("revoked device");
            assert!(!is_about_it || alarm["state"] == state, "{alarm}");
        }
    }
}

// ALM-41
#[tokio::test]
async fn a_low_disk_raises_one_alarm_that_gets_critical_and_is_over_when_space_is_freed() {
    let test = with_admin().await;
    let check = async |free: u64| {
        test.site.check_system(disk(free), NOW).await.unwrap();
        let listed = alarms(&test).await;
        listed.first().map(|alarm| {
            let text = |name: &str| alarm[name].as_str().unwrap().to_owned();
            (text("severity"), text("state"))
        })
    };
    let seen = |severity: &str, state: &str| Some((severity.to_owned(), state.to_owned()));
    assert_eq!(check(2 * GIB).await, None);
    assert_eq!(check(GIB - 1).await, seen("warning", "open"));
    assert_eq!(check(GIB - 2).await, seen("warning", "open"));
    assert_eq!(check(GIB / 8).await, seen("critical", "open"));
    assert_eq!(check(GIB + 1).await, seen("critical", "open"));
    assert_eq!(check(2 * GIB).await, seen("critical", "over"));
    let audited = audited_alarms(&test).await;
    assert_eq!(audited.len(), 3, "{audited:?}");
}

// ALM-41
#[tokio::test]
async fn an_overdue_backup_raises_an_alarm_until_a_backup_is_recorded() {
    let test = with_admin().await;
    let week = NOW.plus_seconds(7 * 24 * 60 * 60);
    let check = async |now: Timestamp| {
        let observed = Observed::default();
        test.site.check_system(observed, now).await.unwrap();
        alarms(&test)
            .await
            .first()
            .map(|alarm| alarm["state"].clone())
    };
    assert_eq!(check(week).await, None);
    assert_eq!(check(week.plus_millis(1)).await, Some(json!("open")));
    test.admin("site.backup_done", json!({ "sealed": true }))
        .await;
    assert_eq!(check(week).await, Some(json!("over")));
}

// ALM-41
#[tokio::test]
async fn a_previous_key_of_an_application_raises_an_alarm_six_hours_before_it_retires() {
    let test = with_admin().await;
    test.create_application("billing", json!({})).await;
    let public = countersign_testkit::harness::party().public().to_pem();
    let rotate = json!({ "id": "billing", "public_key": public });
    test.admin("app.rotate_key", rotate).await;
    let check = async |seconds: u32| {
        let (observed, now) = (Observed::default(), NOW.plus_seconds(seconds));
        test.site.check_system(observed, now).await.unwrap();
        alarms(&test)
            .await
            .first()
            .map(|alarm| alarm["state"].clone())
    };
    assert_eq!(check(17 * 60 * 60).await, None);
    assert_eq!(check(19 * 60 * 60).await, Some(json!("open")));
    assert_eq!(check(24 * 60 * 60).await, Some(json!("over")));
}

/// A phone that changes from one network to another must not raise an alarm.
// ALM-43
#[tokio::test]
async fn a_key_on_lasting_connections_from_two_networks_raises_an_alarm() {
    let test = with_admin().await;
    let (phone, ticket) = (TestDevice::new(), test.ticket("ada").await);
    phone
        .enrol(&test.site, &ticket.token, ADA, NOW)
        .await
        .unwrap();
    let open = async |peer: &str| -> SessionInfo {
        let new = NewDeviceSession {
            name: ADA.parse().unwrap(),
            thumbprint: phone.thumbprint(),
            peer: peer.to_owned(),
            source: DEVICE_SOURCE,
            cut: Box::new(|_| ()),
            max_sessions: 10,
            max_connections: 10,
        };
        match test.site.open_device_session(new, NOW).await.unwrap() {
            Decision::Opened(info) => info,
            _ => panic!("the device is enrolled"),
        }
    };
    let check = async |millis: u64| {
        let now = NOW.plus_millis(millis);
        test.site.check_system(disk(8 * GIB), now).await.unwrap();
        test.site.raise_reported(now).await.unwrap();
        alarms(&test).await.len()
    };
    open("192.0.2.7:1").await;
    open("192.0.2.7:2").await;
    open("[2001:db8::1]:1").await;
    assert_eq!(check(2 * IDLE + 1).await, 0, "one network of each kind");
    open("198.51.100.1:1").await;
    assert_eq!(check(2 * IDLE).await, 0, "one may be lost");
    assert_eq!(
        check(2 * IDLE + 1).await,
        2,
        "of the person and of the admins"
    );
    let alarm = &alarms(&test).await[0];
    let text = alarm["text"].as_str().unwrap();
    assert!(
        text.contains("phone") && text.contains("198.51.100.1"),
        "{text}"
    );
}

/// A retires at noon and B two hours later: the alarm named A until B's key had retired.
// ALM-41
#[tokio::test]
async fn each_application_whose_key_retires_is_announced() {
    let test = with_admin().await;
    let rotate = async |id: &str, seconds: u32| {
        test.create_application(id, json!({})).await;
        let public = countersign_testkit::harness::party().public().to_pem();
        let params = json!({ "id": id, "public_key": public });
        let (caller, now) = (Caller::admin_socket(), NOW.plus_seconds(seconds));
        let (code, _) = run_at(&test.site, &caller, "app.rotate_key", params, now).await;
        assert_eq!(code, Code::SUCCESS);
    };
    const HOUR: u32 = 60 * 60;
    rotate("billing", 0).await;
    rotate("ledger", 2 * HOUR).await;
    let check = async |seconds: u32| {
        let (observed, now) = (Observed::default(), NOW.plus_seconds(seconds));
        test.site.check_system(observed, now).await.unwrap();
        let alarm = alarms(&test).await.remove(0);
        alarm["text"].as_str().unwrap().to_owned()
    };
    let text = check(18 * HOUR + 60).await;
    assert!(
        text.contains("billing") && !text.contains("ledger"),
        "{text}"
    );
    let text = check(20 * HOUR + 60).await;
    assert!(text.contains("billing, ledger"), "{text}");
    let text = check(24 * HOUR + 60).await;
    assert!(
        text.contains("ledger") && !text.contains("billing"),
        "{text}"
    );
}

// ALM-40, ALM-41
#[tokio::test]
async fn refusals_raise_one_alarm_for_an_operation_which_is_over_after_two_hours() {
    let test = with_admin().await;
    for actor in ["192.0.2.1", "192.0.2.2"] {
        test.site.report(SystemAlarm::Refusals {
            operation: "session.login".to_owned(),
            actor: actor.to_owned(),
            count: 100,
        });
        test.site.raise_reported(NOW).await.unwrap();
    }
    assert_eq!(alarms(&test).await.len(), 1);
    let quiet = NOW.plus_seconds(2 * 60 * 60);
    for (now, state) in [(quiet, "open"), (quiet.plus_millis(1), "over")] {
        test.site
            .check_system(Observed::default(), now)
            .await
            .unwrap();
        assert_eq!(alarms(&test).await[0]["state"], state);
    }
}

// ALM-40
#[tokio::test]
async fn a_message_has_the_text_in_the_recipients_language() {
    let test = with_admin().await;
    test.site.check_system(disk(GIB / 2), NOW).await.unwrap();
    let search = AlarmSearch {
        limit: 1,
        ..AlarmSearch::default()
    };
    let alarm = test.memory().alarms(&search).await.unwrap().remove(0);
    assert_eq!(
        (alarm.severity, alarm.state),
        (Severity::Warning, AlarmState::Open)
    );
    let context = MessageContext {
        name: "ada@example.org",
        site: "example.org",
        link: None,
        templates: &MailTemplates::default(),
        in_commands: &|text| test.site.table().in_commands(text),
    };
    let item = Item {
        alarm: &alarm,
        about: About::Raised,
    };
    for (language, text) in [
        (
            Language::En,
            "The disk of the site has 512 MiB of 10 GiB left.",
        ),
        (
            Language::De,
            "Der Datenträger der Site hat noch 512 MiB von 10 GiB frei.",
        ),
    ] {
        let preferences = Preferences {
            language,
            ..Preferences::default()
        };
        let message = message(&[item], &preferences, &context);
        assert!(message.text.contains(text), "{}", message.text);
    }
}

/// A site without admins has no recipients; its checks must not fail.
#[tokio::test]
async fn a_site_without_admins_raises_no_alarm_for_them() {
    let test = site().await;
    test.site.check_system(disk(0), NOW).await.unwrap();
    assert!(alarms(&test).await.is_empty());
    let unplaced = test.site.take_unplaced();
    let unplaced: Vec<&str> = unplaced
        .iter()
        .map(countersign_core::alarms::OneLine::as_str)
        .collect();
    assert_eq!(unplaced, ["disk"], "the log names it");
    assert!(test.site.take_unplaced().is_empty());
}
