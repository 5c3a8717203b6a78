//! Alarms that become worse, and alarms that do not escalate.

use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestSite, run};
use serde_json::json;

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
