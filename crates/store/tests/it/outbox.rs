//! The outbox of a database with damaged rows.

use countersign_core::engine::DeliverySettings;
use serde_json::json;

use crate::trouble::{NOW, TestSite, damage};

/// One damaged alarm, account or document of preferences made each round fail, so that no person got a
/// message any more.
#[tokio::test]
async fn a_damaged_alarm_account_or_preference_stops_only_its_own_messages() {
    let test = TestSite::new().await;
    test.site.deliver_with(DeliverySettings {
        email: true,
        ..DeliverySettings::default()
    });
    for name in ["ada", "bob", "eve", "maria", "zoe"] {
        let email = format!("{name}@mail.example");
        test.admin("person.create", json!({ "name": name, "email": email }))
            .await;
        let language = json!({ "person": name, "language": "de" });
        test.admin("alarm.preferences", language).await;
        let alarm = json!({ "to": name, "severity": "critical", "text": "It happened." });
        test.admin("alarm.raise", alarm).await;
    }
    for statement in [
        "UPDATE alarm SET document = 'x' WHERE key = 1",
        "UPDATE account SET state = 'lokced' WHERE name = 'bob@example.org'",
        "UPDATE alarm_preferences SET document = 'x' WHERE account = \
         (SELECT key FROM account WHERE name = 'eve@example.org')",
        "UPDATE delivery SET channel = 'pigeon' WHERE account = \
         (SELECT key FROM account WHERE name = 'maria@example.org')",
        // Due now: a damaged alarm that escalates.
        "UPDATE alarm SET escalates = 1 WHERE key = 1",
    ] {
        damage(&test, statement).await;
    }
    let due = test.site.due_deliveries(NOW, 10).await.unwrap();
    let addresses: Vec<&str> = due.iter().map(|one| one.address.as_str()).collect();
    assert_eq!(addresses, ["zoe@mail.example"]);
    // Those of the others are dead, and the next round does not read them again.
    assert!(test.site.due_deliveries(NOW, 10).await.unwrap().is_empty());
}
