//! Access tokens: who creates them, what they permit, and when they end.

use std::sync::Arc;

use countersign_core::access::{Caller, Channel};
use countersign_core::access_tokens::AccessTokenSecret;
use countersign_core::engine::Site;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run, run_at};
use serde_json::{Value, json};

use super::consequences::dropped_after;
use crate::site::accounts::passphrase::register;
use crate::site::accounts::proof::{PHRASE, make_proof, person};

fn secret(created: &Value) -> AccessTokenSecret {
    AccessTokenSecret::parse(created["token"].as_str().unwrap()).unwrap()
}

/// The caller of a token, if it is valid.
async fn caller(site: &Site, created: &Value, now: Timestamp) -> Option<Caller> {
    site.token_caller(&secret(created), now).await.unwrap()
}

/// The entry of a list for this token. Tokens of one millisecond have no order.
fn of(listed: &Value, created: &Value) -> Value {
    let mut entries = listed["entries"].as_array().unwrap().iter();
    let found = entries.find(|entry| entry["id"] == created["id"]);
    found.unwrap().clone()
}

/// A site with the service `mailer`, and an admin who receives its alarms.
async fn site() -> TestSite {
    let test = TestSite::new().await;
    let admin = json!({ "name": "operator", "role": "admin" });
    test.admin("person.create", admin).await;
    test.admin("service.create", json!({ "name": "mailer" }))
        .await;
    test
}

async fn token(test: &TestSite, operations: &[&str]) -> Value {
    let params = json!({ "service": "mailer", "operations": operations });
    test.admin("token.create", params).await
}

/// Each got a grant of its own, and the one that was not cached stayed valid after a revocation.
#[tokio::test]
async fn first_requests_at_once_have_one_grant_which_a_revocation_ends() {
    let test = site().await;
    let created = token(&test, &["self.show"]).await;
    let callers = (0..8).map(|_| {
        let (site, secret) = (test.site.clone(), secret(&created));
        tokio::spawn(async move { site.token_caller(&secret, NOW).await })
    });
    let mut grants = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        let caller = caller.await.unwrap().unwrap().unwrap();
        grants.push(caller.grant.unwrap());
    }
    assert!(grants.iter().all(|grant| Arc::ptr_eq(grant, &grants[0])));
    let revoked = json!({ "id": created["id"] });
    test.admin("token.revoke", revoked).await;
    assert!(grants.iter().all(|grant| !grant.is_valid(NOW)));
}

#[tokio::test]
async fn a_token_permits_the_operations_that_it_names_and_no_others() {
    let test = site().await;
    let created = token(&test, &["self.show", "alarm.raise"]).await;
    assert!(created["token"].as_str().unwrap().starts_with("cst_"));
    assert_eq!(created["operations"], json!(["alarm.raise", "self.show"]));
    let mailer = caller(&test.site, &created, NOW).await.unwrap();
    assert_eq!(mailer.channel, Channel::Http);
    let (code, shown) = run(&test.site, &mailer, "self.show", json!({})).await;
    assert_eq!(
        (code, &shown["name"]),
        (Code::SUCCESS, &json!("mailer@example.org"))
    );
    for other in [
        "site.status",
        "option.list",
        "self.proof_start",
        "person.list",
    ] {
        let (code, refused) = run(&test.site, &mailer, other, json!({})).await;
        assert_eq!(code, Code::NOT_PERMITTED, "{other}: {refused}");
    }
    let all = token(&test, &["operation.list", "self.show"]).await;
    let all = caller(&test.site, &all, NOW).await.unwrap();
    let (_, listed) = run(&test.site, &all, "operation.list", json!({})).await;
    let named: Vec<_> = listed["operations"].as_array().unwrap().iter().collect();
    assert_eq!(
        named.len(),
        2,
        "help shows what the token permits: {listed}"
    );
}

/// The audit log says which credential was used, so that an admin knows which one leaked.
#[tokio::test]
async fn the_audit_entry_of_an_operation_names_the_token() {
    let test = site().await;
    let created = token(&test, &["alarm.raise"]).await;
    let mailer = caller(&test.site, &created, NOW).await.unwrap();
    let alarm = json!({ "to": "admins", "severity": "info", "text": "The queue is full." });
    assert_eq!(
        run(&test.site, &mailer, "alarm.raise", alarm).await.0,
        Code::SUCCESS
    );
    let entry = test.audit().await.pop().unwrap();
    assert_eq!(entry["operation"], "alarm.raise");
    assert_eq!(entry["channel"], "http");
    assert_eq!(entry["details"]["access_token"], created["id"]);
    for entry in test.audit().await {
        assert!(!entry.to_string().contains("cst_"), "{entry}");
    }
}

/// Counted refusals named no token. Two tokens of one account are counted apart.
#[tokio::test]
async fn the_audit_entry_of_a_refusal_names_the_token() {
    let test = site().await;
    for _ in 0..2 {
        let created = token(&test, &["self.show"]).await;
        let mailer = caller(&test.site, &created, NOW).await.unwrap();
        let alarm = json!({ "to": "admins", "severity": "info", "text": "The queue is full." });
        let (code, _) = run(&test.site, &mailer, "alarm.raise", alarm).await;
        assert_eq!(code, Code::NOT_PERMITTED);
        let entry = test.audit().await.pop().unwrap();
        assert_eq!(
            (&entry["operation"], &entry["channel"]),
            (&json!("alarm.raise"), &json!("http"))
        );
        assert_eq!(entry["details"]["access_token"], created["id"]);
    }
}

/// A server lets a token that it does not know wait for its turn to be read.
#[tokio::test]
async fn a_token_needs_no_read_of_the_store_after_its_first_use() {
    let test = site().await;
    let created = token(&test, &["self.show"]).await;
    let cached = || test.site.cached_token_caller(&secret(&created), NOW);
    assert!(cached().is_none());
    let read = caller(&test.site, &created, NOW).await;
    assert_eq!(cached(), read);
    let id = json!({ "id": created["id"] });
    test.admin("token.revoke", id).await;
    assert!(cached().is_none());
}

#[tokio::test]
async fn a_token_names_operations_that_its_account_may_call_over_http() {
    let test = site().await;
    let refused = async |operations: Value| {
        let params = json!({ "service": "mailer", "operations": operations });
        let (code, data) = test.refused("token.create", params).await;
        assert_eq!(code, Code::INVALID_PARAMS);
        assert_eq!(data["field"], "operations");
        data["message"].as_str().unwrap().to_owned()
    };
    assert!(refused(json!([])).await.contains("0 names"));
    assert!(refused(json!(["alarm"])).await.contains("is not the name"));
    assert!(refused(json!(["alarm.rise"])).await.contains("`raise`"));
    assert!(refused(json!(["alarm.*"])).await.contains("no command *"));
    assert!(refused(json!(["token.create"])).await.contains("over HTTP"));
    assert!(refused(json!(["site.unseal"])).await.contains("over HTTP"));
    assert!(
        refused(json!(["person.create"]))
            .await
            .contains("role service")
    );
    let many: Vec<String> = (0..65).map(|number| format!("demo.n{number}")).collect();
    assert!(refused(json!(many)).await.contains("65 names"));
}

#[tokio::test]
async fn a_token_lasts_as_long_as_the_setting_permits() {
    let test = site().await;
    let create = async |expires_in: Option<u32>| {
        let params = json!({
            "service": "mailer", "operations": ["self.show"], "expires_in": expires_in,
        });
        test.as_admin("token.create", params).await
    };
    let expiry = |data: &Value| {
        data["expires"]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    let (_, usual) = create(None).await;
    assert_eq!(expiry(&usual), NOW.plus_seconds(30 * 24 * 3_600));
    for wrong in [0, 59, 90 * 24 * 3_600 + 1] {
        let (code, data) = create(Some(wrong)).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::INVALID_PARAMS, &json!("expires_in"))
        );
    }
    let (_, last) = create(Some(60)).await;
    let before = Timestamp::from_millis(expiry(&last).millis() - 1);
    assert!(caller(&test.site, &last, before).await.is_some());
    let held = caller(&test.site, &last, NOW).await.unwrap();
    assert!(caller(&test.site, &last, expiry(&last)).await.is_none());
    let late = run_at(&test.site, &held, "self.show", json!({}), expiry(&last)).await;
    assert_eq!(late.0, Code::NOT_PERMITTED);

    test.admin("site.config", json!({ "access_token_lifetime": 3_600 }))
        .await;
    let (_, shorter) = create(None).await;
    assert_eq!(expiry(&shorter), NOW.plus_seconds(3_600));
    assert_eq!(create(Some(3_601)).await.0, Code::INVALID_PARAMS);
}

#[tokio::test]
async fn a_person_creates_tokens_for_themselves_after_a_fresh_proof_alone() {
    let test = site().await;
    let maria = person(&test, "maria", "member").await;
    let create = || {
        run(
            &test.site,
            &maria.caller,
            "token.create",
            json!({ "operations": ["self.show"] }),
        )
    };
    let (code, refused) = create().await;
    assert_eq!(code, Code::NOT_PERMITTED, "{refused}");
    make_proof(&test.site, &maria, PHRASE, NOW).await;
    let (code, created) = create().await;
    assert_eq!(code, Code::SUCCESS, "{created}");
    assert_eq!(create().await.0, Code::NOT_PERMITTED, "the proof is spent");
    let caller = caller(&test.site, &created, NOW).await.unwrap();
    assert_eq!(caller.account, maria.caller.account);
    // A service is not hers.
    make_proof(&test.site, &maria, PHRASE, NOW).await;
    let params = json!({ "service": "mailer", "operations": ["self.show"] });
    let (code, _) = run(&test.site, &maria.caller, "token.create", params).await;
    assert_eq!(code, Code::NOT_FOUND);
}

#[tokio::test]
async fn an_admin_creates_tokens_for_services_and_for_no_other_person() {
    let test = site().await;
    let root = person(&test, "root", "admin").await;
    person(&test, "maria", "member").await;
    let create = async |params: Value| run(&test.site, &root.caller, "token.create", params).await;
    let service = json!({ "service": "mailer", "operations": ["self.show"] });
    assert_eq!(create(service).await.0, Code::SUCCESS);
    let other = json!({ "service": "maria", "operations": ["self.show"] });
    assert_eq!(create(other).await.0, Code::NOT_FOUND);
    let own = json!({ "operations": ["self.show"] });
    assert_eq!(
        create(own.clone()).await.0,
        Code::NOT_PERMITTED,
        "a fresh proof is needed"
    );
    let (code, data) = test.refused("token.create", own).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &json!("service"))
    );
}

#[tokio::test]
async fn tokens_are_listed_with_their_last_use_and_revoked_at_once() {
    let test = site().await;
    let maria = person(&test, "maria", "member").await;
    let created = token(&test, &["self.show"]).await;
    let other = token(&test, &["self.show"]).await;
    let listed = async || {
        let listed = test
            .admin("token.list", json!({ "account": "mailer" }))
            .await;
        of(&listed, &created)
    };
    assert!(listed().await.get("last_used").is_none());
    assert!(listed().await.get("token").is_none());
    let at = NOW.plus_seconds(7);
    let held = caller(&test.site, &created, at).await.unwrap();
    assert_eq!(listed().await["last_used"], json!(at));
    // It is written with others, and survives a restart.
    test.site.write_all_counted().await.unwrap();
    assert_eq!(test.audit().await.pop().unwrap()["operation"], "token.used");
    let site = test.unsealed().await;
    let params = json!({ "account": "mailer" });
    let (_, after) = run(&site, &Caller::admin_socket(), "token.list", params).await;
    assert_eq!(of(&after, &created)["last_used"], json!(at));

    // Another account's tokens do not exist for a member.
    let id = json!({ "id": created["id"] });
    let (code, _) = run(&test.site, &maria.caller, "token.revoke", id.clone()).await;
    assert_eq!(code, Code::NOT_FOUND);
    let (_, own) = run(&test.site, &maria.caller, "token.list", json!({})).await;
    assert_eq!(own["entries"], json!([]));
    test.admin("token.revoke", id.clone()).await;
    assert!(caller(&test.site, &created, at).await.is_none());
    let (code, _) = run(&test.site, &held, "self.show", json!({})).await;
    assert_eq!(
        code,
        Code::NOT_PERMITTED,
        "a caller that was read before is refused too"
    );
    assert!(caller(&test.site, &other, at).await.is_some());
    assert_eq!(test.refused("token.revoke", id).await.0, Code::NOT_FOUND);
}

/// The use of a token costs no write of its own: at most one audit entry in five minutes.
#[tokio::test]
async fn the_use_of_tokens_is_written_every_five_minutes() {
    let test = site().await;
    let created = token(&test, &["self.show"]).await;
    let used = async |seconds: u32| {
        for _ in 0..100 {
            caller(&test.site, &created, NOW.plus_seconds(seconds))
                .await
                .unwrap();
        }
        test.site
            .write_counted(NOW.plus_seconds(seconds))
            .await
            .unwrap();
    };
    for second in [0, 1, 60, 299] {
        used(second).await;
    }
    let entries = async || {
        let all = test.audit().await.into_iter();
        all.filter(|entry| entry["operation"] == "token.used")
            .collect::<Vec<_>>()
    };
    assert_eq!(entries().await.len(), 1);
    used(300).await;
    let id = created["id"].as_str().unwrap();
    let last = entries().await.pop().unwrap();
    assert_eq!(last["details"]["tokens"][id], 400);
}

#[tokio::test]
async fn a_token_is_refused_as_soon_as_its_account_may_not_log_in() {
    let test = site().await;
    let created = token(&test, &["self.show"]).await;
    let mailer = json!({ "name": "mailer" });
    for (off, on) in [
        ("service.lock", "service.unlock"),
        ("service.disable", "service.enable"),
    ] {
        let held = caller(&test.site, &created, NOW).await.unwrap();
        test.admin(off, mailer.clone()).await;
        assert!(caller(&test.site, &created, NOW).await.is_none(), "{off}");
        assert_eq!(
            run(&test.site, &held, "self.show", json!({})).await.0,
            Code::NOT_PERMITTED
        );
        let params = json!({ "service": "mailer", "operations": ["self.show"] });
        assert_eq!(test.refused("token.create", params).await.0, Code::CONFLICT);
        test.admin(on, mailer.clone()).await;
        assert!(caller(&test.site, &created, NOW).await.is_some(), "{on}");
    }
    // The door refuses an account in lockdown, with its reason.
    test.admin("lockdown.service", mailer.clone()).await;
    let held = caller(&test.site, &created, NOW).await.unwrap();
    assert_eq!(
        run(&test.site, &held, "self.show", json!({})).await.0,
        Code::LOCKDOWN
    );
    test.admin("lockdown.lift", json!({ "service": "mailer" }))
        .await;
    assert_eq!(
        run(&test.site, &held, "self.show", json!({})).await.0,
        Code::SUCCESS
    );

    test.admin("service.delete", mailer.clone()).await;
    assert!(caller(&test.site, &created, NOW).await.is_none());
    // A new account of the same name does not inherit it.
    test.admin("service.create", mailer).await;
    assert!(caller(&test.site, &created, NOW).await.is_none());
}

/// A changed role counts at once: a former admin's token permits what a member may.
#[tokio::test]
async fn a_token_never_permits_more_than_the_role_of_its_account() {
    let test = site().await;
    let root = person(&test, "root", "admin").await;
    make_proof(&test.site, &root, PHRASE, NOW).await;
    let params = json!({ "operations": ["person.list", "self.show"] });
    let (_, created) = run(&test.site, &root.caller, "token.create", params).await;
    let before = caller(&test.site, &created, NOW).await.unwrap();
    assert_eq!(
        run(&test.site, &before, "person.list", json!({})).await.0,
        Code::SUCCESS
    );
    test.admin("person.update", json!({ "name": "root", "role": "member" }))
        .await;
    assert_eq!(
        run(&test.site, &before, "person.list", json!({})).await.0,
        Code::NOT_PERMITTED
    );
    let after = caller(&test.site, &created, NOW).await.unwrap();
    assert_eq!(
        run(&test.site, &after, "person.list", json!({})).await.0,
        Code::NOT_PERMITTED
    );
    assert_eq!(
        run(&test.site, &after, "self.show", json!({})).await.0,
        Code::SUCCESS
    );
}

/// An attacker who knew the old pass phrase could have created tokens with it.
#[tokio::test]
async fn a_new_pass_phrase_ends_the_tokens_of_its_person() {
    let test = site().await;
    let maria = person(&test, "maria", "member").await;
    make_proof(&test.site, &maria, PHRASE, NOW).await;
    let params = json!({ "operations": ["self.show"] });
    let (_, created) = run(&test.site, &maria.caller, "token.create", params).await;
    let service = token(&test, &["self.show"]).await;
    assert!(caller(&test.site, &created, NOW).await.is_some());
    let admin = Caller::admin_socket();
    register(
        &test.site,
        &admin,
        "person",
        Some("maria"),
        "another fine pass phrase",
    )
    .await;
    assert!(caller(&test.site, &created, NOW).await.is_none());
    assert!(caller(&test.site, &service, NOW).await.is_some());
}

#[tokio::test]
async fn an_unknown_token_is_refused() {
    let test = site().await;
    let unknown = AccessTokenSecret::generate(&mut SystemEntropy);
    let found = test.site.token_caller(&unknown, NOW).await.unwrap();
    assert_eq!(found, None);
}

/// A caller that is dropped at any moment leaves a token that is either stored or not.
#[tokio::test]
async fn a_revocation_whose_caller_is_gone_takes_effect() {
    for yields in 0..8 {
        let test = site().await;
        let created = token(&test, &["self.show"]).await;
        let held = caller(&test.site, &created, NOW).await.unwrap();
        let admin = Caller::admin_socket();
        let id = json!({ "id": created["id"] });
        dropped_after(yields, run(&test.site, &admin, "token.revoke", id)).await;
        let stored = test.admin("token.list", json!({})).await["entries"] != json!([]);
        let works = run(&test.site, &held, "self.show", json!({})).await.0 == Code::SUCCESS;
        assert_eq!(stored, works, "{yields}");
    }
}

/// Nothing over HTTP without a credential, on any operation.
#[tokio::test]
async fn a_caller_over_http_without_a_credential_is_refused_everything() {
    let test = site().await;
    let forged = Caller {
        channel: Channel::Http,
        ..Caller::admin_socket()
    };
    for entry in test.site.table().entries() {
        let (code, _) = run(&test.site, &forged, entry.name(), entry.example().clone()).await;
        assert_eq!(code, Code::NOT_PERMITTED, "{}", entry.name());
    }
}
