//! The site's id, its key events, a new site key, and the key slots of both keys.

use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::Site;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_crypto::site_key_slots::RecoveryCode;
use countersign_proto::operation::Code;
use countersign_proto::site_identity::{KeyEventsError, KnownSite, SiteId};
use countersign_testkit::harness::{NOW, TestSite, run, run_at};
use serde_json::{Value, json};

/// The parameters of a new site key: the harness has one slot file for both keys.
fn with_file(test: &TestSite) -> Value {
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    json!({ "secrets": [file], "slots": [file] })
}

async fn rotate(test: &TestSite) -> Value {
    test.admin("site.key_new", with_file(test)).await
}

#[tokio::test]
async fn a_new_site_has_one_key_event_whose_digest_is_its_id() {
    let test = TestSite::new().await;
    let events = test.site.key_events();
    let known = KnownSite::first_contact(&test.site.public_key(), &events).unwrap();
    assert_eq!((events.len(), known.id()), (1, test.site.id()));
    let status = test.admin("site.status", json!({})).await;
    let shown: SiteId = status["site_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(shown, known.id());
    assert_eq!(test.site.unsealed_keys().unwrap().events, events);
}

#[tokio::test]
async fn a_sealed_site_has_the_same_id_and_key_events() {
    let test = TestSite::new().await;
    let sealed = test.restarted().await;
    assert!(sealed.is_sealed());
    assert_eq!(sealed.id(), test.site.id());
    assert_eq!(sealed.key_events(), test.site.key_events());
    let admin = Caller::admin_socket();
    let (_, status) = run(&sealed, &admin, "site.status", json!({})).await;
    assert_eq!(status["site_id"], test.site.id().to_string());
}

#[tokio::test]
async fn everything_outlives_three_new_site_keys() {
    let test = TestSite::new().await;
    let first = KnownSite::whole(&test.site.key_events()).unwrap();
    let before = test.site.unsealed_keys().unwrap();
    for number in 1..=3 {
        let rotated = rotate(&test).await;
        assert_eq!(rotated["event"], number);
        assert_eq!(rotated["site_id"], first.id().to_string());
        assert_eq!(rotated["site_key"], test.site.public_key().to_string());
    }
    let after = test.site.unsealed_keys().unwrap();
    let restarted = test.unsealed().await.unsealed_keys().unwrap();
    for keys in [after, restarted] {
        assert_ne!(keys.key.public(), before.key.public());
        assert_eq!(keys.setup.id(), before.setup.id());
        assert_eq!(keys.decoy, before.decoy);
        let pem = |keys: &countersign_core::site_key::UnsealedKeys| {
            keys.broker.party().unwrap().public().to_pem()
        };
        assert_eq!(pem(&keys), pem(&before));
        // A client that slept through all three follows them from the first event.
        let known = first.advance(&keys.events).unwrap();
        assert_eq!(known.keys(), &keys.key.public());
        assert_eq!(known.id(), test.site.id());
    }
}

#[tokio::test]
async fn a_new_site_key_is_audited_raises_an_alarm_and_tells_every_session() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "ada", "role": "admin" }))
        .await;
    rotate(&test).await;
    let audited = test.audited().await;
    assert!(
        audited.contains(&"site.key_new - done".to_owned()),
        "{audited:?}"
    );
    let alarms = test.admin("alarm.list", json!({})).await;
    assert_eq!(alarms["entries"][0]["key"], "new site key 1", "{alarms}");
    assert_eq!(alarms["entries"][0]["severity"], "warning");
}

#[tokio::test]
async fn a_theft_is_declared_with_the_new_key_and_its_alarm_is_critical() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "ada", "role": "admin" }))
        .await;
    let mut params = with_file(&test);
    params["compromised_since"] = json!(NOW);
    test.admin("site.key_new", params.clone()).await;
    let events = test.admin("site.key_events", json!({})).await;
    assert_eq!(events["events"][1]["compromised_since"], json!(NOW));
    let alarms = test.admin("alarm.list", json!({})).await;
    assert_eq!(alarms["entries"][0]["severity"], "critical");
    // The key that it declares stolen was not current yesterday.
    params["compromised_since"] = json!("2020-01-01T00:00:00Z");
    let (code, data) = test.refused("site.key_new", params).await;
    let expected = (Code::INVALID_PARAMS, &"compromised_since".into());
    assert_eq!((code, &data["field"]), expected);
}

/// A thief of the current key cannot open the next one. So the thief's event commits to another
/// key, or is not signed by the committed one; clients refuse it and follow the site.
#[tokio::test]
async fn a_thief_of_the_current_key_cannot_rotate_and_the_site_recovers() {
    let test = TestSite::new().await;
    let known = KnownSite::whole(&test.site.key_events()).unwrap();
    let stolen = test.site.unsealed_keys().unwrap().key.clone();
    let [own, next] = [(); 2].map(|()| SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy)));
    let first = *test.site.key_events().first().unwrap();
    let forged = first.replaced_by(&stolen, &own, &next.public(), NOW.millis(), None);
    let fork = Err(KeyEventsError::Fork { number: 1 });
    assert_eq!(known.advance(&[forged]), fork);

    let mut params = with_file(&test);
    params["compromised_since"] = json!(NOW);
    test.admin("site.key_new", params).await;
    let recovered = known.advance(&test.site.key_events()).unwrap();
    assert_eq!(recovered.keys(), &test.site.public_key());
    // What the thief makes of the event afterwards contradicts what the client knows.
    let late = test.site.key_events().get(1).copied().unwrap();
    let forged = late.replaced_by(&stolen, &own, &next.public(), NOW.millis(), None);
    let fork = Err(KeyEventsError::Fork { number: 2 });
    assert_eq!(recovered.advance(&[forged]), fork);
}

#[tokio::test]
async fn a_sealed_site_and_a_wrong_secret_give_no_new_key() {
    let test = TestSite::new().await;
    let before = test.site.key_events();
    let admin = Caller::admin_socket();
    let sealed = test.restarted().await;
    let (code, _) = run(&sealed, &admin, "site.key_new", with_file(&test)).await;
    assert_eq!(code, Code::SEALED);

    let code = RecoveryCode::generate(&mut SystemEntropy);
    let wrong = json!({ "recovery_code": code.to_text().expose() });
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    for secrets in [json!([wrong]), json!([file, wrong]), json!([])] {
        let params = json!({ "secrets": secrets, "slots": [file] });
        test.refused("site.key_new", params).await;
    }
    // Without a slot the new key could never be opened again.
    let params = json!({ "secrets": [file] });
    let (code, data) = test.refused("site.key_new", params).await;
    let expected = (Code::INVALID_PARAMS, &"slots".into());
    assert_eq!((code, &data["field"]), expected);
    assert_eq!(test.site.key_events(), before);
}

#[tokio::test]
async fn the_recovery_code_opens_the_new_key_and_the_key_after_it() {
    let test = TestSite::new().await;
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    let made = test
        .admin("site.key_recovery", json!({ "secret": file }))
        .await;
    let code = json!({ "recovery_code": made["recovery_code"] });
    let params = json!({ "secrets": [code], "slots": [] });
    let rotated = test.admin("site.key_new", params.clone()).await;
    assert_eq!(rotated["lost_slots"], json!(["file"]));
    assert_eq!(rotated["lost_next_slots"], json!(["file"]));
    let site = test.restarted().await;
    let admin = Caller::admin_socket();
    let (answered, data) = run(&site, &admin, "site.unseal", code).await;
    assert_eq!(answered, Code::SUCCESS, "{data}");
    let (answered, data) = run(&site, &admin, "site.key_new", params).await;
    assert_eq!(answered, Code::SUCCESS, "{data}");
}

#[tokio::test]
async fn slots_of_both_keys_are_added_tested_and_removed() {
    let test = TestSite::new().await;
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    let phrase = json!({ "passphrase": "a pass phrase of the next key" });
    let add = json!({ "key": "next", "slot": phrase, "secret": file });
    assert_eq!(test.admin("site.key_slot_add", add).await["slot"], 2);
    let add = json!({ "slot": { "passphrase": "a pass phrase of the key" } });
    assert_eq!(test.admin("site.key_slot_add", add).await["slot"], 2);

    let on = |key: &str, secret: &Value| json!({ "key": key, "secret": secret });
    // Slots could not be told apart: the test did not say which one a secret opens, the audit log named none,
    // and a file that was added again got another slot.
    let tested = test.admin("site.key_slot_test", on("next", &phrase)).await;
    assert_eq!(tested["slot"], 2);
    let tested = "site.key_slot_test slot 2 of the next site key done".to_owned();
    assert!(test.audited().await.contains(&tested));
    let again = json!({ "slot": { "slot_file": test.slot.to_text().expose() } });
    assert_eq!(test.admin("site.key_slot_add", again).await["slot"], 1);
    let (code, data) = test
        .refused("site.key_slot_test", on("current", &phrase))
        .await;
    assert_eq!(code, Code::NOT_PERMITTED);
    let message = data["message"].as_str().unwrap();
    let slots = "its slots are 1 (file), 2 (pass phrase)";
    assert!(message.ends_with(slots), "{message}");

    for key in ["current", "next"] {
        let removed = json!({ "key": key, "slot": 1 });
        test.admin("site.key_slot_remove", removed.clone()).await;
        let (code, _) = test.refused("site.key_slot_remove", removed).await;
        assert_eq!(code, Code::NOT_FOUND);
        let last = json!({ "key": key, "slot": 2 });
        let (code, _) = test.refused("site.key_slot_remove", last).await;
        assert_eq!(code, Code::CONFLICT, "the last slot stays");
    }
    let rotation = json!({ "secrets": [phrase], "slots": [phrase] });
    test.admin("site.key_new", rotation).await;
}

#[tokio::test]
async fn the_next_key_gets_a_slot_only_with_a_secret_that_opens_it() {
    let test = TestSite::new().await;
    let slot = json!({ "passphrase": "a pass phrase of the next key" });
    for add in [
        json!({ "key": "next", "slot": slot }),
        json!({ "key": "next", "slot": slot, "secret": slot }),
        json!({ "key": "current", "slot": slot, "secret": slot }),
        json!({ "slot": { "passphrase": "short" } }),
        json!({ "slot": {} }),
    ] {
        test.refused("site.key_slot_add", add).await;
    }
    let listed = test.admin("site.key_slots", json!({})).await;
    for key in ["slots", "next_slots"] {
        assert_eq!(listed[key].as_array().unwrap().len(), 1);
    }
}

/// Five wrong secrets are tried at once, then one in ten seconds. A right one is never refused for
/// longer.
#[tokio::test]
async fn wrong_secrets_are_slowed_down_and_never_locked_out() {
    let test = TestSite::new().await;
    let site = test.restarted().await;
    let admin = Caller::admin_socket();
    let code = RecoveryCode::generate(&mut SystemEntropy);
    let wrong = json!({ "recovery_code": code.to_text().expose() });
    let right = json!({ "slot_file": test.slot.to_text().expose() });
    let try_at = |secret: Value, now| {
        let (site, admin) = (&site, &admin);
        async move { run_at(site, admin, "site.unseal", secret, now).await }
    };
    for _ in 0..5 {
        let (code, _) = try_at(wrong.clone(), NOW).await;
        assert_eq!(code, Code::NOT_PERMITTED);
    }
    let (code, data) = try_at(right.clone(), NOW).await;
    assert_eq!(
        (code, &data["retry_after_ms"]),
        (Code::BUSY, &10_000.into())
    );
    let later = NOW.plus_seconds(10);
    assert_eq!(try_at(right, later).await.0, Code::SUCCESS);
}

#[tokio::test]
async fn a_sealed_site_forgets_its_keys_and_is_unsealed_again() {
    let test = TestSite::new().await;
    let keys = Arc::downgrade(&test.site.unsealed_keys().unwrap());
    test.admin("site.seal", json!({})).await;
    assert!(test.site.is_sealed());
    assert!(keys.upgrade().is_none(), "the keys are erased");
    let (code, _) = test.refused("person.list", json!({})).await;
    assert_eq!(code, Code::SEALED);
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    test.admin("site.unseal", file).await;
    test.admin("person.list", json!({})).await;
    rotate(&test).await;
}

/// A slot was added on the basis of the key before a rotation. Stored, it would have undone the
/// rotation.
#[tokio::test]
async fn a_change_of_slots_and_a_rotation_at_once_leave_one_of_them() {
    let test = TestSite::new().await;
    let slot = json!({ "slot": { "passphrase": "a pass phrase of the key" } });
    let site: &Site = &test.site;
    let admin = Caller::admin_socket();
    let (added, rotated) = tokio::join!(
        run(site, &admin, "site.key_slot_add", slot),
        run(site, &admin, "site.key_new", with_file(&test)),
    );
    let ok = |code| usize::from(code == Code::SUCCESS);
    assert!(ok(added.0) + ok(rotated.0) >= 1, "{added:?} {rotated:?}");
    let restarted = test.unsealed().await;
    assert_eq!(restarted.public_key(), test.site.public_key());
    assert_eq!(restarted.key_events().len(), 1 + ok(rotated.0));
}
