//! Changes of lockdowns that come at the same time, and those of a stolen session.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use countersign_core::access::{Caller, Channel, HttpCredential, HttpGrant};
use countersign_core::engine::Carried;
use countersign_core::id::AccessTokenId;
use countersign_core::lockdown::LockdownLevel;
use countersign_core::store::CompletedRequest;
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, operation, run};
use serde_json::json;

/// Each change failed when others were faster four times: a stolen session that changed lockdowns
/// without end kept the operator from one.
#[tokio::test]
async fn sessions_change_lockdowns_one_at_a_time_and_none_fails_because_of_another() {
    let test = TestSite::builder().file().build().await;
    let root = test.person("root", "admin").await;
    let mut changes = tokio::task::JoinSet::new();
    for n in 0..12 {
        let name = format!("person-{n}");
        test.admin("person.create", json!({ "name": name })).await;
        let (site, caller) = (test.site.clone(), root.caller.clone());
        changes.spawn(async move {
            run(&site, &caller, "lockdown.person", json!({ "name": name }))
                .await
                .0
        });
    }
    let codes = changes.join_all().await;
    assert_eq!(codes, [Code::SUCCESS; 12]);
}

#[tokio::test]
async fn the_operator_waits_for_no_session_that_changes_lockdowns() {
    for polls in 0..12 {
        let test = TestSite::builder().file().build().await;
        let root = test.person("root", "admin").await;
        test.admin("person.create", json!({ "name": "maria" }))
            .await;
        let params = json!({ "name": "maria" });
        let mut session = pin!(run(&test.site, &root.caller, "lockdown.person", params));
        let mut context = Context::from_waker(Waker::noop());
        let is_done = (0..polls).any(|_| session.as_mut().poll(&mut context).is_ready());
        test.admin("lockdown.site", json!({ "level": "enrolment" }))
            .await;
        let level = test.site.lockdowns().level();
        assert_eq!(level, Some(LockdownLevel::Enrolment), "after {polls} polls");
        if !is_done {
            let code = session.await.0;
            assert!(matches!(code, Code::SUCCESS | Code::BUSY), "{code:?}");
        }
    }
}

/// The signed audit entry named a level that was not in force when it was written.
#[tokio::test]
async fn the_level_that_was_in_force_is_the_one_before_the_commit() {
    for polls in 0..12 {
        let test = TestSite::builder().file().build().await;
        let root = test.person("root", "admin").await;
        let params = json!({ "level": "logins" });
        let mut session = pin!(run(&test.site, &root.caller, "lockdown.site", params));
        let mut context = Context::from_waker(Waker::noop());
        let is_done = (0..polls).any(|_| session.as_mut().poll(&mut context).is_ready());
        test.admin("lockdown.site", json!({ "level": "enrolment" }))
            .await;
        if !is_done {
            session.await;
        }
        let listed = test.admin("audit.list", json!({ "limit": 1000 })).await;
        let mut before = json!(null);
        for entry in listed["entries"].as_array().unwrap() {
            if entry["operation"] == "lockdown.site" {
                let details = &entry["details"];
                assert_eq!(details["was"], before, "after {polls} polls: {listed}");
                before = details["level"].clone();
            }
        }
        assert_ne!(before, json!(null));
    }
}

#[tokio::test]
async fn a_session_changes_lockdowns_16_times_at_once_and_the_operator_any_number_of_times() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let (on, off) = (json!({ "name": "maria" }), json!({ "person": "maria" }));
    let mut done = 0;
    for n in 0..40 {
        let (name, params) = match n % 2 {
            0 => ("lockdown.person", on.clone()),
            _ => ("lockdown.lift", off.clone()),
        };
        let (code, _) = run(&test.site, &root.caller, name, params).await;
        match code {
            Code::SUCCESS => done += 1,
            _ => assert_eq!(code, Code::BUSY),
        }
    }
    // The 17th would impose one, and each lift after it changes nothing.
    assert_eq!(done, 16 + 12);
    for _ in 0..40 {
        test.admin("lockdown.person", on.clone()).await;
        test.admin("lockdown.lift", off.clone()).await;
    }
}

/// An application that gets a service and a lockdown of the service have to see each other: a loop of the first must
/// not keep an admin from the second.
#[tokio::test]
async fn a_session_gives_applications_services_as_often_as_it_changes_lockdowns() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    test.service("one").await;
    test.service("two").await;
    test.create_application("ledger", json!({})).await;
    let mut codes = Vec::new();
    for service in ["one", "two"].iter().cycle().take(17) {
        let params = json!({ "id": "ledger", "settings": { "service": service } });
        codes.push(run(&test.site, &root.caller, "app.update", params).await.0);
    }
    assert_eq!(codes[..16], [Code::SUCCESS; 16]);
    assert_eq!(codes[16], Code::BUSY);
    let others = json!({ "id": "ledger", "settings": { "groups": ["finance"] } });
    let (code, _) = run(&test.site, &root.caller, "app.update", others).await;
    assert_eq!(code, Code::SUCCESS);
}

/// A token has no session: a stolen one changed lockdowns without end.
#[tokio::test]
async fn an_account_changes_lockdowns_32_times_at_once_over_http_and_in_its_sessions_together() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    let mut over_http = Caller {
        channel: Channel::Http,
        session: None,
        ..root.caller.clone()
    };
    let (account, role) = (over_http.account.unwrap(), over_http.role);
    let credential = HttpCredential::Token(AccessTokenId::from_bytes([1; 16]));
    let owner = (account, over_http.name.clone(), role);
    over_http.grant = Some(Arc::new(HttpGrant::new(credential, owner, None, None)));
    let mut codes = Vec::new();
    for n in 0..33 {
        let name = format!("person-{n}");
        test.admin("person.create", json!({ "name": name })).await;
        let caller = if n < 16 { &root.caller } else { &over_http };
        let params = json!({ "name": name });
        codes.push(run(&test.site, caller, "lockdown.person", params).await.0);
    }
    assert_eq!(codes[..32], [Code::SUCCESS; 32]);
    assert_eq!(codes[32], Code::BUSY);
}

/// The first commit conflicts with the operator's, and the handler commits again: the record was in
/// the first commit alone.
#[tokio::test]
async fn a_request_that_is_committed_at_the_second_try_is_recorded_as_completed() {
    for polls in 0..12 {
        let test = TestSite::builder().file().build().await;
        let root = test.person("root", "admin").await;
        test.admin("person.create", json!({ "name": "maria" }))
            .await;
        let (account, key, now) = (root.caller.account.unwrap(), [1; 32], NOW);
        let (carried, _) = Carried::default().completing(CompletedRequest {
            account,
            key,
            request: [2; 32],
            credential: [3; 32],
            at: now,
            forget_before: Timestamp::from_millis(0),
        });
        let operation = operation("lockdown.person", &json!({ "name": "maria" }));
        let entry = test.site.table().find("lockdown", "person").unwrap();
        let run = test
            .site
            .run_carried(Some(entry), &root.caller, &operation, carried, now);
        let mut session = pin!(run);
        let mut context = Context::from_waker(Waker::noop());
        let mut ran = None;
        for _ in 0..polls {
            if let Poll::Ready(outcome) = session.as_mut().poll(&mut context) {
                ran = Some(outcome);
                break;
            }
        }
        test.admin("lockdown.site", json!({ "level": "enrolment" }))
            .await;
        let (outcome, _) = match ran {
            Some(outcome) => outcome,
            None => session.await,
        };
        let completed = test.site.completed_request(account, &key).await.unwrap();
        assert_eq!(
            completed.is_some(),
            outcome.code == Code::SUCCESS,
            "after {polls} polls"
        );
    }
}
