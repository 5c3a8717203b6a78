//! How often devices are renamed and tickets are asked for.

use countersign_core::sessions::Proof;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, PASSPHRASE, TestDevice, TestSite, run, run_at};
use serde_json::json;

use crate::site::accounts::proof::make_proof;
use crate::site::enrolment::site;

/// At the limit and one over.
#[tokio::test]
async fn one_session_renames_devices_16_times_at_once_and_then_once_in_a_minute() {
    let test = site().await;
    let bob = test.person("bob", "member").await;
    let ticket = test.ticket("bob").await;
    let phone = TestDevice::new();
    let enrolled = phone.enrol(&test.site, &ticket.token, "bob", NOW).await;
    let id = enrolled.unwrap().device;
    let rename = async |number: u32, seconds: u32| {
        let params = json!({ "id": id, "name": format!("phone {number}") });
        let now = NOW.plus_seconds(seconds);
        let renamed = run_at(&test.site, &bob.caller, "device.rename", params, now);
        renamed.await.0
    };
    for number in 0..16 {
        assert_eq!(rename(number, 0).await, Code::SUCCESS, "{number}");
    }
    assert_eq!(rename(16, 0).await, Code::BUSY);
    assert_eq!(rename(16, 59).await, Code::BUSY);
    assert_eq!(rename(16, 60).await, Code::SUCCESS);
    assert_eq!(rename(17, 60).await, Code::BUSY);
}

/// With a stolen session, an attacker asked for tickets until the person could have none.
#[tokio::test]
async fn a_session_without_a_fresh_proof_does_not_use_up_the_tickets_of_its_person() {
    let test = TestSite::builder().person("eve", "member").build().await;
    test.takes_enrolments();
    let shown = test.admin("person.show", json!({ "name": "eve" })).await;
    let eve = test.session(&shown, Proof::Passphrase).await.unwrap();
    let issue = async || {
        let params = json!({ "person": "eve" });
        run(&test.site, &eve.caller, "ticket.issue", params).await.0
    };
    for _ in 0..100 {
        assert_eq!(issue().await, Code::NOT_PERMITTED);
    }
    let (code, data) = make_proof(&test.site, &eve, PASSPHRASE, NOW).await;
    assert_eq!(code, Code::SUCCESS, "{data}");
    assert_eq!(issue().await, Code::SUCCESS);
}
