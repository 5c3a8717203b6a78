//! The lockdown of an account or application, in its own view and in lists.

use countersign_core::access::Caller;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, operation};
use serde_json::{Value, json};

async fn called(test: &TestSite, name: &str, params: Value) -> (String, Value) {
    let caller = Caller::admin_socket();
    let operation = operation(name, &params);
    let outcome = test.site.run(&caller, &operation, NOW).await;
    assert_eq!(outcome.code, Code::SUCCESS, "{}", outcome.output);
    let data = serde_json::from_str(outcome.data.get()).unwrap();
    (outcome.output, data)
}

/// `person show` and `person list` called a person in lockdown active, as did those of services and
/// applications: an admin who asked why a person cannot log in found no reason.
#[tokio::test]
async fn a_lockdown_is_shown_with_its_reason_in_views_and_lists_until_it_is_lifted() {
    let test = TestSite::new().await;
    test.person("maria", "member").await;
    test.person("bob", "member").await;
    test.service("robot").await;
    test.create_application("billing", json!({})).await;
    for (group, id, named) in [
        ("person", "name", "maria@example.org"),
        ("service", "name", "robot@example.org"),
        ("app", "id", "billing"),
    ] {
        let by_id = json!({ id: named });
        let (show, list) = (format!("{group}.show"), format!("{group}.list"));
        let imposed = json!({ id: named, "reason": "the laptop was stolen" });
        test.admin(&format!("lockdown.{group}"), imposed).await;
        let lockdown = json!({
            "since": NOW, "by": "local admin", "reason": "the laptop was stolen",
        });
        let (text, shown) = called(&test, &show, by_id.clone()).await;
        assert_eq!(
            (&shown["state"], &shown["lockdown"]),
            (&json!("active"), &lockdown)
        );
        let why = format!(
            "since {NOW}  by local admin: the laptop was stolen; `lockdown lift {group} {named}` ends it"
        );
        assert!(text.contains(&why), "{text}");
        assert!(!text.contains("active"), "{text}");
        let (text, listed) = called(&test, &list, json!({})).await;
        let entries = listed["entries"].as_array().unwrap();
        let of = |name: &str| entries.iter().find(|entry| entry[id] == name).unwrap();
        assert_eq!(of(named)["lockdown"], lockdown);
        let line = text.lines().find(|line| line.starts_with(named)).unwrap();
        assert!(line.contains("  lockdown"), "{text}");
        if group == "person" {
            assert_eq!(of("bob@example.org").get("lockdown"), None);
            assert!(text.contains("bob@example.org  member  active"), "{text}");
        }
        let lift = json!({ group: named });
        test.admin("lockdown.lift", lift).await;
        let (text, shown) = called(&test, &show, by_id).await;
        assert_eq!(shown.get("lockdown"), None);
        assert!(text.contains("active"), "{text}");
    }
}

/// The reason is for admins. A lockdown that is imposed while an operation runs must not tell it to the person.
#[tokio::test]
async fn a_person_does_not_read_the_reason_of_their_own_lockdown() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let view = async || {
        let operation = operation("person.show", &json!({ "name": "maria" }));
        test.site.run(&maria.caller, &operation, NOW).await
    };
    assert_eq!(view().await.code, Code::SUCCESS);
    let imposed = json!({ "name": "maria", "reason": "the laptop was stolen" });
    test.admin("lockdown.person", imposed).await;
    let refused = view().await;
    assert_ne!(refused.code, Code::SUCCESS);
    assert!(!refused.data.get().contains("laptop"), "{}", refused.data);
}
