//! References to an account, an application or a key do not pass to a later one of the same name.

use countersign_core::access::Caller;
use countersign_proto::operation::{Code, Operation};
use countersign_testkit::harness::{self, NOW, TestSite, certificate, run};
use serde_json::{Value, json};

fn party() -> String {
    harness::party().public().to_pem()
}

async fn register(test: &TestSite, id: &str, settings: Value) -> Value {
    let params = json!({ "id": id, "public_keys": [party()], "settings": settings });
    test.admin("app.create", params).await
}

async fn may_call(test: &TestSite, id: &str) -> Value {
    test.admin("app.show", json!({ "id": id })).await["may_call"].take()
}

/// Returns whether `app ticket` grants the ticket, after checking that the site agrees.
async fn gets_ticket(test: &TestSite, consumer: &str, provider: &str) -> bool {
    let params = json!({ "consumer": consumer, "provider": provider });
    let granted = test.admin("app.ticket", params).await["granted"] == true;
    let consumer = test.site.registered(consumer, NOW).await.unwrap().unwrap();
    let provider = test.site.provider(&consumer, provider, NOW).await;
    assert_eq!(provider.unwrap().is_some(), granted);
    granted
}

/// [BRK-32] Regression test: after the service `billing-robot` was deleted, another service of the
/// same name with another key got the tickets and ticket keys of its application.
#[tokio::test]
async fn a_new_service_with_the_name_of_a_deleted_one_gets_no_tickets() {
    let test = TestSite::new().await;
    let (first, _) = test.service("billing-robot").await;
    register(&test, "ledger", json!({})).await;
    let settings = json!({ "service": "billing-robot", "may_call": [{ "app": "ledger" }] });
    register(&test, "billing", settings).await;
    let code = async |caller, operation: &str| {
        let params = match operation {
            "broker.ticket" => json!({ "app": "billing", "providers": ["ledger"] }),
            _ => json!({ "app": "billing" }),
        };
        run(&test.site, caller, operation, params).await.0
    };
    for operation in ["broker.ticket", "broker.ticket_keys"] {
        assert_eq!(code(&first.caller, operation).await, Code::SUCCESS);
    }
    test.admin("service.delete", json!({ "name": "billing-robot" }))
        .await;
    let shown = test.admin("app.show", json!({ "id": "billing" })).await;
    assert_eq!(
        shown.get("service"),
        None,
        "the reference was removed with the account"
    );
    let deleted = test.audit().await.pop().unwrap();
    assert_eq!(deleted["details"]["spoke_for"], json!(["billing"]));

    let (second, _) = test.service("billing-robot").await;
    for operation in ["broker.ticket", "broker.ticket_keys"] {
        assert_eq!(code(&second.caller, operation).await, Code::NOT_PERMITTED);
    }
    let settings = json!({ "service": "billing-robot" });
    test.admin(
        "app.update",
        json!({ "id": "billing", "settings": settings }),
    )
    .await;
    assert_eq!(code(&second.caller, "broker.ticket").await, Code::SUCCESS);
}

/// [BRK-32] Regression test: after the application `ledger` was deleted, another one with the same
/// id could be called by, and could call, the applications that the first one could.
#[tokio::test]
async fn a_new_application_with_the_id_of_a_deleted_one_inherits_nothing() {
    let test = TestSite::new().await;
    register(&test, "archive", json!({})).await;
    let settings = json!({ "groups": ["finance"], "may_call": [{ "app": "archive" }] });
    register(&test, "ledger", settings).await;
    let callees = json!([{ "app": "ledger" }, { "group": "finance" }]);
    register(&test, "billing", json!({ "may_call": callees })).await;
    assert!(gets_ticket(&test, "billing", "ledger").await);
    assert!(gets_ticket(&test, "ledger", "archive").await);

    test.admin("app.delete", json!({ "id": "ledger" })).await;
    assert_eq!(
        may_call(&test, "billing").await,
        json!([{ "group": "finance" }])
    );
    let deleted = test.audit().await.pop().unwrap();
    assert_eq!(
        deleted["details"]["no_longer_called_by"],
        json!(["billing"])
    );
    register(&test, "ledger", json!({})).await;
    assert!(!gets_ticket(&test, "billing", "ledger").await);
    assert!(!gets_ticket(&test, "ledger", "archive").await);
    // Membership of a group belongs to each registration.
    let grouped = json!({ "id": "ledger", "settings": { "groups": ["finance"] } });
    test.admin("app.update", grouped).await;
    assert!(gets_ticket(&test, "billing", "ledger").await);
}

/// Regression test: `--may-call dup` removed all earlier permissions, and a misspelt id was
/// accepted.
#[tokio::test]
async fn a_permission_is_added_or_removed_without_changing_others() {
    let test = TestSite::new().await;
    for id in ["ledger", "archive"] {
        register(&test, id, json!({})).await;
    }
    register(
        &test,
        "billing",
        json!({ "may_call": [{ "app": "ledger" }] }),
    )
    .await;
    let (ledger, archive) = (json!({ "app": "ledger" }), json!({ "app": "archive" }));
    let finance = json!({ "group": "finance" });
    let update = |allow: Value, disallow: Value| json!({ "id": "billing", "allow": allow, "disallow": disallow });
    let added = test
        .admin("app.update", update(json!([archive, finance]), json!([])))
        .await;
    assert_eq!(added["may_call"], json!([ledger, archive, finance]));
    let again = test
        .admin("app.update", update(json!([archive]), json!([])))
        .await;
    assert_eq!(again["may_call"], json!([ledger, finance, archive]), "once");
    let taken = test
        .admin("app.update", update(json!([]), json!([ledger, finance])))
        .await;
    assert_eq!(taken["may_call"], json!([archive]));

    let misspelt = json!({ "app": "ledgre" });
    for (params, field, code) in [
        (
            update(json!([misspelt]), json!([])),
            "allow",
            Code::NOT_FOUND,
        ),
        (
            update(json!([]), json!([misspelt])),
            "disallow",
            Code::INVALID_PARAMS,
        ),
        (
            json!({ "id": "billing", "settings": { "may_call": [misspelt] } }),
            "settings.may_call",
            Code::NOT_FOUND,
        ),
    ] {
        let (refused, data) = test.refused("app.update", params).await;
        assert_eq!((refused, &data["field"]), (code, &json!(field)), "{data}");
    }
    assert_eq!(may_call(&test, "billing").await, json!([archive]));
}

/// Regression test: a revoked key could be registered again, for the same service or for another.
#[tokio::test]
async fn a_removed_key_is_not_registered_again() {
    let test = TestSite::new().await;
    let (pem, thumbprint) = certificate();
    let (stored, _) = certificate();
    test.admin(
        "service.create",
        json!({ "name": "robot", "certificate": pem }),
    )
    .await;
    test.admin(
        "service.create",
        json!({ "name": "other", "certificate": stored }),
    )
    .await;
    let add = async |name: &str, pem: &str| {
        test.refused("key.add", json!({ "name": name, "certificate": pem }))
            .await
    };
    let (code, data) = add("other", &pem).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::CONFLICT, &json!("certificate"))
    );
    assert!(
        data["message"]
            .as_str()
            .unwrap()
            .contains("already has this key"),
        "{data}"
    );
    let revoke = json!({ "name": "robot", "thumbprint": thumbprint.to_string() });
    test.admin("key.revoke", revoke).await;
    // The keys of a deleted account count as removed too.
    test.admin("service.delete", json!({ "name": "other" }))
        .await;
    test.admin("service.create", json!({ "name": "third" }))
        .await;
    for (name, pem) in [("robot", &pem), ("third", &pem), ("third", &stored)] {
        let (code, data) = add(name, pem).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::CONFLICT, &json!("certificate"))
        );
        assert!(
            data["message"].as_str().unwrap().contains("was removed"),
            "{data}"
        );
    }
}

/// [BRK-33] Regression test: with one key for two applications, each could open what was sealed to
/// the other.
#[tokio::test]
async fn a_public_key_can_be_used_by_one_application_once() {
    let test = TestSite::new().await;
    let [first, second, third] = [party(), party(), party()];
    let create = |id: &str, key: &str| json!({ "id": id, "public_keys": [key] });
    let rotate = |id: &str, key: &str, overlap: u32| json!({ "id": id, "public_key": key, "overlap": overlap });
    test.admin("app.create", create("billing", &first)).await;
    test.admin("app.create", create("ledger", &second)).await;
    let conflict = async |operation: &str, params: Value| {
        let (code, data) = test.refused(operation, params).await;
        assert_eq!(code, Code::CONFLICT, "{data}");
        assert!(
            data["message"].as_str().unwrap().contains("public key"),
            "{data}"
        );
    };
    conflict("app.create", create("archive", &first)).await;
    conflict("app.rotate_key", rotate("ledger", &first, 0)).await;
    // During the overlap the old key still belongs to the application; with an overlap of 0 it is
    // removed.
    test.admin("app.rotate_key", rotate("billing", &third, 0))
        .await;
    conflict("app.rotate_key", rotate("billing", &first, 0)).await;
    test.admin("app.delete", json!({ "id": "ledger" })).await;
    conflict("app.create", create("ledger", &second)).await;
    test.admin("app.lock", json!({ "id": "billing" })).await;
    assert_eq!(
        test.admin("app.list", json!({})).await["entries"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// [BRK-34] Regression test: a number of 30 digits was returned as 1.2345678901234568e+29, and
/// `null` changed nothing.
#[tokio::test]
async fn auth_data_is_stored_and_returned_unchanged() {
    #[derive(serde::Deserialize)]
    struct Shown {
        auth_data: Box<serde_json::value::RawValue>,
    }
    let test = TestSite::new().await;
    register(&test, "billing", json!({})).await;
    let auth_data = r#"{"z":123456789012345678901234567890,"a":1.10,"deep":[[[]]]}"#;
    let update = async |auth_data: &str| {
        let params = format!(r#"{{"id":"billing","settings":{{"auth_data":{auth_data}}}}}"#);
        let params = serde_json::value::RawValue::from_string(params).unwrap();
        let operation = Operation::new(7, "app", "update", params);
        let local = Caller::admin_socket();
        test.site.run(&local, &operation, NOW).await
    };
    let stored = async || {
        let params = serde_json::value::RawValue::from_string(r#"{"id":"billing"}"#.to_owned());
        let show = Operation::new(7, "app", "show", params.unwrap());
        let shown = test.site.run(&Caller::admin_socket(), &show, NOW).await;
        let shown: Shown = serde_json::from_str(shown.data.get()).unwrap();
        shown.auth_data.get().to_owned()
    };
    let answer = update(auth_data).await;
    assert!(answer.data.get().contains(auth_data), "{}", answer.data);
    assert_eq!(stored().await, auth_data);
    // A change of another property leaves it as it is, and `null` removes it.
    let settings = json!({ "keys_last": 60_000 });
    test.admin(
        "app.update",
        json!({ "id": "billing", "settings": settings }),
    )
    .await;
    assert_eq!(stored().await, auth_data);
    update("null").await;
    assert_eq!(stored().await, "null");

    // At the maximum depth, and one level deeper. Regression test: 125 nested arrays made lists
    // unreadable.
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(update(&nested(16)).await.code, Code::SUCCESS);
    for depth in [17, 125, 2_000] {
        let refused = update(&nested(depth)).await;
        assert_eq!(refused.code, Code::INVALID_PARAMS, "{depth}");
        assert!(
            refused.data.get().contains("settings.auth_data"),
            "{}",
            refused.data
        );
    }
    assert_eq!(stored().await, nested(16));
    test.admin("app.list", json!({})).await;
    test.admin("audit.list", json!({})).await;
}
