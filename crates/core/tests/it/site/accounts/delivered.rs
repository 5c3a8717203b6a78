//! The delivered key of a person: storing, replacing and removing it, and the effect on sessions.

use countersign_core::access::Caller;
use countersign_core::sessions::{CloseReason, Proof};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::{DeliveredKey, write_identity};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSession, TestSite, operation, run};
use serde_json::{Value, json};

use super::passphrase::register;
use super::proof::make_key_proof;

/// Returns an encrypted key as the two fields of an operation.
fn fields(identity: &Identity) -> Value {
    let passphrase = "a fine pass phrase".to_owned().into();
    let key = DeliveredKey::new(identity, &passphrase, &mut SystemEntropy);
    json!({ "certificate": key.certificate().to_pem(), "key": key.encrypted_key_pem() })
}

fn of(name: &str, identity: &Identity) -> Value {
    let mut params = fields(identity);
    params["name"] = name.into();
    params
}

/// Creates `maria` with a delivered key, and returns the account and the key.
async fn with_key(test: &TestSite) -> (Value, Identity) {
    let created = test
        .admin("person.create", json!({ "name": "maria" }))
        .await;
    let identity = Identity::generate(&mut SystemEntropy);
    test.admin("person.deliver_key", of("maria", &identity))
        .await;
    (created, identity)
}

/// Opens a session that was authenticated with this delivered key.
async fn opened(test: &TestSite, account: &Value, identity: &Identity) -> Option<TestSession> {
    let thumbprint = identity.certificate().thumbprint();
    test.session(account, Proof::DeliveredKey(thumbprint)).await
}

#[tokio::test]
async fn a_delivered_key_is_stored_shown_and_removed() {
    let test = TestSite::new().await;
    let (_, identity) = with_key(&test).await;
    let name = "maria".parse().unwrap();
    let (_, stored) = test
        .site
        .delivered_key_for_login(&name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.certificate(), identity.certificate());
    let shown = test.admin("person.show", json!({ "name": "maria" })).await;
    assert_eq!(shown["delivered_key_set"], "2026-03-01T12:00:00.000Z");

    test.admin("person.withdraw_key", json!({ "name": "maria" }))
        .await;
    assert!(
        test.site
            .delivered_key_for_login(&name)
            .await
            .unwrap()
            .is_none()
    );
    let shown = test.admin("person.show", json!({ "name": "maria" })).await;
    assert!(shown.get("delivered_key_set").is_none());
    let audited = test.audited().await;
    for entry in ["person.deliver_key", "person.withdraw_key"] {
        let entry = format!("{entry} maria@example.org done");
        assert!(audited.contains(&entry), "{audited:?}");
    }
}

/// [SES-36]
#[tokio::test]
async fn the_key_of_a_locked_person_is_still_delivered_and_opens_no_session() {
    let test = TestSite::new().await;
    let (created, identity) = with_key(&test).await;
    let name = "maria".parse().unwrap();
    test.admin("person.lock", json!({ "name": "maria" })).await;
    let delivered = test.site.delivered_key_for_login(&name).await.unwrap();
    assert!(delivered.is_some());
    assert!(opened(&test, &created, &identity).await.is_none());
    test.admin("person.unlock", json!({ "name": "maria" }))
        .await;
    assert!(opened(&test, &created, &identity).await.is_some());
}

#[tokio::test]
async fn a_person_replaces_and_withdraws_their_own_key_and_keeps_the_session() {
    let test = TestSite::new().await;
    let (created, identity) = with_key(&test).await;
    let mine = opened(&test, &created, &identity).await.unwrap();
    let other = opened(&test, &created, &identity).await.unwrap();
    let next = Identity::generate(&mut SystemEntropy);
    let result = make_key_proof(&test.site, &mine, &identity, NOW).await;
    assert_eq!(result.0, Code::SUCCESS, "{}", result.1);
    let (code, data) = run(&test.site, &mine.caller, "self.deliver_key", fields(&next)).await;
    assert_eq!(code, Code::SUCCESS, "{data}");
    let thumbprint = next.certificate().thumbprint().to_string();
    assert_eq!(data["thumbprint"], thumbprint);
    assert_eq!(mine.was_cut(), None);
    assert_eq!(other.was_cut(), Some(CloseReason::KeyRevoked));
    // The key of this session no longer belongs to the account, so it does not give a fresh proof.
    assert_eq!(
        make_key_proof(&test.site, &mine, &identity, NOW).await.0,
        Code::NOT_PERMITTED
    );
    let mine = opened(&test, &created, &next).await.unwrap();
    let result = make_key_proof(&test.site, &mine, &next, NOW).await;
    assert_eq!(result.0, Code::SUCCESS, "{}", result.1);
    let (code, _) = run(&test.site, &mine.caller, "self.withdraw_key", json!({})).await;
    assert_eq!((code, mine.was_cut()), (Code::SUCCESS, None));
}

#[tokio::test]
async fn a_service_cannot_have_a_delivered_key() {
    let test = TestSite::new().await;
    let (mailer, identity) = test.service("mailer").await;
    let (code, _) = run(
        &test.site,
        &mailer.caller,
        "self.deliver_key",
        fields(&identity),
    )
    .await;
    assert_eq!(code, Code::NOT_PERMITTED);
    let (code, _) = test
        .refused("person.deliver_key", of("mailer", &identity))
        .await;
    assert_eq!(code, Code::NOT_FOUND);
}

#[tokio::test]
async fn a_new_delivered_key_cuts_the_sessions_of_the_previous_one_only() {
    let test = TestSite::new().await;
    let (created, identity) = with_key(&test).await;
    let by_key = opened(&test, &created, &identity).await.unwrap();
    let by_passphrase = test.session(&created, Proof::Passphrase).await.unwrap();
    test.admin("person.deliver_key", of("maria", &identity))
        .await;
    assert_eq!(by_key.was_cut(), Some(CloseReason::KeyRevoked));
    assert_eq!(by_passphrase.was_cut(), None);

    let by_key = opened(&test, &created, &identity).await.unwrap();
    test.admin("person.withdraw_key", json!({ "name": "maria" }))
        .await;
    assert_eq!(by_key.was_cut(), Some(CloseReason::KeyRevoked));
    assert_eq!(by_passphrase.was_cut(), None);
}

#[tokio::test]
async fn a_key_that_was_replaced_or_withdrawn_during_the_login_opens_no_session() {
    let test = TestSite::new().await;
    let (created, identity) = with_key(&test).await;
    let next = Identity::generate(&mut SystemEntropy);
    test.admin("person.deliver_key", of("maria", &next)).await;
    assert!(opened(&test, &created, &identity).await.is_none());
    test.admin("person.withdraw_key", json!({ "name": "maria" }))
        .await;
    assert!(opened(&test, &created, &next).await.is_none());
}

#[tokio::test]
async fn the_audit_log_and_session_show_say_how_the_client_authenticated() {
    let test = TestSite::new().await;
    let (created, identity) = with_key(&test).await;
    let session = opened(&test, &created, &identity).await.unwrap();
    let thumbprint = identity.certificate().thumbprint().to_string();
    let last = test.audit().await.pop().unwrap();
    assert_eq!(last["operation"], "session.opened");
    assert_eq!(
        last["details"]["proof"],
        format!("delivered key {thumbprint}")
    );
    let shown = test
        .admin("session.show", json!({ "id": session.info.id }))
        .await;
    assert_eq!(shown["proof"], "delivered_key");
    assert_eq!(shown["key"], thumbprint);
}

/// An invalid value is refused with its field, and nothing is stored.
#[tokio::test]
async fn only_an_encrypted_key_with_its_certificate_is_stored() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let identity = Identity::generate(&mut SystemEntropy);
    let good = of("maria", &identity);
    let plain = write_identity(&identity, None, &mut SystemEntropy);
    for (field, value) in [
        ("key", plain.expose()),
        ("key", "no PEM"),
        ("certificate", "no PEM"),
        ("certificate", good["key"].as_str().unwrap()),
    ] {
        let mut params = good.clone();
        params[field] = value.into();
        let (code, data) = test.refused("person.deliver_key", params).await;
        assert_eq!(code, Code::INVALID_PARAMS);
        assert_eq!(data["field"], field, "{data}");
    }
    let name = "maria".parse().unwrap();
    assert!(
        test.site
            .delivered_key_for_login(&name)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_dump_contains_the_delivered_key_at_the_admin_socket_only() {
    let test = TestSite::new().await;
    let (_, identity) = with_key(&test).await;
    let named = json!({ "name": "maria" });
    let root = test.person("root", "admin").await;
    let (_, over_session) = run(&test.site, &root.caller, "person.dump", named.clone()).await;
    assert!(over_session.get("delivered_key").is_none());
    let dump = test.admin("person.dump", named.clone()).await;
    test.admin("person.delete", named.clone()).await;
    let text = serde_json::to_string(&dump).unwrap();
    test.admin("person.load", json!({ "dump": text })).await;
    let name = "maria".parse().unwrap();
    let (_, stored) = test
        .site
        .delivered_key_for_login(&name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.certificate(), identity.certificate());
    assert_eq!(test.admin("person.dump", named.clone()).await, dump);

    test.admin("person.delete", named).await;
    let plain = write_identity(&identity, None, &mut SystemEntropy);
    let mut dump = dump;
    dump["delivered_key"]["key"] = plain.expose().into();
    dump.as_object_mut().unwrap().remove("check");
    let text = serde_json::to_string(&dump).unwrap();
    let (_, data) = test.refused("person.load", json!({ "dump": text })).await;
    assert_eq!(data["field"], "dump.delivered_key.key");
}

/// A person whose pass phrase had leaked was loaded without it. The delivered key came along, and with it a login with
/// the old pass phrase.
// OPS-8
#[tokio::test]
async fn a_dump_is_loaded_without_the_secrets_of_the_old_pass_phrase() {
    let test = TestSite::new().await;
    with_key(&test).await;
    let named = json!({ "name": "maria" });
    let admin = Caller::admin_socket();
    register(
        &test.site,
        &admin,
        "person",
        Some("maria"),
        "a fine pass phrase",
    )
    .await;
    let identity = Identity::generate(&mut SystemEntropy);
    test.admin("person.deliver_key", of("maria", &identity))
        .await;
    let dump = test.admin("person.dump", named.clone()).await;
    test.admin("person.delete", named.clone()).await;
    let load = json!({ "dump": dump.to_string(), "without_passphrase": true });
    let load = operation("person.load", &load);
    let output = test.site.run(&admin, &load, NOW).await.output;
    let left_out = "Left out: the pass phrase and the delivered key.";
    assert!(output.ends_with(left_out), "{output}");
    let shown = test.admin("person.show", named).await;
    assert_eq!(shown.get("passphrase_set"), None);
    assert_eq!(shown.get("delivered_key_set"), None);
}
