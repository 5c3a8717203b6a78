//! The encryption options on offer, and changing them.

use std::pin::pin;

use countersign_core::access::Caller;
use countersign_core::engine::{OFFER, SiteError};
use countersign_core::sessions::{CloseReason, Proof, Resume, Suspension, SuspensionLimits};
use countersign_proto::operation::Code;
use countersign_proto::session::{EncryptionOption, OptionList, Strength};
use countersign_testkit::harness::{NOW, TestSite, operation};
use futures_util::FutureExt;
use serde_json::{Value, json};

fn on_offer(listed: &Value) -> Vec<&str> {
    let options = listed["options"].as_array().unwrap();
    let offered = options.iter().filter(|option| option["rank"].is_number());
    offered
        .map(|option| option["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_change_of_the_offer_is_stored_and_audited() {
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
async fn a_floor_disables_weaker_options_and_prevents_enabling_them() {
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
async fn the_last_option_cannot_be_disabled_and_an_invalid_name_is_reported() {
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
async fn only_admins_can_change_the_offer() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let before = test.audit().await.len();
    for (operation, params) in [
        ("option.enable", json!({ "name": "x25519-aes256gcm" })),
        ("option.disable", json!({ "name": "hybrid-aes256gcm" })),
        ("option.order", json!({ "names": ["hybrid-aes256gcm"] })),
        ("option.floor", json!({ "floor": "delivered" })),
    ] {
        let (code, _) =
            countersign_testkit::harness::run(&test.site, &maria.caller, operation, params).await;
        assert_eq!(code, Code::NOT_PERMITTED, "{operation}");
    }
    assert_eq!(test.audit().await.len(), before + 4, "each is audited");
}

#[tokio::test]
async fn a_weaker_offer_is_audited_with_a_warning() {
    let test = TestSite::new().await;
    let warning = async |operation: &str, params: Value| {
        test.admin(operation, params).await;
        let entry = test.audit().await.pop().unwrap();
        assert_eq!(entry["operation"], operation);
        entry["details"]["warning"].as_str().map(str::to_owned)
    };
    let floor = |floor| json!({ "floor": floor });
    for classical in ["x25519-aes256gcm", "x25519-aes128gcm"] {
        let text = warning("option.enable", json!({ "name": classical })).await;
        assert!(text.unwrap().contains("quantum computer"), "{classical}");
    }
    assert_eq!(warning("option.floor", floor("hybrid")).await, None);
    let text = warning("option.floor", floor("classical")).await;
    assert!(text.unwrap().contains("quantum computer"));
    let text = warning("option.floor", floor("delivered")).await;
    assert!(text.unwrap().contains("encrypted key"));
    let hybrid = json!({ "name": "hybrid-aes256gcm" });
    assert_eq!(warning("option.disable", hybrid.clone()).await, None);
    assert_eq!(warning("option.enable", hybrid).await, None);
}

// SES-30
#[tokio::test]
async fn the_configured_floor_takes_precedence_over_enabled_options() {
    let test = TestSite::new().await;
    test.admin("option.enable", json!({ "name": "x25519-aes256gcm" }))
        .await;
    let above = test.restarted_above(Strength::Hybrid).await.unwrap();
    assert_eq!(above.options(), OptionList::default());
    let classical = [EncryptionOption::X25519Aes256Gcm];
    assert_eq!(above.options_below_floor(), classical);
    let again = test.restarted().await;
    assert_eq!(
        again.options(),
        test.site.options(),
        "the stored offer is unchanged"
    );
    assert!(again.options_below_floor().is_empty());
}

#[tokio::test]
async fn a_site_without_an_option_on_offer_is_not_opened() {
    let test = TestSite::new().await;
    test.admin("option.enable", json!({ "name": "x25519-aes256gcm" }))
        .await;
    for name in ["hybrid-aes256gcm", "hybrid-chacha20poly1305"] {
        test.admin("option.disable", json!({ "name": name })).await;
    }
    let floor = Strength::Hybrid;
    let refused = test.restarted_above(floor).await.err();
    assert!(
        matches!(refused, Some(SiteError::NothingOffered { floor: of }) if of == floor),
        "{refused:?}"
    );
}

/// SES-30: the option of a login is disabled before its session is opened.
#[tokio::test]
async fn a_session_is_not_opened_if_its_option_was_disabled_during_the_login() {
    let test = TestSite::new().await;
    let open = test.person("maria", "admin").await;
    let name = json!({ "name": open.info.option_name() });
    test.admin("option.disable", name.clone()).await;
    let account = json!({ "id": open.info.account });
    assert!(test.session(&account, Proof::Passphrase).await.is_none());
    assert_eq!(open.was_cut(), None, "an open session continues");
    let (code, _) =
        countersign_testkit::harness::run(&test.site, &open.caller, "self.show", json!({})).await;
    assert_eq!(code, Code::SUCCESS);
    let resume = || Resume {
        attempt: 1,
        option: open.info.option.unwrap(),
        peer: "192.0.2.7:4321".to_owned(),
        cut: Box::new(|_| {}),
    };
    let id = open.info.id;
    let refused = test.site.resume_session(id, resume(), NOW).await;
    assert_eq!(refused.unwrap(), None);

    test.admin("option.enable", name).await;
    assert!(test.session(&account, Proof::Passphrase).await.is_some());
    let resumed = test.site.resume_session(id, resume(), NOW).await;
    assert_eq!(resumed.unwrap().map(|info| info.id), Some(id));
}

/// SES-30: the option is on offer when the site begins to resume the session. Without `cut` the
/// change ends no sessions, so only the second check of the offer prevents the resumption.
#[tokio::test]
async fn a_suspended_session_is_not_resumed_if_its_option_is_disabled_meanwhile() {
    for cut in [false, true] {
        let test = TestSite::new().await;
        let maria = test.person("maria", "member").await;
        let limits = SuspensionLimits {
            total: 1,
            per_account: 1,
            until: NOW.plus_seconds(60),
        };
        let suspended = test
            .site
            .suspend_session(&maria.info, Box::new(|_| {}), limits);
        assert_eq!(suspended, Suspension::Suspended);
        let chosen = EncryptionOption::HybridChaCha20Poly1305;
        let resume = Resume {
            attempt: 1,
            option: chosen,
            peer: "192.0.2.7:4321".to_owned(),
            cut: Box::new(|_| {}),
        };
        let id = maria.info.id;
        let mut resuming = pin!(test.site.resume_session(id, resume, NOW));
        // The site has found the option on offer and now reads the account.
        assert!(resuming.as_mut().now_or_never().is_none());
        let disabled = json!({ "name": chosen.name(), "cut": cut });
        test.admin("option.disable", disabled).await;
        assert_eq!(resuming.await.unwrap(), None, "cut: {cut}");
        assert_eq!(test.site.sessions().count(), 0, "cut: {cut}");
        let last = test.audit().await.pop().unwrap();
        assert_eq!(last["operation"], "session.closed");
        assert_eq!(last["details"], json!({ "reason": "option_disabled" }));
    }
}

/// SES-30 Regression test: a session switched to an option that was disabled, with its sessions
/// cut, before the site recorded the switch. The session continued with that option.
#[tokio::test]
async fn a_session_that_switches_to_an_option_that_was_just_disabled_is_cut() {
    let test = TestSite::new().await;
    let open = test.person("maria", "member").await;
    let chosen = EncryptionOption::HybridChaCha20Poly1305;
    let disabled = json!({ "name": chosen.name(), "cut": true });
    test.admin("option.disable", disabled).await;
    assert_eq!(open.was_cut(), None);
    let mut switched = open.info.clone();
    switched.option = Some(chosen);
    test.site.session_switched(&switched, NOW).await.unwrap();
    assert_eq!(open.was_cut(), Some(CloseReason::OptionDisabled));
}

/// A site of an earlier version does not have this setting.
#[tokio::test]
async fn a_site_without_a_stored_offer_has_the_default_offer() {
    let test = TestSite::new().await;
    test.memory().remove_setting(OFFER);
    let site = test.unsealed().await;
    assert_eq!(site.options(), OptionList::default());
    let caller = Caller::admin_socket();
    let params = json!({ "name": "hybrid-aes256gcm" });
    let (code, data) =
        countersign_testkit::harness::run(&site, &caller, "option.disable", params).await;
    assert_eq!(code, Code::SUCCESS, "{data}");
    assert_eq!(test.restarted().await.options(), site.options());
}

/// One of two concurrent changes is refused as stale, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_concurrent_changes_of_the_offer_none_is_lost() {
    let test = std::sync::Arc::new(TestSite::new().await);
    for round in 0..20 {
        let enable = |name: &'static str| {
            let test = std::sync::Arc::clone(&test);
            tokio::spawn(async move {
                let caller = Caller::admin_socket();
                let params = json!({ "name": name });
                countersign_testkit::harness::run(&test.site, &caller, "option.enable", params)
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

/// The names of options have several lengths, and the strengths after them did not begin in one column.
#[tokio::test]
async fn the_text_of_the_list_has_columns() {
    let test = TestSite::new().await;
    let listed = operation("option.list", &json!({}));
    let listed = test.site.run(&Caller::admin_socket(), &listed, NOW).await;
    let begins = listed.output.lines().filter_map(|line| {
        let strengths = Strength::ALL.map(Strength::name);
        let strength = line.split_whitespace().nth(2)?;
        strengths.contains(&strength).then(|| line.rfind(strength))
    });
    let begins: Vec<_> = begins.collect();
    assert_eq!(begins.len(), EncryptionOption::ALL.len());
    assert!(begins.windows(2).all(|two| two[0] == two[1]), "{begins:?}");
}
