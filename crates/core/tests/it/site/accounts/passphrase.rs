//! Setting a pass phrase, and the credentials that the listener gets for a login.

use countersign_core::access::Caller;
use countersign_core::engine::{Decision, PersonLogin, Site};
use countersign_core::sessions::CloseReason;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::{
    ClientLogin, ClientRegistration, Identifiers, LoginSuite, ServerLogin,
};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run, run_at};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::proof::make_proof;

/// Registers a pass phrase with `start` and `finish`, like a client.
pub(crate) async fn register(
    site: &Site,
    caller: &Caller,
    group: &str,
    name: Option<&str>,
    passphrase: &str,
) -> (Code, Value) {
    match prepared(site, caller, group, name, passphrase).await {
        Ok(finish) => {
            let operation = format!("{group}.passphrase_finish");
            run(site, caller, &operation, finish).await
        }
        Err(refused) => refused,
    }
}

/// The parameters of `finish`, after `start`.
pub(crate) async fn prepared(
    site: &Site,
    caller: &Caller,
    group: &str,
    name: Option<&str>,
    passphrase: &str,
) -> Result<Value, (Code, Value)> {
    let passphrase = Passphrase::from(passphrase.to_owned());
    let (registration, request) =
        ClientRegistration::start(&passphrase, &mut SystemEntropy).unwrap();
    let mut start = json!({ "request": encode(&request) });
    let mut finish = json!({});
    if let Some(name) = name {
        start["name"] = name.into();
        finish["name"] = name.into();
    }
    let operation = format!("{group}.passphrase_start");
    let (code, started) = run(site, caller, &operation, start).await;
    if code != Code::SUCCESS {
        return Err((code, started));
    }
    let server = decode(&started["server_identity"]);
    let identifiers = Identifiers {
        client: None,
        server: Some(&server),
    };
    let response = decode(&started["response"]);
    let (record, export_key) = registration
        .finish(&passphrase, &response, identifiers, &mut SystemEntropy)
        .unwrap();
    let identity = Identity::generate(&mut SystemEntropy);
    let sealed = sealed_identity::seal(&identity, &export_key, &mut SystemEntropy).unwrap();
    finish["setup"] = started["setup"].clone();
    finish["binding"] = started["binding"].clone();
    finish["record"] = encode(record.as_bytes()).into();
    finish["sealed_identity"] = encode(&sealed).into();
    finish["certificate"] = identity.certificate().to_pem().into();
    Ok(finish)
}

/// Returns whether a login with this pass phrase succeeds with the credential that the listener
/// gets.
fn logs_in(site: &Site, login: &PersonLogin, passphrase: &str) -> bool {
    let passphrase = Passphrase::from(passphrase.to_owned());
    let server = site.id().0;
    let identifiers = || Identifiers {
        client: None,
        server: Some(&server),
    };
    let suite = LoginSuite::Hybrid;
    let (client, ke1) = ClientLogin::start(suite, &passphrase, &mut SystemEntropy).unwrap();
    let (answer, ke2) = ServerLogin::start(
        suite,
        &login.setup,
        Some(&login.record),
        &login.credential_id.0,
        &ke1,
        b"context",
        identifiers(),
        &mut SystemEntropy,
    )
    .unwrap();
    let done = client.finish(
        &passphrase,
        &ke2,
        b"context",
        identifiers(),
        &mut SystemEntropy,
    );
    let Ok(done) = done else {
        return false;
    };
    assert!(sealed_identity::open(&login.sealed_identity, &done.export_key).is_ok());
    answer.finish(&done.ke3).is_ok()
}

async fn login(site: &Site, name: &str) -> Option<PersonLogin> {
    site.person_for_login(&name.parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_person_logs_in_with_the_passphrase_that_was_set() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    assert!(
        login(&test.site, "maria").await.is_none(),
        "no pass phrase is set yet"
    );
    let admin = Caller::admin_socket();
    let set = register(
        &test.site,
        &admin,
        "person",
        Some("maria"),
        "a fine pass phrase",
    )
    .await;
    assert_eq!(set.0, Code::SUCCESS, "{}", set.1);
    assert_eq!(maria.was_cut(), Some(CloseReason::PassphraseChanged));

    let found = login(&test.site, "maria@example.org").await.unwrap();
    assert_eq!(found.account, maria.info.account);
    assert!(logs_in(&test.site, &found, "a fine pass phrase"));
    assert!(!logs_in(&test.site, &found, "another pass phrase"));

    // The setup is sealed in the store and is available again once the site is unsealed.
    assert!(login(&test.restarted().await, "maria").await.is_none());
    let again = test.unsealed().await;
    let found = login(&again, "maria").await.unwrap();
    assert!(logs_in(&again, &found, "a fine pass phrase"));
}

#[tokio::test]
async fn a_renamed_person_keeps_the_passphrase() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let admin = Caller::admin_socket();
    register(
        &test.site,
        &admin,
        "person",
        Some("maria"),
        "a fine pass phrase",
    )
    .await;
    let rename = json!({ "name": "maria", "new_name": "marie" });
    test.admin("person.update", rename).await;
    assert!(login(&test.site, "maria").await.is_none());
    let found = login(&test.site, "marie").await.unwrap();
    assert!(logs_in(&test.site, &found, "a fine pass phrase"));
}

#[tokio::test]
async fn a_person_changes_their_own_passphrase_over_a_session() {
    let test = TestSite::new().await;
    let here = test.person("maria", "member").await;
    let account = json!({ "id": here.info.account });
    let admin = Caller::admin_socket();
    let params = Some("maria");
    register(
        &test.site,
        &admin,
        "person",
        params,
        "the first pass phrase",
    )
    .await;
    let here = test.session(&account, here.info.proof).await.unwrap();
    let elsewhere = test.session(&account, here.info.proof).await.unwrap();
    let result = make_proof(&test.site, &here, "the first pass phrase", NOW).await;
    assert_eq!(result.0, Code::SUCCESS, "{}", result.1);
    let set = register(&test.site, &here.caller, "self", None, "my own pass phrase").await;
    assert_eq!(set.0, Code::SUCCESS, "{}", set.1);
    assert_eq!(set.1["sessions_ended"], 1);
    assert_eq!(here.was_cut(), None);
    assert_eq!(elsewhere.was_cut(), Some(CloseReason::PassphraseChanged));
    let found = login(&test.site, "maria").await.unwrap();
    assert!(logs_in(&test.site, &found, "my own pass phrase"));
}

#[tokio::test]
async fn a_service_has_no_passphrase_to_set() {
    let test = TestSite::new().await;
    let (mailer, _) = test.service("mailer").await;
    let (code, _) = register(&test.site, &mailer.caller, "self", None, "a pass phrase").await;
    assert_eq!(code, Code::NOT_PERMITTED);
}

/// [SES-13]: otherwise a client could tell that an account exists and when it was locked.
#[tokio::test]
async fn locked_and_disabled_persons_get_the_same_answers_and_no_session() {
    let test = TestSite::new().await;
    let admin = Caller::admin_socket();
    let phrase = "a fine pass phrase";
    for name in ["locked", "disabled"] {
        test.admin("person.create", json!({ "name": name })).await;
        register(&test.site, &admin, "person", Some(name), phrase).await;
        let before = login(&test.site, name).await.unwrap();
        let operation = match name {
            "locked" => "person.lock",
            _ => "person.disable",
        };
        test.admin(operation, json!({ "name": name })).await;
        let after = login(&test.site, name).await.unwrap();
        assert_eq!(before.credential_id, after.credential_id);
        assert_eq!(before.sealed_identity, after.sealed_identity);
        assert!(logs_in(&test.site, &after, phrase));
        let entry = test.entry(after.account, 10).await;
        assert!(matches!(entry, Decision::Refused));
    }
    assert!(login(&test.site, "unknown").await.is_none());
}

#[tokio::test]
async fn an_invalid_registration_names_the_field() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let request = json!({ "name": "maria", "request": "AAAA" });
    let (code, data) = test.refused("person.passphrase_start", request).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &"request".into())
    );

    let setup = test.site.unsealed_keys().unwrap().setup.id();
    let whole = json!({
        "name": "maria",
        "setup": encode(setup.as_bytes()),
        "binding": encode(&[0; 56]),
        "record": encode(&[0; 192]),
        "sealed_identity": encode(&[0; 768]),
    });
    let cases = [
        ("setup", json!(encode(&[0; 8]))),
        ("binding", json!(encode(&[0; 56]))),
        ("record", json!("not base64!")),
        ("record", json!(encode(&[255; 192]))),
        ("certificate", json!("no certificate")),
    ];
    for (field, value) in cases {
        let mut params = whole.clone();
        params[field] = value;
        let (code, data) = test.refused("person.passphrase_finish", params).await;
        assert_eq!(code, Code::INVALID_PARAMS);
        let named = data["field"].as_str().unwrap();
        assert!(named == field || named == "binding", "{named} for {field}");
    }
}

/// Starts and finishes a registration at different times, or for different persons.
async fn finish_later(
    test: &TestSite,
    started_for: &str,
    finished: &str,
    later: u32,
) -> (Code, Value) {
    let admin = Caller::admin_socket();
    let phrase = Passphrase::from("a fine pass phrase".to_owned());
    let (registration, request) = ClientRegistration::start(&phrase, &mut SystemEntropy).unwrap();
    let start = json!({ "name": started_for, "request": encode(&request) });
    let started = test.admin("person.passphrase_start", start).await;
    let (record, _) = registration
        .finish(
            &phrase,
            &decode(&started["response"]),
            Identifiers::default(),
            &mut SystemEntropy,
        )
        .unwrap();
    let params = json!({
        "name": finished,
        "setup": started["setup"],
        "binding": started["binding"],
        "record": encode(record.as_bytes()),
        "sealed_identity": encode(&[0; 768]),
    });
    let run = async |now| {
        let params = params.clone();
        run_at(&test.site, &admin, "person.passphrase_finish", params, now).await
    };
    let first = run(NOW.plus_seconds(later)).await;
    let again = run(NOW.plus_seconds(later)).await;
    if first.0 == Code::SUCCESS {
        assert_eq!(
            again.0,
            Code::CONFLICT,
            "a registration can be finished once only"
        );
    }
    first
}

/// [OPS-2] Regression test: a registration was valid for any account, without expiry, and
/// repeatedly.
#[tokio::test]
async fn a_registration_can_be_finished_once_in_time_and_for_its_account_only() {
    let test = TestSite::new().await;
    for name in ["maria", "bob"] {
        test.admin("person.create", json!({ "name": name })).await;
    }
    let last = finish_later(&test, "maria", "maria", 599).await;
    assert_eq!(last.0, Code::SUCCESS, "{}", last.1);
    for (finished, later) in [("maria", 600), ("bob", 0)] {
        let (code, data) = finish_later(&test, "maria", finished, later).await;
        let field = data["field"].as_str();
        assert_eq!((code, field), (Code::INVALID_PARAMS, Some("binding")));
    }
}

/// [OPS-3] Regression test: an admin's session started 7,100 registrations a second, none of them
/// audited.
#[tokio::test]
async fn started_registrations_are_limited_and_audited() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let phrase = Passphrase::from("a fine pass phrase".to_owned());
    let (_, request) = ClientRegistration::start(&phrase, &mut SystemEntropy).unwrap();
    let params = json!({ "name": "maria", "request": encode(&request) });
    let start = async |now| {
        let (site, params) = (&test.site, params.clone());
        run_at(site, &root.caller, "person.passphrase_start", params, now).await
    };
    let mut started_for = 0;
    // One session may start 15 at once, for all persons together.
    for _ in 0..15 {
        let (code, data) = start(NOW).await;
        started_for += usize::from(code == Code::SUCCESS);
        if code != Code::SUCCESS {
            assert_eq!(
                (code, &data["retry_after_ms"]),
                (Code::BUSY, &json!(30_000))
            );
        }
    }
    assert_eq!(started_for, 10);
    assert_eq!(start(NOW.plus_seconds(30)).await.0, Code::SUCCESS);
    let entry = "person.passphrase_start maria@example.org done";
    let audited = test.audited().await;
    assert_eq!(audited.iter().filter(|line| *line == entry).count(), 11);
    // The admin socket has no limit, so that a site can always be recovered.
    test.admin("person.passphrase_start", params.clone()).await;
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn decode(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD
        .decode(value.as_str().unwrap().as_bytes())
        .unwrap()
}
