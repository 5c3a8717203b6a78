//! What is bound to an account, an application or a key, and not to a name that can be used again.

use countersign_proto::operation::Code;
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

/// Whether `app ticket` says that one may call the other, and whether the site does.
async fn gets_ticket(test: &TestSite, consumer: &str, provider: &str) -> bool {
    let params = json!({ "consumer": consumer, "provider": provider });
    let said = test.admin("app.ticket", params).await["granted"] == true;
    let consumer = test.site.registered(consumer, NOW).await.unwrap().unwrap();
    let provider = test.site.provider(&consumer, provider, NOW).await;
    assert_eq!(provider.unwrap().is_some(), said);
    said
}

/// The service `billing-robot` was deleted, and another one of that name, with another key, got the tickets and
/// the ticket keys of the first one's application.
/// [BRK-32]
#[tokio::test]
async fn another_service_of_a_deleted_ones_name_speaks_for_nothing() {
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
        "the reference went with the account"
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

/// The application `ledger` was deleted, and another one of that id was called by those that were allowed to call
/// the first one, and could call those that the first one might.
/// [BRK-32]
#[tokio::test]
async fn another_application_of_a_deleted_ones_id_inherits_nothing() {
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
    // A group is a word that an admin gives each application.
    let grouped = json!({ "id": "ledger", "settings": { "groups": ["finance"] } });
    test.admin("app.update", grouped).await;
    assert!(gets_ticket(&test, "billing", "ledger").await);
}

/// `--may-call dup`, as the tool's own hint said, took every earlier grant away; a misspelt one was accepted.
#[tokio::test]
async fn grants_are_added_and_removed_without_the_others() {
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

/// A revoked key could be registered again, for the same service or for another.
#[tokio::test]
async fn a_removed_key_is_not_registered_again() {
    let test = TestSite::new().await;
    let (pem, thumbprint) = certificate();
    let (kept, _) = certificate();
    test.admin(
        "service.create",
        json!({ "name": "robot", "certificate": pem }),
    )
    .await;
    test.admin(
        "service.create",
        json!({ "name": "other", "certificate": kept }),
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
    // Those of an account that was deleted are removed as well.
    test.admin("service.delete", json!({ "name": "other" }))
        .await;
    test.admin("service.create", json!({ "name": "third" }))
        .await;
    for (name, pem) in [("robot", &pem), ("third", &pem), ("third", &kept)] {
        let (code, data) = add(name, pem).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::CONFLICT, &json!("certificate"))
        );
        assert!(
            data["message"].as_str().unwrap().contains("taken away"),
            "{data}"
        );
    }
}

/// Two applications could have one key: each could open what was sealed to the other.
/// [BRK-33]
#[tokio::test]
async fn a_public_key_serves_one_application_once() {
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
    // Beside a new one the old key is the application's still; without an overlap it is removed.
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

/// A number of 30 digits came out as 1.2345678901234568e+29, and `null` changed nothing.
/// [BRK-34]
#[tokio::test]
async fn what_providers_are_told_is_kept_as_it_was_given() {
    let test = TestSite::new().await;
    register(&test, "billing", json!({})).await;
    let told = r#"{"z":123456789012345678901234567890,"a":1.10,"deep":[[[]]]}"#;
    let update = async |auth_data: &str| {
        let params = format!(r#"{{"id":"billing","settings":{{"auth_data":{auth_data}}}}}"#);
        let params = serde_json::value::RawValue::from_string(params).unwrap();
        let operation = countersign_proto::operation::Operation::new(7, "app", "update", params);
        let local = countersign_core::access::Caller::admin_socket();
        test.site.run(&local, &operation, NOW).await
    };
    let kept = async || {
        let found = test.site.registered("billing", NOW).await.unwrap().unwrap();
        found.application.auth_data.as_str().to_owned()
    };
    let answer = update(told).await;
    assert!(answer.data.get().contains(told), "{}", answer.data);
    assert_eq!(kept().await, told);
    // A change of something else leaves it, and `null` does not.
    let settings = json!({ "keys_last": 60_000 });
    test.admin(
        "app.update",
        json!({ "id": "billing", "settings": settings }),
    )
    .await;
    assert_eq!(kept().await, told);
    update("null").await;
    assert_eq!(kept().await, "null");

    // As deep as may be, and one deeper: 125 arrays were stored, and no list could be read any more.
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
    assert_eq!(kept().await, nested(16));
    test.admin("app.list", json!({})).await;
    test.admin("audit.list", json!({})).await;
}
