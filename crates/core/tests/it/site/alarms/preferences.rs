//! Preferences for alarms.

use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, run};
use serde_json::json;

use super::{person, site};
use crate::site::accounts::proof;

#[tokio::test]
async fn preferences_are_changed_by_their_person_and_by_admins_only() {
    let test = site().await;
    let maria = proof::person(&test, "maria", "member").await;
    let ask = async |params| run(&test.site, &maria.caller, "alarm.preferences", params).await;
    let prove = async || {
        let proof = proof::make_proof(&test.site, &maria, proof::PHRASE, NOW).await;
        assert_eq!(proof.0, Code::SUCCESS);
    };
    let (_, usual) = ask(json!({})).await;
    assert_eq!(
        usual,
        json!({ "name": "maria@example.org", "language": "en", "time_zone": "UTC", "channels": ["email", "text"], "peer_messages": true })
    );
    prove().await;
    let audited = test.audited().await.len();
    let set = json!({
        "language": "de", "time_zone": "Europe/Berlin", "quiet_from": "22:00", "quiet_to": "07:00",
        "channels": ["text"], "text_to": "+49 151 0",
    });
    let (code, shown) = ask(set.clone()).await;
    assert_eq!(
        (code, &shown["quiet_from"]),
        (Code::SUCCESS, &json!("22:00"))
    );
    ask(set).await;
    assert_eq!(
        test.audited().await.len(),
        audited + 1,
        "unchanged preferences are not written"
    );
    prove().await;
    let (_, cleared) = ask(json!({ "quiet_from": "07:00", "text_to": "" })).await;
    assert!(cleared["quiet_to"].is_null() && cleared["text_to"].is_null());
    for (field, value) in [
        ("time_zone", json!("Mars/Base")),
        ("quiet_to", json!("25:00")),
        ("quiet_to", json!("07:00")),
        ("channels", json!(["email", "email"])),
        ("text_to", json!("x".repeat(101))),
        ("language", json!("fr")),
    ] {
        let (code, refused) = ask(json!({ field: value })).await;
        assert_eq!(code, Code::INVALID_PARAMS, "{field} {refused}");
    }
    let bob = person(&test, "bob", "member").await;
    let other = json!({ "person": "maria", "language": "en" });
    let (code, _) = run(&test.site, &bob.caller, "alarm.preferences", other.clone()).await;
    assert_eq!(code, Code::NOT_FOUND);
    assert_eq!(
        test.admin("alarm.preferences", other).await["language"],
        "en"
    );
}
