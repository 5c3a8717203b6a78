//! Fresh proofs: a session alone cannot change the credentials of its account.

use countersign_core::access::Caller;
use countersign_core::engine::Site;
use countersign_core::sessions::{CloseReason, Proof, Resume};
use countersign_core::throttle::Source;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::passphrase::{ClientLogin, Identifiers};
use countersign_crypto::secret::Passphrase;
use countersign_proto::operation::Code;
use countersign_proto::session::{EncryptionOption, SessionId, fresh};
use countersign_testkit::harness::{NOW, TestSession, TestSite, run, run_at};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::passphrase::register;
use crate::site::consequences::dropped_after;

pub(crate) const PHRASE: &str = "a fine pass phrase";

/// Starts a proof with this pass phrase. Returns the third message if the pass phrase is right.
async fn start_proof(
    site: &Site,
    session: &TestSession,
    phrase: &str,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, (Code, Value)> {
    let phrase = Passphrase::from(phrase.to_owned());
    let (login, ke1) = ClientLogin::start(fresh::SUITE, &phrase, &mut SystemEntropy).unwrap();
    let params = json!({ "ke1": encode(&ke1) });
    let (code, started) = run_at(site, &session.caller, "self.proof_start", params, now).await;
    if code != Code::SUCCESS {
        return Err((code, started));
    }
    let ke2 = decode(&started["ke2"]);
    let (context, server) = (fresh::passphrase_context(&id(session)), site.id().0);
    let identifiers = Identifiers {
        client: None,
        server: Some(&server),
    };
    let done = login.finish(&phrase, &ke2, &context, identifiers, &mut SystemEntropy);
    Ok(done.ok().map(|done| done.ke3))
}

async fn finish(site: &Site, session: &TestSession, ke3: &[u8], now: Timestamp) -> (Code, Value) {
    let params = json!({ "ke3": encode(ke3) });
    run_at(site, &session.caller, "self.proof_finish", params, now).await
}

/// Makes a proof with this pass phrase in a session; with a wrong one, sends an invalid third
/// message.
pub(crate) async fn make_proof(
    site: &Site,
    session: &TestSession,
    phrase: &str,
    now: Timestamp,
) -> (Code, Value) {
    match start_proof(site, session, phrase, now).await {
        Ok(ke3) => finish(site, session, &ke3.unwrap_or(vec![0; 64]), now).await,
        Err(refused) => refused,
    }
}

/// Makes a proof with a key.
pub(crate) async fn make_key_proof(
    site: &Site,
    session: &TestSession,
    identity: &Identity,
    now: Timestamp,
) -> (Code, Value) {
    let start = run_at(site, &session.caller, "self.proof_start", json!({}), now);
    let (code, started) = start.await;
    if code != Code::SUCCESS {
        return (code, started);
    }
    let challenge = decode(&started["challenge"]).try_into().unwrap();
    let message = fresh::key_message(&site.id(), &id(session), &challenge);
    let params = json!({ "signature": encode(&identity.sign(&message).0) });
    run_at(site, &session.caller, "self.proof_finish", params, now).await
}

/// Creates a person with a pass phrase and opens a session.
pub(crate) async fn person(test: &TestSite, name: &str, role: &str) -> TestSession {
    let created = test
        .admin("person.create", json!({ "name": name, "role": role }))
        .await;
    register(
        &test.site,
        &Caller::admin_socket(),
        "person",
        Some(name),
        PHRASE,
    )
    .await;
    test.session(&created, Proof::Passphrase).await.unwrap()
}

fn delivered() -> Value {
    let identity = Identity::generate(&mut SystemEntropy);
    let key = DeliveredKey::new(&identity, &PHRASE.to_owned().into(), &mut SystemEntropy);
    json!({ "certificate": key.certificate().to_pem(), "key": key.encrypted_key_pem() })
}

/// [OPS-4] Regression test: an attacker with the secrets of a session could set a pass phrase or a
/// delivered key, and so take over the account.
#[tokio::test]
async fn a_stolen_session_does_not_become_its_account() {
    let test = TestSite::new().await;
    for role in ["member", "admin"] {
        let name = format!("maria-{role}");
        let stolen = person(&test, &name, role).await;
        let mut of_own_name = delivered();
        of_own_name["name"] = name.as_str().into();
        for (operation, params) in [
            ("self.deliver_key", delivered()),
            ("self.withdraw_key", json!({})),
            ("person.deliver_key", of_own_name),
            ("person.withdraw_key", json!({ "name": name })),
        ] {
            let (code, data) = run(&test.site, &stolen.caller, operation, params).await;
            assert_eq!(code, Code::NOT_PERMITTED, "{operation}: {data}");
        }
        for (group, target) in [("self", None), ("person", Some(name.as_str()))] {
            let set = register(&test.site, &stolen.caller, group, target, "the attacker's").await;
            assert_eq!(set.0, Code::NOT_PERMITTED, "{group}: {}", set.1);
        }
        // Nor with a invented third message or a wrong pass phrase.
        let ke3 = finish(&test.site, &stolen, &[0; 64], NOW).await;
        assert_eq!(ke3.0, Code::CONFLICT, "no proof was started");
        assert_eq!(
            make_proof(&test.site, &stolen, "a guess", NOW).await.0,
            Code::NOT_PERMITTED
        );
        let set = register(&test.site, &stolen.caller, "self", None, "the attacker's").await;
        assert_eq!(set.0, Code::NOT_PERMITTED, "{}", set.1);
        // The owner knows the pass phrase and can change it.
        assert_eq!(
            make_proof(&test.site, &stolen, PHRASE, NOW).await.0,
            Code::SUCCESS
        );
        let set = register(&test.site, &stolen.caller, "self", None, "the owner's").await;
        assert_eq!(set.0, Code::SUCCESS, "{}", set.1);
    }
}

/// [OPS-5]
#[tokio::test]
async fn a_fresh_proof_is_valid_for_one_change_in_its_session_within_two_minutes() {
    let test = TestSite::new().await;
    let here = person(&test, "maria", "member").await;
    let account = json!({ "id": here.info.account });
    let there = test.session(&account, Proof::Passphrase).await.unwrap();
    let deliver = async |session: &TestSession, now| {
        let (site, caller) = (&test.site, &session.caller);
        run_at(site, caller, "self.deliver_key", delivered(), now)
            .await
            .0
    };
    assert_eq!(
        make_proof(&test.site, &here, PHRASE, NOW).await.0,
        Code::SUCCESS
    );
    let there_first = deliver(&there, NOW).await;
    assert_eq!(there_first, Code::NOT_PERMITTED, "another session");
    let last = NOW.plus_seconds(119);
    assert_eq!(deliver(&here, last).await, Code::SUCCESS);
    assert_eq!(
        deliver(&here, last).await,
        Code::NOT_PERMITTED,
        "the proof is used up"
    );
    let result = make_proof(&test.site, &here, PHRASE, last).await;
    assert_eq!(result.0, Code::SUCCESS);
    let now = last.plus_seconds(120);
    assert_eq!(deliver(&here, now).await, Code::NOT_PERMITTED, "too late");

    // A proof of one session is not valid in another.
    let ke3 = start_proof(&test.site, &here, PHRASE, now)
        .await
        .unwrap()
        .unwrap();
    start_proof(&test.site, &there, PHRASE, now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        finish(&test.site, &there, &ke3, now).await.0,
        Code::NOT_PERMITTED
    );
}

/// [OPS-5]: an attacker who resumes a session after its owner made a proof has no valid proof.
#[tokio::test]
async fn a_fresh_proof_ends_when_the_session_is_resumed() {
    let test = TestSite::new().await;
    let maria = person(&test, "maria", "member").await;
    assert_eq!(
        make_proof(&test.site, &maria, PHRASE, NOW).await.0,
        Code::SUCCESS
    );
    let resume = Resume {
        attempt: 1,
        option: EncryptionOption::HybridAes256Gcm,
        peer: "192.0.2.66:4321".to_owned(),
        cut: Box::new(|_| {}),
    };
    let resumed = test.site.resume_session(maria.info.id, resume, NOW).await;
    assert!(resumed.unwrap().is_some());
    let (code, _) = run(&test.site, &maria.caller, "self.deliver_key", delivered()).await;
    assert_eq!(code, Code::NOT_PERMITTED);
}

/// [OPS-6]: otherwise an attacker with a stolen session could guess the pass phrase without delay.
#[tokio::test]
async fn wrong_pass_phrases_in_a_session_are_delayed_like_failed_logins() {
    let test = TestSite::new().await;
    let maria = person(&test, "maria", "member").await;
    for _ in 0..3 {
        let wrong = start_proof(&test.site, &maria, "a guess", NOW).await;
        assert_eq!(wrong, Ok(None), "three attempts are not delayed");
    }
    let wait = async |now: Timestamp| {
        let refused = start_proof(&test.site, &maria, "a guess", now).await.err();
        refused.map(|(code, data)| (code, data["retry_after_ms"].as_u64().unwrap()))
    };
    assert_eq!(wait(NOW).await, Some((Code::BUSY, 250)));
    assert_eq!(
        wait(NOW.plus_millis(100)).await,
        Some((Code::BUSY, 150)),
        "counted once"
    );
    assert_eq!(
        wait(NOW.plus_millis(250)).await,
        None,
        "the delay has passed"
    );
    assert_eq!(wait(NOW.plus_millis(250)).await, Some((Code::BUSY, 500)));
    // Failed proofs count for logins from the same source, and the other way round.
    let source: Source = "192.0.2.7".parse().unwrap();
    let login = |now| {
        let mut logins = test.site.throttle().logins();
        logins.attempt("maria@example.org", source, now).unwrap()
    };
    assert_eq!(login(NOW.plus_millis(750)), 1_000);
    assert_eq!(wait(NOW.plus_millis(1_750)).await, None);
    assert_eq!(
        wait(NOW.plus_millis(1_750)).await,
        Some((Code::BUSY, 2_000))
    );
    // A valid proof resets the failures, like a login.
    let later = NOW.plus_millis(3_750);
    assert_eq!(
        make_proof(&test.site, &maria, PHRASE, later).await.0,
        Code::SUCCESS
    );
    let audited = test.audited().await;
    let audited_starts = audited
        .iter()
        .filter(|line| line.starts_with("self.proof_start maria"))
        .count();
    assert_eq!(audited_starts, 6, "one entry for each answered attempt");
}

/// Regression test: a client that disconnected after its valid proof was audited, and before the
/// reply, had the proof counted as a failed attempt. [OPS-6]
#[tokio::test]
async fn a_valid_proof_resets_the_failures_even_if_its_caller_disconnects() {
    let test = TestSite::new().await;
    let maria = person(&test, "maria", "member").await;
    let source: Source = "192.0.2.7".parse().unwrap();
    let attempt = |now| {
        let mut logins = test.site.throttle().logins();
        logins.attempt("maria@example.org", source, now).unwrap()
    };
    for waits in 0.. {
        // Each round starts without failures.
        let now = NOW.plus_seconds(waits * 960);
        for _ in 0..2 {
            assert_eq!(attempt(now), 0, "two attempts are not delayed");
        }
        let ke3 = start_proof(&test.site, &maria, PHRASE, now).await;
        let ke3 = ke3.unwrap().unwrap();
        let audited = test.audit().await.len();
        let finishing = finish(&test.site, &maria, &ke3, now);
        let done = dropped_after(waits as usize, finishing).await;
        let made = test.audit().await.len() > audited;
        let expected = if made { 0 } else { 250 };
        assert_eq!(attempt(now), expected, "dropped after {waits} waits");
        if let Some((code, data)) = done {
            assert_eq!(code, Code::SUCCESS, "{data}");
            break;
        }
    }
}

/// [OPS-6]: at the limit and one over.
#[tokio::test]
async fn a_session_ends_after_ten_failed_proofs() {
    let test = TestSite::new().await;
    let maria = person(&test, "maria", "member").await;
    let mut now = NOW;
    let mut failed = 0;
    while failed < 10 {
        let (code, _) = make_proof(&test.site, &maria, "a guess", now).await;
        failed += usize::from(code == Code::NOT_PERMITTED);
        now = now.plus_seconds(20);
        assert_eq!(maria.was_cut(), None);
    }
    assert_eq!(
        make_proof(&test.site, &maria, PHRASE, now).await.0,
        Code::NOT_PERMITTED
    );
    assert_eq!(maria.was_cut(), Some(CloseReason::NotProved));
    test.site.write_all_counted().await.unwrap();
    let audited = test.audited().await;
    let of_proofs = audited
        .iter()
        .filter(|line| line.starts_with("self.proof_finish") && !line.ends_with("done"));
    let entry = "self.proof_finish maria@example.org not_permitted";
    assert_eq!(of_proofs.collect::<Vec<_>>(), vec![entry; 10], "each once");
}

/// [OPS-4]: a service signs the session id and the challenge with its key.
#[tokio::test]
async fn a_service_makes_a_fresh_proof_with_a_signature() {
    let test = TestSite::new().await;
    let (mailer, identity) = test.service("mailer").await;
    let other = Identity::generate(&mut SystemEntropy);
    let result = make_key_proof(&test.site, &mailer, &other, NOW).await;
    assert_eq!(result.0, Code::NOT_PERMITTED);
    let result = make_key_proof(&test.site, &mailer, &identity, NOW).await;
    assert_eq!(result.0, Code::SUCCESS, "{}", result.1);
    for params in [
        json!({ "ke1": "AAAA" }),
        json!({ "ke1": encode(&[0; 1_280]) }),
    ] {
        let (code, data) = run(&test.site, &mailer.caller, "self.proof_start", params).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::INVALID_PARAMS, &json!("ke1"))
        );
    }
}

/// A stolen session looped `self.proof_finish` with no proof begun: its owner could start no proof,
/// and so could not set another pass phrase.
// OPS-15
#[tokio::test]
async fn a_stolen_session_leaves_its_owner_the_way_to_a_new_pass_phrase() {
    let test = TestSite::new().await;
    let stolen = person(&test, "maria", "admin").await;
    let account = json!({ "id": stolen.info.account });
    let own = test.session(&account, stolen.info.proof).await.unwrap();
    for _ in 0..100 {
        let (code, _) = finish(&test.site, &stolen, &[1; 64], NOW).await;
        assert_eq!(code, Code::CONFLICT, "no proof was started");
    }
    // Nor does a loop of another operation with public-key work.
    for _ in 0..100 {
        let params = json!({ "name": "none", "certificate": "no certificate" });
        run(&test.site, &stolen.caller, "key.add", params).await;
    }
    let (code, data) = make_proof(&test.site, &own, PHRASE, NOW).await;
    assert_eq!(code, Code::SUCCESS, "{data}");
}

/// [OPS-7] Regression test: one session ran public-key operations as fast as the site could, which
/// delayed the logins of others.
#[tokio::test]
async fn the_public_key_work_of_an_account_is_limited() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    test.service("mailer").await;
    let add = async |now| {
        let params = json!({ "name": "mailer", "certificate": "no certificate" });
        let (code, _) = run_at(&test.site, &root.caller, "key.add", params, now).await;
        code
    };
    let mut ran = 0;
    for _ in 0..100 {
        ran += usize::from(add(NOW).await != Code::BUSY);
    }
    // One session has half of the 64 at once, and of one more every 125 ms.
    assert_eq!(ran, 32);
    assert_eq!(add(NOW.plus_millis(125)).await, Code::BUSY);
    assert_ne!(add(NOW.plus_millis(250)).await, Code::BUSY);
    let costly: Vec<&str> = test
        .site
        .table()
        .entries()
        .filter(|entry| entry.is_costly())
        .map(countersign_core::engine::Entry::name)
        .collect();
    assert_eq!(
        costly,
        [
            "app.create",
            "app.rotate_key",
            "broker.foreign_ticket",
            "broker.key_new",
            "broker.new_v1_key",
            "broker.ticket_keys",
            "key.add",
            "peer.audit_head",
            "person.deliver_key",
            "person.dump",
            "person.load",
            "person.passphrase_finish",
            "person.passphrase_start",
            "self.deliver_key",
            "self.passphrase_finish",
            "self.passphrase_start",
            "self.proof_start",
            "service.create",
            "site.key_new",
            "site.key_passphrase",
            "site.key_recovery",
            "site.key_slot_add",
            "site.key_slot_test",
            "site.unseal",
        ]
    );
}

fn id(session: &TestSession) -> SessionId {
    SessionId(*session.info.id.as_bytes())
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn decode(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}
