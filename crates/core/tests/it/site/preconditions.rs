//! The parameter `if_match`: an operation is carried out only if its object is the one that the caller read.

use countersign_core::access::Caller;
use countersign_core::operations;
use countersign_proto::operation::{Code, Operation};
use countersign_testkit::harness::{NOW, TestSite, party, run};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Two admins edited one person in the console, and the second one took back what the first had changed: only a
/// request over HTTP could say what it had read.
// OPS-14
#[tokio::test]
async fn an_operation_names_the_entity_tag_that_it_expects_on_every_channel() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let shown = test.admin("person.show", json!({ "name": "maria" })).await;
    let local = Caller::admin_socket();
    let update = async |tag: Value| {
        let params = json!({ "name": "maria", "full_name": tag, "if_match": tag });
        let (code, data) = run(&test.site, &local, "person.update", params).await;
        (code, data["code"].as_str().map(str::to_owned))
    };
    assert_eq!(update(shown["etag"].clone()).await, (Code::SUCCESS, None));
    let failed = Some("precondition_failed".to_owned());
    assert_eq!(
        update(shown["etag"].clone()).await,
        (Code::CONFLICT, failed.clone())
    );
    assert_eq!(update(json!("*")).await, (Code::CONFLICT, failed));
    let invalid = (Code::INVALID_PARAMS, Some("invalid_params".to_owned()));
    assert_eq!(update(json!(7)).await, invalid);

    let twice = r#"{"name":"maria","if_match":"a","full_name":"M","if_match":"b"}"#;
    let twice = Operation {
        id: 1,
        group: "person".into(),
        command: "update".into(),
        params: RawValue::from_string(twice.into()).unwrap(),
    };
    let refused = test.site.run(&local, &twice, NOW).await;
    assert_eq!(refused.code, Code::INVALID_PARAMS);
    let now = test.admin("person.show", json!({ "name": "maria" })).await;
    assert_eq!(now["full_name"], shown["etag"]);
    let none = json!({ "name": "maria", "full_name": "Maria", "if_match": null });
    test.admin("person.update", none).await;
}

/// `PATCH /persons/maria` with `{}` made another revision, so that others who held the entity tag got 412 for
/// nothing.
#[tokio::test]
async fn an_update_that_changes_nothing_leaves_the_entity_tag() {
    let test = TestSite::new().await;
    let (maria, billing) = (json!({ "name": "maria" }), json!({ "id": "billing" }));
    test.admin("person.create", maria.clone()).await;
    let keys = [party().public().to_pem()];
    let registered = json!({ "id": "billing", "public_keys": keys });
    test.admin("app.create", registered).await;
    for (update, show, named, same) in [
        (
            "person.update",
            "person.show",
            maria,
            json!({ "name": "maria", "role": "member" }),
        ),
        (
            "app.update",
            "app.show",
            billing,
            json!({ "id": "billing", "settings": { "groups": [] } }),
        ),
    ] {
        let tag = test.admin(show, named.clone()).await["etag"].clone();
        let audited = test.audited().await.len();
        for params in [named.clone(), same] {
            let updated = test.admin(update, params).await;
            assert_eq!(updated["etag"], tag, "{update}");
        }
        assert_eq!(test.admin(show, named).await["etag"], tag, "{update}");
        assert_eq!(test.audited().await.len(), audited, "{update}");
    }
}

/// A page stood open while its person was deleted and another one got the name. What an admin then pressed put the
/// other one in lockdown, or issued a ticket for their pass phrase.
// OPS-14
#[tokio::test]
async fn a_lockdown_and_a_ticket_are_for_the_object_that_was_read() {
    let test = TestSite::new().await;
    test.takes_enrolments();
    let app = || json!({ "id": "maria", "public_keys": [party().public().to_pem()] });
    let account = || json!({ "name": "maria" });
    for (group, named, created, operations) in [
        (
            "person",
            "name",
            [account(), account()],
            // A person in lockdown gets no ticket.
            &[("ticket.issue", "person"), ("lockdown.person", "name")][..],
        ),
        (
            "service",
            "name",
            [account(), account()],
            &[("lockdown.service", "name")][..],
        ),
        ("app", "id", [app(), app()], &[("lockdown.app", "id")][..]),
    ] {
        let (create, show) = (format!("{group}.create"), format!("{group}.show"));
        let object = json!({ named: "maria" });
        let [first, second] = created;
        test.admin(&create, first).await;
        let read = test.admin(&show, object.clone()).await["etag"].clone();
        test.admin(&format!("{group}.delete"), object.clone()).await;
        test.admin(&create, second).await;
        let present = test.admin(&show, object.clone()).await["etag"].clone();
        for (operation, parameter) in operations {
            let params = |tag: &Value| json!({ (*parameter): "maria", "if_match": tag });
            let (code, refused) = test.refused(operation, params(&read)).await;
            assert_eq!(code, Code::CONFLICT, "{operation}");
            assert_eq!(refused["code"], "precondition_failed", "{operation}");
            test.admin(operation, params(&present)).await;
        }
        test.admin(&format!("{group}.delete"), object).await;
    }
}

// OPS-14
#[tokio::test]
async fn operations_on_objects_with_a_revision_and_no_others_take_an_entity_tag() {
    let test = TestSite::new().await;
    let local = Caller::admin_socket();
    for entry in operations::table().unwrap().entries() {
        let described = entry.params().pointer("/properties/if_match").is_some();
        assert_eq!(described, entry.is_revised(), "{}", entry.name());
        if entry.is_revised() {
            let mut params = entry.example().clone();
            params["if_match"] = "of-another-object-7".into();
            let (code, refused) = run(&test.site, &local, entry.name(), params).await;
            assert_ne!(code, Code::SUCCESS, "{}", entry.name());
            assert_ne!(refused["field"], "if_match", "{}", entry.name());
        }
    }
    let params = json!({ "name": "maria", "if_match": "a-1" });
    let (code, _) = run(&test.site, &local, "person.create", params).await;
    assert_eq!(code, Code::INVALID_PARAMS);
}
