//! Sealing and unsealing, the configuration, and the key slots of the site key.

use countersign_core::access::Caller;
use countersign_core::engine::{Site, SiteError};
use countersign_core::operations;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, new_site, run};
use serde_json::json;

#[tokio::test]
async fn a_sealed_site_refuses_everything_but_a_few_operations() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let site = test.restarted().await;
    let admin = Caller::admin_socket();
    let table = operations::table().unwrap();
    for entry in table.entries() {
        let (code, data) = run(&site, &admin, entry.name(), entry.example().clone()).await;
        match entry.name() {
            "site.status" => assert_eq!((code, &data["sealed"]), (Code::SUCCESS, &true.into())),
            "site.unseal" => assert_eq!(code, Code::NOT_PERMITTED, "the example's secret is wrong"),
            // A backup is sealed like the site. This call cannot carry content, so it is refused.
            "site.backup" => assert_eq!(code, Code::INVALID_PARAMS),
            "site.backup_done" | "site.doctor" | "site.key_slots" | "site.key_events"
            | "peer.status" | "peer.doctor" => {
                assert_eq!(code, Code::SUCCESS);
            }
            "site.key_slot_test" => assert_eq!(code, Code::INVALID_PARAMS, "no recovery code"),
            // In an emergency, a lockdown must not wait for the secret of a slot.
            "lockdown.person" | "lockdown.site" | "lockdown.lift" | "lockdown.status" => {
                assert_eq!(code, Code::SUCCESS, "{}", entry.name());
            }
            "lockdown.service" | "lockdown.app" | "lockdown.peer" => {
                assert_eq!(code, Code::NOT_FOUND, "{}", entry.name());
            }
            name => assert_eq!(code, Code::SEALED, "{name}"),
        }
    }
    assert!(
        site.person_for_login(&"maria".parse().unwrap())
            .await
            .unwrap()
            .is_none()
    );

    let secret = json!({ "slot_file": test.slot.to_text().expose() });
    let (code, data) = run(&site, &admin, "site.unseal", secret).await;
    assert_eq!((code, data), (Code::SUCCESS, json!({ "sealed": false })));
    run(&site, &admin, "lockdown.lift", json!({ "site": true })).await;
    let (code, _) = run(&site, &admin, "person.show", json!({ "name": "maria" })).await;
    assert_eq!(code, Code::SUCCESS);
}

#[tokio::test]
async fn a_passphrase_and_a_recovery_code_unseal_the_site_too() {
    let test = TestSite::new().await;
    let set = json!({ "passphrase": "the site's pass phrase" });
    test.admin("site.key_passphrase", set.clone()).await;
    let made = test.admin("site.key_recovery", json!({})).await;
    let admin = Caller::admin_socket();
    let wrong = json!({ "passphrase": "another pass phrase" });
    for (secret, code) in [
        (wrong, Code::NOT_PERMITTED),
        (set, Code::SUCCESS),
        (
            json!({ "recovery_code": made["recovery_code"] }),
            Code::SUCCESS,
        ),
        (json!({ "recovery_code": "AAAAA" }), Code::INVALID_PARAMS),
        (json!({}), Code::INVALID_PARAMS),
    ] {
        let site = test.restarted().await;
        let answered = run(&site, &admin, "site.unseal", secret).await;
        assert_eq!(answered.0, code, "{}", answered.1);
        assert_eq!(site.is_sealed(), code != Code::SUCCESS);
    }
}

#[tokio::test]
async fn a_new_key_slot_replaces_the_slot_of_the_same_kind() {
    let test = TestSite::new().await;
    let first = test.admin("site.key_recovery", json!({})).await;
    let second = test.admin("site.key_recovery", json!({})).await;
    assert_eq!(first["slot"], second["slot"]);
    let slots = test.admin("site.key_slots", json!({})).await;
    let kinds: Vec<_> = slots["slots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| &slot["kind"])
        .collect();
    assert_eq!(kinds, ["file", "recovery_code"]);

    let site = test.restarted().await;
    let old = json!({ "recovery_code": first["recovery_code"] });
    let (code, _) = run(&site, &Caller::admin_socket(), "site.unseal", old).await;
    assert_eq!(code, Code::NOT_PERMITTED);
}

#[tokio::test]
async fn a_changed_configuration_survives_a_restart() {
    let test = TestSite::new().await;
    let shown = test.admin("site.config", json!({})).await;
    assert_eq!(
        shown,
        json!({
            "zone": "example.org", "session_lifetime": 43200, "key_lifetime": 3600,
            "access_token_lifetime": 7_776_000, "web_origins": [],
        })
    );
    let audited = test.audit().await.len();
    test.admin("site.config", json!({ "session_lifetime": 600 }))
        .await;
    test.admin("site.config", json!({ "session_lifetime": 700 }))
        .await;
    assert_eq!(
        test.audit().await.len(),
        audited + 2,
        "reading the configuration is not audited"
    );
    assert_eq!(test.restarted().await.config().session_lifetime, 700);
    let (code, data) = test
        .refused("site.config", json!({ "session_lifetime": 59 }))
        .await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &"session_lifetime".into())
    );
}

#[tokio::test]
async fn a_site_can_be_created_once_only() {
    let test = TestSite::new().await;
    let slot = SlotFile::generate(&mut SystemEntropy);
    let slots = [NewSlot::File(&slot)];
    let again = Site::create(test.parts().await, new_site(&slots), NOW).await;
    assert!(matches!(again, Err(SiteError::Exists)));
}
