//! The encryption options on offer, as admins change them.

use countersign_proto::operation::Code;
use countersign_proto::session::EncryptionOption;
use serde_json::{Value, json};

use super::fixture::TestSite;

fn on_offer(listed: &Value) -> Vec<&str> {
    let options = listed["options"].as_array().unwrap();
    let offered = options.iter().filter(|option| option["rank"].is_number());
    offered
        .map(|option| option["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_on_offer_is_changed_kept_and_audited() {
    let test = TestSite::new().await;
    let listed = test.admin("option.list", json!({})).await;
    assert_eq!(
        on_offer(&listed),
        ["hybrid-aes256gcm", "hybrid-chacha20poly1305"]
    );
    assert_eq!(listed["floor"], "classical");

    test.admin("option.enable", json!({ "name": "x25519-aes256gcm" }))
        .await;
    let order = json!({ "names": ["hybrid-chacha20poly1305"] });
    test.admin("option.order", order).await;
    let listed = test
        .admin("option.disable", json!({ "name": "hybrid-aes256gcm" }))
        .await;
    assert_eq!(
        on_offer(&listed),
        ["hybrid-chacha20poly1305", "x25519-aes256gcm"]
    );
    let restarted = test.restarted().await;
    assert_eq!(
        restarted.options().ranked(),
        [
            EncryptionOption::HybridChaCha20Poly1305,
            EncryptionOption::X25519Aes256Gcm
        ]
    );
    let audit = test.audit().await;
    let enabled = audit
        .iter()
        .find(|entry| entry["operation"] == "option.enable");
    assert_eq!(
        enabled.unwrap()["details"]["options"],
        json!({
            "was": ["hybrid-aes256gcm", "hybrid-chacha20poly1305"],
            "is": ["hybrid-aes256gcm", "hybrid-chacha20poly1305", "x25519-aes256gcm"],
        })
    );
}

#[tokio::test]
async fn a_floor_takes_weaker_options_off_and_keeps_them_off() {
    let test = TestSite::new().await;
    test.admin("option.enable", json!({ "name": "x25519-aes256gcm" }))
        .await;
    let listed = test
        .admin("option.floor", json!({ "floor": "hybrid" }))
        .await;
    assert_eq!(
        on_offer(&listed),
        ["hybrid-aes256gcm", "hybrid-chacha20poly1305"]
    );
    let (code, data) = test
        .refused("option.enable", json!({ "name": "x25519-aes256gcm" }))
        .await;
    assert_eq!(code, Code::CONFLICT);
    assert!(data["hint"].as_str().unwrap().contains("floor"));
}

#[tokio::test]
async fn somebody_can_always_log_in_and_wrong_names_are_named() {
    let test = TestSite::new().await;
    test.admin("option.disable", json!({ "name": "hybrid-aes256gcm" }))
        .await;
    let last = json!({ "name": "hybrid-chacha20poly1305" });
    assert_eq!(test.refused("option.disable", last).await.0, Code::CONFLICT);
    let (code, data) = test
        .refused("option.enable", json!({ "name": "rot13" }))
        .await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &json!("name"))
    );
    let (code, data) = test
        .refused("option.floor", json!({ "floor": "none" }))
        .await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &json!("floor"))
    );
}

#[tokio::test]
async fn only_admins_change_what_is_on_offer() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let before = test.audit().await.len();
    for (operation, params) in [
        ("option.enable", json!({ "name": "x25519-aes256gcm" })),
        ("option.disable", json!({ "name": "hybrid-aes256gcm" })),
        ("option.order", json!({ "names": ["hybrid-aes256gcm"] })),
        ("option.floor", json!({ "floor": "delivered" })),
    ] {
        let (code, _) = super::fixture::run(&test.site, &maria.caller, operation, params).await;
        assert_eq!(code, Code::NOT_PERMITTED, "{operation}");
    }
    assert_eq!(test.audit().await.len(), before + 2, "two are disruptive");
}

/// Two admins at once: one of them is told that the other was faster, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_changes_at_once_do_not_undo_each_other() {
    let test = std::sync::Arc::new(TestSite::new().await);
    for round in 0..20 {
        let enable = |name: &'static str| {
            let test = std::sync::Arc::clone(&test);
            tokio::spawn(async move {
                let caller = countersign_core::caller::Caller::admin_socket();
                let params = json!({ "name": name });
                super::fixture::run(&test.site, &caller, "option.enable", params)
                    .await
                    .0
            })
        };
        let names = ["x25519-aes256gcm", "x25519-aes128gcm"];
        let (one, other) = tokio::join!(enable(names[0]), enable(names[1]));
        let codes = [one.unwrap(), other.unwrap()];
        let listed = test.admin("option.list", json!({})).await;
        for (name, code) in names.into_iter().zip(codes) {
            assert_eq!(
                on_offer(&listed).contains(&name),
                code == Code::SUCCESS,
                "{round}"
            );
            assert!(code == Code::SUCCESS || code == Code::CONFLICT);
            if code == Code::SUCCESS {
                test.admin("option.disable", json!({ "name": name })).await;
            }
        }
    }
}
