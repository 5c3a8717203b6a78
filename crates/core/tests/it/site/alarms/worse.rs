//! Alarms that become worse, and alarms that do not escalate.

use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestSite, run};
use serde_json::json;

use super::{person, raise, site};

/// An acknowledged alarm stayed silent when it became worse.
#[tokio::test]
async fn an_acknowledged_alarm_that_becomes_worse_is_open_again() {
    let test = TestSite::new().await;
    test.person("maria", "member").await;
    let raise = async |severity: &str| {
        let params = json!({ "to": "maria", "severity": severity, "text": "x", "key": "disk" });
        test.admin("alarm.raise", params).await
    };
    let alarm = raise("warning").await;
    test.admin("alarm.acknowledge", json!({ "id": alarm["id"] }))
        .await;
    assert_eq!(raise("warning").await["state"], "acknowledged");
    let worse = raise("critical").await;
    assert_eq!(worse["state"], "open");
    assert!(worse["acknowledged"].is_null());
}

/// A member could wake all admins at night with test alarms.
#[tokio::test]
async fn a_test_alarm_does_not_escalate() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let critical = json!({ "severity": "critical" });
    let (code, alarm) = run(&test.site, &maria.caller, "alarm.test", critical).await;
    assert_eq!(code, Code::SUCCESS);
    assert!(alarm["escalates"].is_null(), "{alarm}");
}

/// At the limit of alarms of one person: the others still learn of an alarm.
#[tokio::test]
async fn an_admin_with_900_alarms_does_not_stop_an_escalation_to_the_others() {
    let test = site().await;
    person(&test, "maria", "member").await;
    person(&test, "eve", "admin").await;
    person(&test, "root", "admin").await;
    for at in 0..900 {
        raise(&test, "root", &format!("alarm {at}")).await;
    }
    let critical = json!({ "to": "maria", "severity": "critical", "text": "x", "key": "disk" });
    let alarm = test.admin("alarm.raise", critical).await;
    let escalates: Timestamp = alarm["escalates"].as_str().unwrap().parse().unwrap();
    test.site.due_deliveries(escalates, 1).await.unwrap();
    let shown = test.admin("alarm.show", json!({ "id": alarm["id"] })).await;
    let recipients = shown["recipients"].as_array().unwrap();
    let mut names: Vec<&str> = recipients
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["eve@example.org", "maria@example.org"], "{shown}");
}
