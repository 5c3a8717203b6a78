//! The audit log contains no secrets.

use countersign_core::access::Caller;
use countersign_core::operations;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestSite, certificate, run};
use serde_json::{Value, json};

use crate::site::accounts::passphrase::register;

const PASSPHRASE: &str = "MARKED-site-pass-phrase";

#[tokio::test]
async fn no_operation_leaves_a_secret_in_the_audit_log() {
    let test = TestSite::new().await;
    let admin = Caller::admin_socket();
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    register(
        &test.site,
        &admin,
        "person",
        Some("maria"),
        "MARKED-person-pass-phrase",
    )
    .await;
    let dump = test.admin("person.dump", json!({ "name": "maria" })).await;
    let (pem, thumbprint) = certificate();
    test.admin(
        "service.create",
        json!({ "name": "mailer", "certificate": pem }),
    )
    .await;
    test.admin("site.key_passphrase", json!({ "passphrase": PASSPHRASE }))
        .await;
    let code = test.admin("site.key_recovery", json!({})).await;
    test.admin("site.unseal", json!({ "passphrase": PASSPHRASE }))
        .await;
    let slot_file = test.slot.to_text();
    test.admin("site.unseal", json!({ "slot_file": slot_file.expose() }))
        .await;

    // Calls every other operation with every secret in every text field.
    let table = operations::table().unwrap();
    for entry in table.entries() {
        if entry.name() == "site.seal" {
            continue;
        }
        let mut params = entry.example().clone();
        for (_, value) in params.as_object_mut().into_iter().flatten() {
            if value.as_str() == Some("…") {
                *value = Value::from(PASSPHRASE);
            }
        }
        let (code, data) = run(&test.site, &admin, entry.name(), params).await;
        assert_ne!(code, Code::INTERNAL, "{}: {data}", entry.name());
    }

    let credential = &dump["credential"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let secrets = [
        "MARKED".to_owned(),
        text(&credential["record"]),
        text(&credential["sealed_identity"]),
        text(&code["recovery_code"]),
        slot_file.expose().trim().to_owned(),
    ];
    let log = test.audit().await;
    let written = serde_json::to_string(&log).unwrap();
    assert!(
        written.contains(&thumbprint.to_string()),
        "thumbprints are not secret"
    );
    for secret in secrets {
        assert!(!written.contains(&secret), "{secret} is in the audit log");
    }
}
