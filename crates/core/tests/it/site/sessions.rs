//! Open and suspended sessions.

use std::sync::{Arc, Mutex};

use countersign_core::engine::Decision;
use countersign_core::sessions::{CloseReason, Proof, Resume, Suspension, SuspensionLimits};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::{Code, Operation};
use countersign_proto::session::EncryptionOption;
use countersign_testkit::harness::{NOW, TestSite, run};
use serde_json::{Value, json};

fn ids(listed: &Value) -> Vec<String> {
    let entries = listed["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn admins_see_all_sessions_and_others_their_own() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let root = test.person("root", "admin").await;
    let seen = async |caller| ids(&run(&test.site, caller, "session.list", json!({})).await.1);
    assert_eq!(seen(&maria.caller).await, [maria.info.id.to_string()]);
    assert_eq!(seen(&root.caller).await.len(), 2);
}

#[tokio::test]
async fn a_session_is_cut_by_its_owner_or_an_admin() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let bob = test.person("bob", "member").await;
    let cut = json!({ "id": bob.info.id });
    let (code, _) = run(&test.site, &maria.caller, "session.cut", cut.clone()).await;
    assert_eq!((code, bob.was_cut()), (Code::NOT_FOUND, None));
    test.admin("session.cut", cut).await;
    assert_eq!(bob.was_cut(), Some(CloseReason::Cut));
    let own = json!({ "id": maria.info.id });
    let (code, _) = run(&test.site, &maria.caller, "session.cut", own).await;
    assert_eq!(
        (code, maria.was_cut()),
        (Code::SUCCESS, Some(CloseReason::Cut))
    );
}

#[tokio::test]
async fn a_cut_session_is_refused_everything() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    test.admin("session.cut", json!({ "id": maria.info.id }))
        .await;
    let (code, data) = run(&test.site, &maria.caller, "self.show", json!({})).await;
    assert_eq!(code, Code::NOT_PERMITTED);
    assert!(data["message"].as_str().unwrap().contains("ended"));
}

#[tokio::test]
async fn a_session_ends_when_its_lifetime_ends() {
    let test = TestSite::new().await;
    test.admin("site.config", json!({ "session_lifetime": 60 }))
        .await;
    let maria = test.person("maria", "member").await;
    let show = |at: i64| {
        let params = serde_json::value::to_raw_value(&json!({})).unwrap();
        let operation = Operation::new(1, "self", "show", params);
        let now = Timestamp::from_millis(NOW.millis() + at);
        let (site, caller) = (test.site.clone(), maria.caller.clone());
        async move { site.run(&caller, &operation, now).await.code }
    };
    assert_eq!(show(59_999).await, Code::SUCCESS);
    assert_eq!(show(60_000).await, Code::NOT_PERMITTED);
}

#[tokio::test]
async fn a_session_is_renewed_with_its_keys_but_not_beyond_its_end() {
    let test = TestSite::new().await;
    let set = json!({ "session_lifetime": 150, "key_lifetime": 60 });
    test.admin("site.config", set).await;
    let maria = test.person("maria", "member").await;
    let at = |seconds: i64| Timestamp::from_millis(NOW.millis() + seconds * 1_000);
    assert_eq!((maria.info.expires, maria.info.ends), (at(60), at(150)));
    let role = |now| test.site.sessions().role(maria.info.id, now);
    assert!(role(at(59)).is_some() && role(at(60)).is_none());

    let renewed = test.site.key_expiry(&maria.info, at(50));
    assert_eq!(renewed, at(110));
    assert!(test.site.renew_session(&maria.info, renewed));
    assert!(role(at(109)).is_some() && role(at(110)).is_none());
    assert_eq!(test.site.key_expiry(&maria.info, at(100)), at(150));
}

#[tokio::test]
async fn lifetimes_have_bounds() {
    let test = TestSite::new().await;
    // -5 was refused with the range of its type: "give a whole number from 0 to 4294967295".
    for (field, wrong, range) in [
        ("session_lifetime", [-5, 59, 2_592_001], "60 to 2592000"),
        ("key_lifetime", [-5, 29, 86_401], "30 to 86400"),
        (
            "access_token_lifetime",
            [-5, 59, 31_622_401],
            "60 to 31622400",
        ),
    ] {
        for seconds in wrong {
            let (code, data) = test.refused("site.config", json!({ field: seconds })).await;
            let message = format!("{field}: give a whole number from {range}, not {seconds}");
            assert_eq!(
                (code, &data["message"]),
                (Code::INVALID_PARAMS, &message.into())
            );
        }
    }
    let max = json!({ "session_lifetime": 2_592_000, "key_lifetime": 86_400 });
    test.admin("site.config", max).await;
    let least = json!({ "session_lifetime": 60, "key_lifetime": 30 });
    test.admin("site.config", least).await;
}

/// Limits that no test reaches.
const AMPLE: SuspensionLimits = SuspensionLimits {
    total: 100,
    per_account: 100,
    until: Timestamp::from_millis(i64::MAX),
};

fn resume(attempt: u64, reason_seen: &Arc<Mutex<Option<CloseReason>>>) -> Resume {
    let reason_seen = Arc::clone(reason_seen);
    Resume {
        attempt,
        option: EncryptionOption::HybridChaCha20Poly1305,
        peer: "192.0.2.8:4321".to_owned(),
        cut: Box::new(move |reason| *reason_seen.lock().unwrap() = Some(reason)),
    }
}

#[tokio::test]
async fn a_client_resumes_its_session_and_the_older_connection_ends() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let reason_seen = Arc::default();
    let resumed = test
        .site
        .resume_session(maria.info.id, resume(2, &reason_seen), NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(maria.was_cut(), Some(CloseReason::Replaced));
    assert_eq!((resumed.id, resumed.connection), (maria.info.id, 1));
    // The end of the earlier connection does not affect the session.
    let suspended = test
        .site
        .suspend_session(&maria.info, Box::new(|_| {}), AMPLE);
    assert_eq!(suspended, Suspension::Over);
    assert!(!test.site.renew_session(&maria.info, NOW));
    // An attempt that was made earlier and arrives later is refused.
    for attempt in [1, 2] {
        let late = resume(attempt, &reason_seen);
        let late = test.site.resume_session(maria.info.id, late, NOW).await;
        assert!(late.unwrap().is_none());
    }
    assert_eq!(*reason_seen.lock().unwrap(), None);
    test.site
        .close_session(&maria.info, CloseReason::ConnectionLost, NOW)
        .await
        .unwrap();
    assert!(test.site.sessions().find(maria.info.id).is_some());

    let shown = test.admin("session.list", json!({})).await;
    assert_eq!(shown["entries"][0]["address"], "192.0.2.8:4321");
    let audit = test.audit().await;
    let last = audit.last().unwrap();
    assert_eq!(last["operation"], "session.resumed");
    assert_eq!(last["details"]["option"], "hybrid-chacha20poly1305");
}

#[tokio::test]
async fn a_suspended_session_lasts_until_it_expires_or_is_cut() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let bob = test.person("bob", "member").await;
    let cut = Arc::new(Mutex::new(None));
    let reason_seen = Arc::clone(&cut);
    let hook = move |reason| *reason_seen.lock().unwrap() = Some(reason);
    let suspended = [
        test.site
            .suspend_session(&maria.info, Box::new(hook), AMPLE),
        test.site
            .suspend_session(&bob.info, Box::new(|_| {}), AMPLE),
    ];
    assert_eq!(suspended, [Suspension::Suspended, Suspension::Suspended]);
    assert_eq!(test.site.sessions().suspended(), 2);
    test.admin("person.lock", json!({ "name": "maria" })).await;
    assert_eq!(*cut.lock().unwrap(), Some(CloseReason::AccountLocked));
    let reason_seen = Arc::default();
    let locked = test
        .site
        .resume_session(maria.info.id, resume(1, &reason_seen), NOW);
    assert!(locked.await.unwrap().is_none());

    let after = bob.info.expires;
    let expired = test.site.expired_sessions(after);
    assert!(expired.iter().any(|info| info.id == bob.info.id));
    let late = test
        .site
        .resume_session(bob.info.id, resume(1, &reason_seen), after);
    assert!(late.await.unwrap().is_none());
}

/// A closed tab of the console left its session at the site until the keys expired, by default after
/// twelve hours. In the last millisecond of its time a suspended session is resumed, and not after it.
#[tokio::test]
async fn a_suspended_session_waits_for_its_client_for_the_time_of_the_limit() {
    let test = TestSite::new().await;
    let until = NOW.plus_seconds(900);
    let last = Timestamp::from_millis(until.millis() - 1);
    let limits = SuspensionLimits { until, ..AMPLE };
    for (name, at, is_resumed) in [("maria", last, true), ("bob", until, false)] {
        let session = test.person(name, "member").await;
        let (info, reason_seen) = (&session.info, Arc::default());
        assert!(info.expires > until);
        let suspended = test.site.suspend_session(info, Box::new(|_| {}), limits);
        assert_eq!(suspended, Suspension::Suspended);
        let expired = test.site.expired_sessions(at);
        assert_eq!(expired.is_empty(), is_resumed, "{name}");
        let resumed = test
            .site
            .resume_session(info.id, resume(1, &reason_seen), at);
        let resumed = resumed.await.unwrap();
        assert_eq!(resumed.is_some(), is_resumed, "{name}");
        // A session with a connection has its whole time again.
        assert_eq!(
            test.site.expired_sessions(until).is_empty(),
            is_resumed,
            "{name}"
        );
    }
}

/// At the limits and one over: only an account's own oldest suspended session makes room.
#[tokio::test]
async fn an_account_over_its_suspended_sessions_displaces_its_own_only() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let bob = test.person("bob", "member").await;
    let account = json!({ "id": maria.info.account });
    let mut cuts = Vec::new();
    let mut suspend = |session: &countersign_testkit::harness::TestSession, limits| {
        let cut = Arc::new(Mutex::new(None));
        let reason_seen = Arc::clone(&cut);
        let hook = move |reason| *reason_seen.lock().unwrap() = Some(reason);
        cuts.push(cut);
        test.site
            .suspend_session(&session.info, Box::new(hook), limits)
    };
    let limits = SuspensionLimits {
        total: 3,
        per_account: 2,
        ..AMPLE
    };
    let again = [
        test.session(&account, Proof::Passphrase).await.unwrap(),
        test.session(&account, Proof::Passphrase).await.unwrap(),
    ];
    assert_eq!(suspend(&maria, limits), Suspension::Suspended);
    assert_eq!(suspend(&again[0], limits), Suspension::Suspended);
    assert_eq!(suspend(&again[1], limits), Suspension::Suspended);
    assert_eq!(*cuts[0].lock().unwrap(), Some(CloseReason::ConnectionLost));
    assert_eq!(*cuts[1].lock().unwrap(), None);
    // The closed session stays registered until its connection closes it, but no longer counts as
    // suspended.
    assert_eq!(test.site.sessions().suspended(), 2);
    let lost = CloseReason::ConnectionLost;
    test.site
        .close_session(&maria.info, lost, NOW)
        .await
        .unwrap();
    assert_eq!(test.site.sessions().suspended(), 2);
    let full = SuspensionLimits { total: 2, ..limits };
    let suspend = |limits| {
        test.site
            .suspend_session(&bob.info, Box::new(|_| {}), limits)
    };
    assert_eq!(suspend(full), Suspension::LimitReached);
    assert_eq!(suspend(limits), Suspension::Suspended);
    assert_eq!(test.site.sessions().suspended(), 3);
}

/// At the limit and one over.
#[tokio::test]
async fn the_number_of_sessions_of_an_account_is_limited() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let bob = test.person("bob", "member").await;
    let mut decisions = Vec::new();
    for max in [1, 2, 2] {
        decisions.push(test.entry(maria.info.account, max).await);
    }
    assert!(matches!(
        decisions[..],
        [Decision::TooMany, Decision::Opened(_), Decision::TooMany]
    ));
    assert!(matches!(
        test.entry(bob.info.account, 2).await,
        Decision::Opened(_)
    ));
    let goodbye = CloseReason::Goodbye;
    test.site
        .close_session(&maria.info, goodbye, NOW)
        .await
        .unwrap();
    assert!(matches!(
        test.entry(maria.info.account, 2).await,
        Decision::Opened(_)
    ));
}

#[tokio::test]
async fn opening_and_closing_are_audited_with_the_reason() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let bob = test.person("bob", "member").await;
    test.admin("person.lock", json!({ "name": "bob" })).await;
    for session in [&maria, &bob] {
        let info = &session.info;
        test.site
            .close_session(info, CloseReason::Goodbye, NOW)
            .await
            .unwrap();
        // Closing a session again has no effect.
        test.site
            .close_session(info, CloseReason::Goodbye, NOW)
            .await
            .unwrap();
    }
    let entries = test.audit().await;
    let of = |operation: &str| {
        let found = entries
            .iter()
            .filter(|entry| entry["operation"] == operation);
        found
            .map(|entry| entry["details"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("session.opened").len(), 2);
    assert_eq!(of("session.opened")[0]["proof"], "passphrase");
    assert_eq!(
        of("session.closed"),
        [
            json!({ "reason": "goodbye" }),
            json!({ "reason": "account_locked" })
        ]
    );
    assert_eq!(test.site.sessions().count(), 0);
}

#[tokio::test]
async fn a_key_that_was_revoked_during_the_login_opens_no_session() {
    let test = TestSite::new().await;
    let (mailer, identity) = test.service("mailer").await;
    let thumbprint = identity.certificate().thumbprint();
    let revoke = json!({ "name": "mailer", "thumbprint": thumbprint.to_string() });
    test.admin("key.revoke", revoke).await;
    let account = json!({ "id": mailer.info.account });
    assert!(
        test.session(&account, Proof::Key(thumbprint))
            .await
            .is_none()
    );
}

/// A session is opened while its account is locked. In either order, no session is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locking_and_opening_at_once_leaves_no_session() {
    let test = Arc::new(TestSite::new().await);
    let created = test
        .admin("person.create", json!({ "name": "maria" }))
        .await;
    for _ in 0..50 {
        let (opener, account) = (Arc::clone(&test), created.clone());
        let opening =
            tokio::spawn(async move { opener.session(&account, Proof::Passphrase).await });
        test.admin("person.lock", json!({ "name": "maria" })).await;
        if let Some(session) = opening.await.unwrap() {
            assert_eq!(session.was_cut(), Some(CloseReason::AccountLocked));
            test.site
                .close_session(&session.info, CloseReason::Cut, NOW)
                .await
                .unwrap();
        }
        assert_eq!(test.site.sessions().count(), 0);
        test.admin("person.unlock", json!({ "name": "maria" }))
            .await;
    }
}
