//! Alarms of the admins, when the admins change.

use countersign_core::alarms::DiskSpace;
use countersign_core::engine::Observed;
use countersign_core::sessions::Proof;
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run, run_at};
use serde_json::json;

use super::outbox::due;
use super::{person, raise, site};

async fn low_disk(test: &TestSite, now: Timestamp) {
    let observed = Observed {
        disk: Some(DiskSpace {
            free: 512 << 20,
            total: 10 << 30,
        }),
        ..Observed::default()
    };
    test.site.check_system(observed, now).await.unwrap();
}

async fn recipients(test: &TestSite) -> Vec<String> {
    let listed = test.admin("alarm.list", json!({})).await;
    let shown = test
        .admin("alarm.show", json!({ "id": listed["entries"][0]["id"] }))
        .await;
    let recipients = shown["recipients"].as_array().unwrap().iter();
    recipients
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn addresses(test: &TestSite, now: Timestamp) -> Vec<String> {
    let due = due(&test.site, now).await;
    due.into_iter().map(|one| one.address).collect()
}

/// An admin who became a member kept the alarms of the admins, with actors and addresses, and could
/// acknowledge them for all admins.
// ALM-47
#[tokio::test]
async fn a_former_admin_neither_gets_nor_acknowledges_alarms_of_the_admins() {
    let test = site().await;
    person(&test, "maria", "admin").await;
    person(&test, "eve", "admin").await;
    let alarm = raise(&test, "admins", "intrusion").await;
    let member = json!({ "name": "eve", "role": "member" });
    let eve = test.admin("person.update", member).await;
    let eve = test.session(&eve, Proof::Passphrase).await.unwrap();
    assert_eq!(addresses(&test, NOW).await, ["maria@mail.example"]);
    for operation in ["alarm.show", "alarm.acknowledge"] {
        let by_id = json!({ "id": alarm["id"] });
        let (code, _) = run(&test.site, &eve.caller, operation, by_id).await;
        assert_eq!(code, Code::NOT_FOUND, "{operation}");
    }
    let (_, listed) = run(&test.site, &eve.caller, "alarm.list", json!({})).await;
    assert_eq!(listed["entries"], json!([]));
    assert_eq!(recipients(&test).await, ["maria@example.org"]);
    // A repetition and the end are none of hers either.
    raise(&test, "admins", "intrusion").await;
    let later = NOW.plus_seconds(3_600);
    let again = json!({ "to": "admins", "severity": "warning", "text": "x", "key": "intrusion" });
    let caller = countersign_core::access::Caller::admin_socket();
    run_at(&test.site, &caller, "alarm.raise", again, later).await;
    assert_eq!(addresses(&test, later).await, ["maria@mail.example"]);
}

/// A full disk was announced to the admins of that moment only.
// ALM-47
#[tokio::test]
async fn an_admin_who_is_made_later_gets_the_alarms_that_last() {
    let test = site().await;
    person(&test, "maria", "admin").await;
    low_disk(&test, NOW).await;
    assert_eq!(addresses(&test, NOW).await, ["maria@mail.example"]);
    person(&test, "bob", "admin").await;
    let later = NOW.plus_seconds(60);
    low_disk(&test, later).await;
    assert_eq!(recipients(&test).await.len(), 2);
    assert_eq!(addresses(&test, later).await, ["bob@mail.example"]);
    let audited = test.audited().await.len();
    low_disk(&test, later).await;
    assert_eq!(test.audited().await.len(), audited, "nothing to write");
}

/// The only recipient was disabled, and the alarm went to no admin.
// ALM-47
#[tokio::test]
async fn an_alarm_whose_recipients_may_not_log_in_goes_to_the_other_admins() {
    let test = site().await;
    person(&test, "maria", "admin").await;
    low_disk(&test, NOW).await;
    test.admin("person.disable", json!({ "name": "maria" }))
        .await;
    person(&test, "bob", "admin").await;
    let later = NOW.plus_seconds(60);
    low_disk(&test, later).await;
    assert_eq!(recipients(&test).await, ["bob@example.org"]);
    assert_eq!(addresses(&test, later).await, ["bob@mail.example"]);
}
