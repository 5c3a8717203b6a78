//! Applications, their keys, and which may call which.

use countersign_core::applications::Application;
use countersign_core::json::Json;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{self, NOW, TestSite};
use serde_json::{Value, json};

fn party() -> String {
    harness::party().public().to_pem()
}

const RSA: &str = include_str!("../../../../../vectors/serveros/keys/consumer.pub.pem");
const RSA_TOO: &str = include_str!("../../../../../vectors/serveros/keys/provider.pub.pem");

const SITE_RSA: &str = include_str!("../../../../../vectors/serveros/keys/master.key.pem");
/// An RSA-PSS key from `openssl genpkey -algorithm RSA-PSS`.
const PSS: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBALktoNG9ubh/wVje4s7aEcx/\n\
CrN7zJkk3sdkuiMHLfXCgjodZGeW5YU8osUuCkQ1pCmCUzk9Re7wvlZQrpxmklLI\n\
LcLCv7UuJIbXU1W4A7T4DrKRvNtHgB5ULBUA9FhdwsxmL5J9k2DJPemASqCmkodW\n\
4IU9BwayhtJ5BsTq7hKb2TH+BlTeGF9cfwm7I0PpLd8fQa4OuYK409+QB1Zh/izs\n\
VxJZMf/2p8fEJvdaVf/XVZ/d/GcwpRXeWo35lHFeytJAurr0OQM6M2Hiah3r+m3j\n\
U1M1DEkaQM/283XSb0S4d/3E1U47UpSYYfUD2UPmus06nBWxrjN5d8Q+KLpZ4rUC\n\
AwEAAQ==\n\
-----END PUBLIC KEY-----\n\
";

async fn stored(test: &TestSite, id: &str) -> Application {
    let found = test.site.registered(id, NOW).await;
    found.unwrap().unwrap().application.clone()
}

#[tokio::test]
async fn an_application_is_registered_changed_locked_and_deleted() {
    let test = TestSite::new().await;
    for id in ["billing", "ledger"] {
        let params = json!({ "id": id, "public_keys": [party()] });
        let created = test.admin("app.create", params).await;
        assert_eq!(
            (&created["edition"], &created["keys_last"]),
            (&json!("v2"), &json!(3_600_000))
        );
    }
    let (billing, ledger) = (
        stored(&test, "billing").await,
        stored(&test, "ledger").await,
    );
    assert!(
        !billing.may_call(&ledger),
        "no application may call another at first"
    );

    let settings =
        json!({ "may_call": [{ "group": "finance" }], "auth_data": { "may": ["read"] } });
    test.admin(
        "app.update",
        json!({ "id": "billing", "settings": settings }),
    )
    .await;
    let settings = json!({ "groups": ["finance"], "keys_last": 60_000 });
    test.admin(
        "app.update",
        json!({ "id": "ledger", "settings": settings }),
    )
    .await;
    let (billing, ledger) = (
        stored(&test, "billing").await,
        stored(&test, "ledger").await,
    );
    assert!(billing.may_call(&ledger) && !ledger.may_call(&billing));
    let none = Json::default();
    let known = ledger.as_v2(&none, NOW).unwrap();
    assert_eq!((known.keys_last, known.keys.len()), (60_000, 1));
    assert!(ledger.as_v1(&none, NOW).is_none());
    let shown = test.admin("app.show", json!({ "id": "billing" })).await;
    assert_eq!(shown["auth_data"], json!({ "may": ["read"] }));

    test.admin("app.lock", json!({ "id": "ledger" })).await;
    assert!(!billing.may_call(&stored(&test, "ledger").await));
    test.admin("app.unlock", json!({ "id": "ledger" })).await;
    assert!(billing.may_call(&stored(&test, "ledger").await));
    let shown = test.admin("app.show", json!({ "id": "billing" })).await;
    assert_eq!(shown["may_call"], json!([{ "group": "finance" }]));
    test.admin("app.delete", json!({ "id": "billing" })).await;
    let (code, _) = test.refused("app.show", json!({ "id": "billing" })).await;
    assert_eq!(code, Code::NOT_FOUND);
    let listed = test.admin("app.list", json!({})).await;
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
    assert_eq!(
        test.audited().await[1..],
        [
            "app.create billing done",
            "app.create ledger done",
            "app.update billing done",
            "app.update ledger done",
            "app.lock ledger done",
            "app.unlock ledger done",
            "app.delete billing done",
        ]
    );
}

// [BRK-31]
#[tokio::test]
async fn a_new_key_and_the_old_one_are_both_valid_during_the_overlap() {
    let test = TestSite::new().await;
    let first = party();
    test.admin(
        "app.create",
        json!({ "id": "billing", "public_keys": [first] }),
    )
    .await;
    let rotate = async |key: &str, overlap| {
        let params = json!({ "id": "billing", "public_key": key, "overlap": overlap });
        test.admin("app.rotate_key", params).await
    };
    rotate(&party(), 10_000).await;
    let billing = stored(&test, "billing").await;
    let keys = |at| billing.as_v2(&Json::default(), at).unwrap().keys.len();
    assert_eq!(
        (
            keys(NOW),
            keys(NOW.plus_millis(9_999)),
            keys(NOW.plus_millis(10_000))
        ),
        (2, 2, 1)
    );
    // Rotating to the same key is a mistake. With an overlap of 0 no other key stays valid.
    let params = json!({ "id": "billing", "public_key": first });
    let (code, _) = test.refused("app.rotate_key", params).await;
    assert_eq!(code, Code::CONFLICT);
    for _ in 0..6 {
        rotate(&party(), 10_000).await;
    }
    let params = json!({ "id": "billing", "public_key": party() });
    let (code, _) = test.refused("app.rotate_key", params).await;
    assert_eq!(code, Code::CONFLICT, "the maximum is eight");
    let rotated = rotate(&party(), 0).await;
    assert_eq!(rotated["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_application_of_edition_v1_has_rsa_keys_and_algorithm_lists() {
    let test = TestSite::new().await;
    let params = json!({ "id": "Application A", "edition": "serveros-v1", "public_keys": [RSA],
        "settings": { "hashes": ["sha256", "sha512"], "ciphers": ["aes128", "aes-256-cbc"] } });
    test.admin("app.create", params).await;
    let known = stored(&test, "Application A").await;
    let known = known.as_v1(&Json::default(), NOW).unwrap();
    assert_eq!(
        (known.keys.len(), known.hashes.len(), known.ciphers.len()),
        (1, 2, 2)
    );
    assert_eq!(known.ciphers[0].name(), "aes128");
    let params = json!({ "id": "B", "edition": "serveros-v1", "public_keys": [RSA_TOO] });
    let usual = test.admin("app.create", params).await;
    assert_eq!(
        (&usual["hashes"], &usual["ciphers"]),
        (&json!(["sha256"]), &json!(["aes-256-cbc"]))
    );
}

/// [BRK-72] Regression test: two applications agreed on SHA-512, which Hawk does not support. `app
/// ticket` said "may call", but no request could be signed. Such a list is refused; for an existing
/// one `app ticket` gives the reason.
#[tokio::test]
async fn an_application_that_could_not_get_a_ticket_is_refused() {
    let test = TestSite::new().await;
    let v1 = |id: &str, settings: Value| {
        json!({ "id": id, "edition": "serveros-v1", "public_keys": [RSA],
        "settings": settings })
    };
    for (settings, field) in [
        (json!({ "hashes": ["sha512"] }), "settings.hashes"),
        (json!({ "hashes": ["sha1", "sha384"] }), "settings.hashes"),
        (json!({ "hashes": [] }), "settings.hashes"),
        (json!({ "ciphers": [] }), "settings.ciphers"),
    ] {
        let (code, data) = test.refused("app.create", v1("A", settings)).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::INVALID_PARAMS, &json!(field))
        );
    }
    let (code, data) = test
        .refused(
            "app.create",
            json!({ "id": "A", "edition": "serveros-v1", "public_keys": [PSS] }),
        )
        .await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &json!("public_keys"))
    );
    assert!(
        data["message"].as_str().unwrap().contains("RSASSA-PSS"),
        "{data}"
    );

    test.admin("broker.new_v1_key", json!({ "private_key": SITE_RSA }))
        .await;
    let best_first =
        |ciphers: &[&str]| json!({ "hashes": ["sha512", "sha256"], "ciphers": ciphers });
    let mut consumer = best_first(&["aes-128-cbc"]);
    consumer["may_call"] = json!([{ "app": "B" }]);
    let mut provider = v1("B", best_first(&["aes-256-cbc"]));
    provider["public_keys"] = json!([RSA_TOO]);
    test.admin("app.create", provider).await;
    test.admin("app.create", v1("A", consumer)).await;
    let ask = json!({ "consumer": "A", "provider": "B" });
    let preview = test.admin("app.ticket", ask.clone()).await;
    assert_eq!(preview["granted"], false, "{preview}");
    assert!(
        preview["why_not"]
            .as_str()
            .unwrap()
            .contains("no cipher in common"),
        "{preview}"
    );
    let settings = json!({ "ciphers": ["aes-256-cbc", "aes-128-cbc"] });
    test.admin("app.update", json!({ "id": "B", "settings": settings }))
        .await;
    let preview = test.admin("app.ticket", ask).await;
    assert_eq!(preview["granted"], true, "{preview}");
    assert_eq!(
        (&preview["hash"], &preview["cipher"]),
        (&json!("sha256"), &json!("aes-128-cbc"))
    );
}

#[tokio::test]
async fn an_invalid_parameter_is_refused_with_its_field_and_changes_nothing() {
    let test = TestSite::new().await;
    let with = |settings: Value| json!({ "id": "billing", "public_keys": [party()], "settings": settings });
    let names: Vec<String> = (0..65).map(|at| format!("g{at}")).collect();
    let long = "x".repeat(4_096);
    for (params, field) in [
        (json!({ "id": "billing", "public_keys": [] }), "public_keys"),
        (
            json!({ "id": "billing", "public_keys": [RSA] }),
            "public_keys",
        ),
        (
            json!({ "id": "billing", "public_keys": vec![party(); 9] }),
            "public_keys",
        ),
        (json!({ "id": " billing", "public_keys": [party()] }), "id"),
        (
            json!({ "id": "billing,ledger", "public_keys": [party()] }),
            "id",
        ),
        (
            json!({ "id": "the billing", "public_keys": [party()] }),
            "id",
        ),
        (with(json!({ "groups": ["a b"] })), "settings.groups"),
        (
            with(json!({ "may_call": [{ "group": "a b" }] })),
            "settings.may_call",
        ),
        (with(json!({ "hashes": ["md5"] })), "settings.hashes"),
        (with(json!({ "ciphers": ["des"] })), "settings.ciphers"),
        (with(json!({ "keys_last": 999 })), "settings.keys_last"),
        (
            with(json!({ "keys_last": 86_400_001 })),
            "settings.keys_last",
        ),
        (with(json!({ "auth_data": long })), "settings.auth_data"),
        (with(json!({ "groups": names })), "settings.groups"),
        (
            with(json!({ "may_call": ["ledger"] })),
            "settings.may_call[0]",
        ),
        (with(json!({ "more": 1 })), "settings.more"),
    ] {
        let (code, data) = test.refused("app.create", params).await;
        assert_eq!(code, Code::INVALID_PARAMS, "{field}: {data}");
        assert_eq!(data["field"], field, "{data}");
    }
    let fine =
        json!({ "keys_last": 86_400_000, "auth_data": "x".repeat(4_094), "groups": names[1..] });
    test.admin("app.create", with(fine)).await;
    let (code, data) = test.refused("app.create", with(json!({}))).await;
    assert_eq!((code, &data["field"]), (Code::CONFLICT, &json!("id")));
}
