//! Lockdown of accounts, applications and the site.

mod alarms;
mod shown;
mod signed;
mod table;
mod turns;

use std::sync::Arc;

use countersign_core::access::{Caller, Channel, HttpCredential, HttpGrant};
use countersign_core::alarms::Severity;
use countersign_core::engine::{NotEnrolled, ScriptError};
use countersign_core::id::AccessTokenId;
use countersign_core::lockdown::{Activity, LockdownLevel};
use countersign_core::sessions::{CloseReason, Proof, Resume};
use countersign_proto::operation::Code;
use countersign_proto::session::EncryptionOption;
use countersign_testkit::harness::{NOW, TestDevice, TestSession, TestSite, operation, run};
use serde_json::{Value, json};

use super::enrolment::{ADA, site};

/// Puts the site in lockdown at this level.
async fn lock_down(test: &TestSite, level: LockdownLevel) {
    test.admin("lockdown.site", json!({ "level": level })).await;
}

async fn lift(test: &TestSite) {
    test.admin("lockdown.lift", json!({ "site": true })).await;
}

async fn alarms(test: &TestSite) -> Vec<Value> {
    let listed = test.admin("alarm.list", json!({})).await;
    listed["entries"].as_array().unwrap().clone()
}

/// A caller on this channel, with a session where the channel has one.
pub(crate) fn caller(channel: Channel, root: &TestSession) -> Caller {
    match channel {
        Channel::AdminSocket => Caller::admin_socket(),
        Channel::Init => Caller::init("10-people"),
        Channel::Site => Caller::site(),
        Channel::Application => Caller::application("billing"),
        Channel::Http => {
            let account = root.info.account;
            let owner = (account, root.caller.name.clone(), root.caller.role);
            let token = HttpCredential::Token(AccessTokenId::from_bytes([1; 16]));
            let grant = HttpGrant::new(token, owner, None, None);
            Caller {
                channel,
                session: None,
                grant: Some(Arc::new(grant)),
                ..root.caller.clone()
            }
        }
        Channel::Session | Channel::Device | Channel::Peer => Caller {
            channel,
            ..root.caller.clone()
        },
    }
}

#[tokio::test]
async fn a_person_in_lockdown_loses_sessions_and_devices_and_gets_no_new_ones() {
    let test = site().await;
    let shown = test.admin("person.show", json!({ "name": "ada" })).await;
    let session = test.session(&shown, Proof::Passphrase).await.unwrap();
    let (phone, ticket, spare) = (
        TestDevice::new(),
        test.ticket("ada").await,
        test.ticket("ada").await,
    );
    phone
        .enrol(&test.site, &ticket.token, ADA, NOW)
        .await
        .unwrap();
    let connection = test
        .device_session(&test.site, &phone, ADA, NOW)
        .await
        .unwrap();
    let bob = test.person("bob", "member").await;

    let imposed = json!({ "name": "ada", "reason": "the laptop was stolen" });
    let view = test.admin("lockdown.person", imposed).await;
    assert_eq!(view["target"], format!("person {ADA}"));
    assert_eq!(view["reason"], "the laptop was stolen");
    for ended in [&session, &connection] {
        assert_eq!(ended.was_cut(), Some(CloseReason::Lockdown));
    }
    assert_eq!(bob.was_cut(), None);
    assert!(test.session(&shown, Proof::Passphrase).await.is_none());
    assert!(
        test.device_session(&test.site, &phone, ADA, NOW)
            .await
            .is_none()
    );
    let second = TestDevice::new();
    let refused = second.enrol(&test.site, &spare.token, ADA, NOW).await;
    assert_eq!(refused, Err(NotEnrolled::Refused));
    let (code, _) = test
        .refused("ticket.issue", json!({ "person": "ada" }))
        .await;
    assert_eq!(code, Code::CONFLICT);

    test.admin("lockdown.lift", json!({ "person": "ada" }))
        .await;
    assert!(test.session(&shown, Proof::Passphrase).await.is_some());
    // The ticket was void until now, and was not spent.
    assert!(
        second
            .enrol(&test.site, &spare.token, ADA, NOW)
            .await
            .is_ok()
    );

    // Unlocking does not lift it.
    let again = json!({ "name": "ada", "reason": "once more" });
    test.admin("lockdown.person", again).await;
    test.admin("person.lock", json!({ "name": "ada" })).await;
    test.admin("person.unlock", json!({ "name": "ada" })).await;
    assert!(test.session(&shown, Proof::Passphrase).await.is_none());
}

#[tokio::test]
async fn a_lockdown_survives_a_restart() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    test.admin("lockdown.person", json!({ "name": "maria" }))
        .await;
    lock_down(&test, LockdownLevel::Logins).await;
    let again = test.restarted().await;
    assert_eq!(again.lockdowns(), test.site.lockdowns());
    assert!(again.is_sealed(), "a sealed site is in lockdown too");
    assert!(!again.permits(Activity::PersonLogin));
    lift(&test).await;
    let again = test.unsealed().await;
    assert!(again.permits(Activity::PersonLogin));
    assert!(!again.permits_account(Activity::PersonLogin, maria.info.account));
}

#[tokio::test]
async fn only_the_local_admin_socket_lifts_or_lowers_a_lockdown_of_the_site() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    let call =
        async |name: &str, params: Value| run(&test.site, &root.caller, name, params).await.0;
    assert_eq!(
        call("lockdown.site", json!({ "level": "logins" })).await,
        Code::SUCCESS
    );
    for (name, params) in [
        ("lockdown.lift", json!({ "site": true })),
        ("lockdown.site", json!({ "level": "enrolment" })),
    ] {
        assert_eq!(call(name, params).await, Code::NOT_PERMITTED, "{name}");
    }
    assert_eq!(test.site.lockdowns().level(), Some(LockdownLevel::Logins));
    // A session may raise the level. That ends it.
    let _ = call("lockdown.site", json!({ "level": "all" })).await;
    assert_eq!(root.was_cut(), Some(CloseReason::Lockdown));
    assert_eq!(test.site.lockdowns().level(), Some(LockdownLevel::All));
    // To lower the level is to lift a part, which the answer did not say.
    let lower = operation("lockdown.site", &json!({ "level": "enrolment" }));
    let outcome = test.site.run(&Caller::admin_socket(), &lower, NOW).await;
    assert!(
        outcome.output.contains("lowered from all"),
        "{}",
        outcome.output
    );
    lift(&test).await;
    assert_eq!(test.site.lockdowns().level(), None);
}

#[tokio::test]
async fn an_admin_lifts_the_lockdown_of_others_over_a_session_and_not_their_own() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    let other = test.person("other", "admin").await;
    let call = async |by: &TestSession, name: &str, params: Value| {
        run(&test.site, &by.caller, name, params).await.0
    };
    assert_eq!(
        call(&root, "lockdown.person", json!({ "name": "other" })).await,
        Code::SUCCESS
    );
    let own = json!({ "person": "other" });
    assert_eq!(
        call(&other, "lockdown.lift", own.clone()).await,
        Code::NOT_PERMITTED
    );
    assert_eq!(call(&root, "lockdown.lift", own).await, Code::SUCCESS);
    let member = test.person("maria", "member").await;
    assert_eq!(
        call(&member, "lockdown.status", json!({})).await,
        Code::NOT_PERMITTED
    );
}

/// The last admin can be put in lockdown: the local admin socket remains. The site does not take that
/// for a site without an admin, for whom a ticket would be issued.
#[tokio::test]
async fn the_last_admin_can_be_put_in_lockdown_and_the_first_admins_ticket_does_not_come_back() {
    let test = site().await;
    let root = test.person("root", "admin").await;
    let imposed = operation("lockdown.person", &json!({ "name": "root" }));
    let local = Caller::admin_socket();
    let outcome = test.site.run(&local, &imposed, NOW).await;
    assert_eq!(outcome.code, Code::SUCCESS);
    assert!(
        outcome.output.contains("No admin can log in now"),
        "{}",
        outcome.output
    );
    assert_eq!(root.was_cut(), Some(CloseReason::Lockdown));
    assert!(
        test.site
            .issue_first_admin_ticket(NOW)
            .await
            .unwrap()
            .is_none()
    );
    test.admin("lockdown.lift", json!({ "person": "root" }))
        .await;
}

#[tokio::test]
async fn the_levels_keep_sessions_until_the_last_and_end_every_session_then() {
    let test = site().await;
    let shown = test.admin("person.show", json!({ "name": "ada" })).await;
    let session = test.session(&shown, Proof::Passphrase).await.unwrap();
    let suspended = test.session(&shown, Proof::Passphrase).await.unwrap();
    let ticket = test.ticket("ada").await;
    let option = EncryptionOption::HybridAes256Gcm;

    lock_down(&test, LockdownLevel::Enrolment).await;
    let refused = TestDevice::new()
        .enrol(&test.site, &ticket.token, ADA, NOW)
        .await;
    assert_eq!(refused, Err(NotEnrolled::Refused));
    assert!(test.session(&shown, Proof::Passphrase).await.is_some());

    lock_down(&test, LockdownLevel::Logins).await;
    assert!(test.session(&shown, Proof::Passphrase).await.is_none());
    assert_eq!(session.was_cut(), None);
    assert!(
        test.site
            .may_resume(suspended.info.id, option, NOW)
            .is_some()
    );

    lock_down(&test, LockdownLevel::All).await;
    assert_eq!(session.was_cut(), Some(CloseReason::Lockdown));
    assert!(
        test.site
            .may_resume(suspended.info.id, option, NOW)
            .is_none()
    );
    let resume = Resume {
        attempt: 1,
        option,
        peer: "192.0.2.1:1".to_owned(),
        cut: Box::new(|_| ()),
    };
    let resumed = test
        .site
        .resume_session(suspended.info.id, resume, NOW)
        .await;
    assert!(resumed.unwrap().is_none());
    let script = test.site.apply_script("10-people", "{}", NOW).await;
    assert!(matches!(script, Err(ScriptError::Lockdown)));
}

#[tokio::test]
async fn the_admins_get_an_alarm_that_is_over_when_the_lockdown_is_lifted() {
    let test = TestSite::new().await;
    test.person("root", "admin").await;
    test.person("maria", "member").await;
    test.admin("lockdown.person", json!({ "name": "maria" }))
        .await;
    lock_down(&test, LockdownLevel::Logins).await;
    let raised = alarms(&test).await;
    let of = |key: &str| {
        let mut found = raised.iter().filter(|alarm| alarm["key"] == key);
        found.next().unwrap().clone()
    };
    assert_eq!(of("lockdown site")["severity"], Severity::Critical.as_str());
    let person = of("lockdown person maria@example.org");
    assert_eq!(person["severity"], Severity::Warning.as_str());
    lift(&test).await;
    test.admin("lockdown.lift", json!({ "person": "maria" }))
        .await;
    let ended = test.admin("alarm.list", json!({ "state": "over" })).await;
    assert_eq!(ended["entries"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_audit_log_says_who_imposed_and_lifted_a_lockdown_and_counts_what_was_refused() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    lock_down(&test, LockdownLevel::Enrolment).await;
    let create = json!({ "name": "bob" });
    let (code, data) = run(&test.site, &root.caller, "person.create", create).await;
    assert_eq!(code, Code::LOCKDOWN, "{data}");
    lift(&test).await;
    test.site.write_all_counted().await.unwrap();
    let audited = test.audited().await;
    for line in ["lockdown.site site done", "lockdown.lift site done"] {
        assert!(audited.iter().any(|entry| entry == line), "{audited:?}");
    }
    let refused = audited
        .iter()
        .any(|entry| entry.starts_with("person.create") && entry.ends_with("lockdown"));
    assert!(refused, "{audited:?}");
}

#[tokio::test]
async fn the_same_lockdown_again_writes_nothing_and_keeps_the_first_reason() {
    let test = TestSite::new().await;
    test.person("maria", "member").await;
    for reason in ["first", "second"] {
        let params = json!({ "name": "maria", "reason": reason });
        assert_eq!(
            test.admin("lockdown.person", params).await["reason"],
            "first"
        );
        let params = json!({ "level": "enrolment", "reason": reason });
        assert_eq!(test.admin("lockdown.site", params).await["reason"], "first");
    }
    let audited = test.audited().await;
    let imposed = audited.iter().filter(|line| line.starts_with("lockdown."));
    assert_eq!(imposed.count(), 2);
    let status = test.admin("lockdown.status", json!({})).await;
    assert_eq!(status["site"]["level"], "enrolment");
    assert_eq!(status["entries"].as_array().unwrap().len(), 1);
}

/// A new account or application of the same name is another one.
#[tokio::test]
async fn a_new_account_and_a_new_application_of_the_same_name_are_not_in_lockdown() {
    let test = TestSite::new().await;
    test.person("maria", "member").await;
    test.create_application("billing", json!({})).await;
    test.admin("lockdown.person", json!({ "name": "maria" }))
        .await;
    test.admin("lockdown.app", json!({ "id": "billing" })).await;
    test.admin("person.delete", json!({ "name": "maria" }))
        .await;
    test.admin("app.delete", json!({ "id": "billing" })).await;
    assert!(test.site.lockdowns().targets().is_empty());
    let again = test
        .admin("person.create", json!({ "name": "maria" }))
        .await;
    assert!(test.session(&again, Proof::Passphrase).await.is_some());
}

#[tokio::test]
async fn a_service_in_lockdown_loses_its_session_and_cannot_log_in() {
    let test = TestSite::new().await;
    let (robot, identity) = test.service("robot").await;
    let thumbprint = identity.certificate().thumbprint();
    assert!(
        test.site
            .service_for_login(&thumbprint)
            .await
            .unwrap()
            .is_some()
    );
    test.admin("lockdown.service", json!({ "name": "robot" }))
        .await;
    assert_eq!(robot.was_cut(), Some(CloseReason::Lockdown));
    assert!(
        test.site
            .service_for_login(&thumbprint)
            .await
            .unwrap()
            .is_none()
    );
    let (code, _) = test
        .refused("lockdown.person", json!({ "name": "robot" }))
        .await;
    assert_eq!(code, Code::NOT_FOUND, "a service is not a person");
    test.admin("lockdown.lift", json!({ "service": "robot" }))
        .await;
    assert!(
        test.site
            .service_for_login(&thumbprint)
            .await
            .unwrap()
            .is_some()
    );
}

/// A client had to cut the id of an application out of `target`, which is for people, to lift its lockdown.
#[tokio::test]
async fn an_entry_of_an_application_has_the_parameter_that_lifts_it() {
    let test = TestSite::new().await;
    test.create_application("billing", json!({})).await;
    test.admin("lockdown.app", json!({ "id": "billing" })).await;
    let status = test.admin("lockdown.status", json!({})).await;
    let app = &status["entries"][0]["app"];
    assert_eq!(*app, "billing");
    test.admin("lockdown.lift", json!({ "app": app })).await;
    let status = test.admin("lockdown.status", json!({})).await;
    assert_eq!(status["entries"], json!([]));
}

/// An entry of `lockdown status` has the name of the time when the lockdown was imposed. `lockdown lift`
/// took names only, so that a client that lists lockdowns could not lift that of a renamed account, and
/// named another account that has the name now.
#[tokio::test]
async fn the_lockdown_of_a_renamed_account_is_lifted_by_its_id() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    let maria = test.person("maria", "member").await;
    test.admin("lockdown.person", json!({ "name": "maria" }))
        .await;
    test.admin(
        "person.update",
        json!({ "name": "maria", "new_name": "eve" }),
    )
    .await;
    let namesake = test.person("maria", "member").await;
    let status = test.admin("lockdown.status", json!({})).await;
    let entry = &status["entries"][0];
    assert_eq!(entry["target"], "person maria@example.org");
    let is_permitted = |session: &TestSession| {
        test.site
            .permits_account(Activity::PersonLogin, session.info.account)
    };
    // The name leads to the namesake.
    test.admin("lockdown.lift", json!({ "person": "maria" }))
        .await;
    assert!(!is_permitted(&maria) && is_permitted(&namesake));

    let by_id = json!({ "account": entry["account"] });
    let (code, _) = run(&test.site, &root.caller, "lockdown.lift", by_id.clone()).await;
    assert_eq!(code, Code::SUCCESS);
    assert!(is_permitted(&maria));
    let ended = test.admin("alarm.list", json!({ "state": "over" })).await;
    assert_eq!(ended["entries"].as_array().unwrap().len(), 1);

    // No account lifts its own lockdown by its id either, and a deleted one is unknown.
    test.admin("lockdown.person", json!({ "name": "root" }))
        .await;
    let own = json!({ "account": root.info.account.to_string() });
    let (code, _) = run(&test.site, &root.caller, "lockdown.lift", own).await;
    assert_eq!(code, Code::NOT_PERMITTED);
    test.admin("person.delete", json!({ "name": "eve" })).await;
    let (code, data) = test.refused("lockdown.lift", by_id).await;
    assert_eq!((code, &data["field"]), (Code::NOT_FOUND, &json!("account")));
}

#[tokio::test]
async fn exactly_one_target_is_lifted() {
    let test = TestSite::new().await;
    let account = "019523d0-5c00-7000-8000-000000000000";
    for params in [
        json!({}),
        json!({ "site": true, "app": "billing" }),
        json!({ "account": account, "person": "maria" }),
    ] {
        let (code, _) = test.refused("lockdown.lift", params).await;
        assert_eq!(code, Code::INVALID_PARAMS);
    }
}
