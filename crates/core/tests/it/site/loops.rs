//! Operations that a session repeats in a loop, or calls with the largest parameters.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use countersign_core::access::{Caller, Scope};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::PartyKey;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run, run_at};
use serde_json::{Value, json};

/// OPS-10 Regression test: an admin's session sent `audit.verify` repeatedly without waiting for
/// the results. Each one reads the whole database on one of the store's four reading connections,
/// so four at a time left none for logins.
#[tokio::test]
async fn one_verification_of_the_audit_log_runs_at_a_time() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    let verify = || run(&test.site, &root.caller, "audit.verify", json!({}));
    let ((first, _), (second, _), (third, _)) = tokio::join!(verify(), verify(), verify());
    assert_eq!(
        (first, second, third),
        (Code::SUCCESS, Code::BUSY, Code::BUSY)
    );
    assert_eq!(verify().await.0, Code::SUCCESS, "the lock was released");
}

/// OPS-10: a client disconnects during a verification, logs in again and starts another. SQLite
/// finishes what it began, so disconnecting must not allow an account more verifications.
#[tokio::test]
async fn verifications_are_limited_per_account_and_not_at_the_admin_socket() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    let verify = |now| run_at(&test.site, &root.caller, "audit.verify", json!({}), now);
    // One session has half of eight, and of one more in 30 s.
    for _ in 0..4 {
        assert_eq!(verify(NOW).await.0, Code::SUCCESS);
    }
    let (code, data) = verify(NOW).await;
    assert_eq!(
        (code, &data["retry_after_ms"]),
        (Code::BUSY, &json!(60_000))
    );
    let later = Timestamp::from_millis(NOW.millis() + 60_000);
    assert_eq!(verify(later).await.0, Code::SUCCESS);
    test.admin("audit.verify", json!({})).await;
}

/// Regression test: a member who listed their own sessions in a loop read every session of the
/// site, under the lock that every operation needs.
#[tokio::test]
async fn listing_own_sessions_reads_no_sessions_of_others() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let account = json!({ "id": maria.info.account });
    let second = test.session(&account, maria.info.proof).await.unwrap();
    let bob = test.person("bob", "member").await;
    let others = json!({ "id": bob.info.account });
    for _ in 0..100 {
        test.session(&others, bob.info.proof).await.unwrap();
    }
    let looked_at = Cell::new(0);
    let own = Scope::Own(maria.info.account);
    let list = |after| {
        let found = test.site.sessions().list(own, after, 10, |_| {
            looked_at.set(looked_at.get() + 1);
            true
        });
        found.into_iter().map(|info| info.id).collect::<Vec<_>>()
    };
    let mut ids = [maria.info.id, second.info.id];
    ids.sort_unstable();
    assert_eq!((list(None), looked_at.get()), (ids.to_vec(), 2));
    assert_eq!(list(Some(ids[0])), [ids[1]]);
    assert_eq!(list(Some(ids[1])), []);
}

/// Regression test: an admin's session sent lists of a megabyte. Each entry of `allow` was looked
/// up before the length was checked, and `hashes` and `ciphers` had no limit, and were stored and
/// audited.
#[tokio::test]
async fn a_long_list_of_an_application_is_refused_before_its_entries_are_processed() {
    let test = TestSite::new().await;
    let identity = Identity::generate(&mut SystemEntropy);
    let key = PartyKey::new(identity.into()).public().to_pem();
    let create = json!({ "id": "billing", "public_keys": [key] });
    test.admin("app.create", create).await;
    let many = |entry: Value| vec![entry; 65];
    for (field, update) in [
        ("allow", json!({ "allow": many(json!({ "app": "none" })) })),
        (
            "disallow",
            json!({ "disallow": many(json!({ "app": "none" })) }),
        ),
        (
            "settings.hashes",
            json!({ "settings": { "hashes": many(json!("sha256")) } }),
        ),
        (
            "settings.ciphers",
            json!({ "settings": { "ciphers": many(json!("aes-256-cbc")) } }),
        ),
        (
            "settings.groups",
            json!({ "settings": { "groups": many(json!("finance")) } }),
        ),
        (
            "settings.may_call",
            json!({ "settings": { "may_call": many(json!({ "app": "none" })) } }),
        ),
    ] {
        let mut params = json!({ "id": "billing" });
        let members = update.as_object().unwrap().clone();
        params.as_object_mut().unwrap().extend(members);
        let (code, data) = test.refused("app.update", params).await;
        assert_eq!(code, Code::INVALID_PARAMS, "{field}");
        assert_eq!(data["field"], field);
        let message = data["message"].as_str().unwrap();
        assert!(message.contains("more than 64"), "{message}");
    }
}

/// Regression test: after a person was renamed and a new person got the old name, the first
/// person's address was still a known source of that name, from which the new person's pass phrase
/// could be guessed with less delay.
#[tokio::test]
async fn a_new_account_with_the_old_name_of_a_renamed_one_has_no_known_sources() {
    let test = TestSite::new().await;
    test.person("maria", "member").await;
    let source = |last| IpAddr::from(Ipv4Addr::new(192, 0, 2, last)).into();
    let attempt = |from: u8| {
        let mut logins = test.site.throttle().logins();
        logins.attempt("maria@example.org", source(from), NOW)
    };
    attempt(7).unwrap();
    {
        let mut logins = test.site.throttle().logins();
        logins.succeeded("maria@example.org", source(7), NOW);
    }

    let rename = json!({ "name": "maria", "new_name": "marie" });
    let admin = Caller::admin_socket();
    run(&test.site, &admin, "person.update", rename).await;
    test.person("maria", "member").await;
    for other in 100..122 {
        let _ = attempt(other);
    }
    assert!(attempt(7).unwrap() > 0);
}
