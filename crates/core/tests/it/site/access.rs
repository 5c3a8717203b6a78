//! Access control: which callers may call which operations.

use countersign_core::access::Caller;
use countersign_core::access_tokens::MAX_OPERATIONS_PER_TOKEN;
use countersign_core::audit::coalesced::{self, Repeated};
use countersign_core::engine::Endpoints;
use countersign_core::operations;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::SlotFile;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run};
use serde_json::json;

#[tokio::test]
async fn a_member_can_call_the_operations_of_members_only() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let ask = async |name: &str, params| run(&test.site, &maria.caller, name, params).await.0;

    assert_eq!(ask("self.show", json!({})).await, Code::SUCCESS);
    assert_eq!(ask("site.status", json!({})).await, Code::SUCCESS);
    assert_eq!(ask("person.list", json!({})).await, Code::NOT_PERMITTED);
    assert_eq!(
        ask("person.create", json!({ "name": "x" })).await,
        Code::NOT_PERMITTED
    );
    assert_eq!(ask("audit.list", json!({})).await, Code::NOT_PERMITTED);
}

/// Regression test: a member who asked for the status repeatedly saw the number of audit entries
/// rise with each login of another account, and the path of the site's files.
#[tokio::test]
async fn the_status_reveals_nothing_about_others_to_a_member() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    test.site.announce(Endpoints {
        admin_socket: Some("/srv/site/admin.sock".into()),
        ..Endpoints::default()
    });
    let status = || run(&test.site, &maria.caller, "site.status", json!({}));
    let before = status().await;
    test.person("bob", "member").await;
    assert_eq!(status().await, before);
    assert!(before.1["listen"]["admin_socket"].is_null());

    let shown = test.admin("site.status", json!({})).await;
    assert_eq!(shown["sessions"], 2);
    assert_eq!(shown["listen"]["admin_socket"], "/srv/site/admin.sock");
}

#[tokio::test]
async fn an_object_of_another_account_looks_like_a_missing_one() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    test.person("bob", "member").await;
    let ask = async |name: &str| {
        run(
            &test.site,
            &maria.caller,
            "person.show",
            json!({ "name": name }),
        )
        .await
    };

    assert_eq!(ask("maria").await.0, Code::SUCCESS);
    let (existing, missing) = (ask("bob").await, ask("unknown").await);
    assert_eq!(existing.0, Code::NOT_FOUND);
    let text = |answer: serde_json::Value| answer.to_string();
    assert_eq!(text(existing.1).replace("bob", "unknown"), text(missing.1));
}

#[tokio::test]
async fn a_service_sees_its_own_keys_only() {
    let test = TestSite::new().await;
    let (mailer, _) = test.service("mailer").await;
    test.service("other").await;
    let ask = async |name: &str| {
        let params = json!({ "name": name });
        run(&test.site, &mailer.caller, "key.list", params).await
    };
    let (code, keys) = ask("mailer").await;
    assert_eq!(code, Code::SUCCESS);
    assert_eq!(keys["entries"].as_array().unwrap().len(), 1);
    assert_eq!(ask("other").await.0, Code::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_disruptive_operation_is_audited() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let params = json!({ "name": "maria" });
    let (code, data) = run(&test.site, &maria.caller, "person.delete", params).await;
    assert_eq!(code, Code::NOT_PERMITTED);
    assert_eq!(data["code"], "not_permitted");

    let entries = test.audit().await;
    let last = entries.last().unwrap();
    assert_eq!(last["operation"], "person.delete");
    assert_eq!(last["outcome"], "not_permitted");
    assert_eq!(last["actor"], "maria@example.org");
    assert_eq!(last["channel"], "session");
}

/// Regression test: a service that called a forbidden operation in a loop wrote 25,000 audit
/// entries a second, until the disk was full.
#[tokio::test]
async fn repeated_refusals_are_counted_and_do_not_fill_the_audit_log() {
    const TIMES: u64 = 10_000;
    let test = TestSite::new().await;
    let (robot, _) = test.service("robot").await;
    let before = test.audit().await.len();
    for name in ["person.delete", "person.list"] {
        for _ in 0..TIMES {
            let (code, _) = run(&test.site, &robot.caller, name, json!({})).await;
            assert_eq!(code, Code::NOT_PERMITTED);
        }
    }
    assert_eq!(
        test.audit().await.len(),
        before + 2,
        "one entry for the first refusal of each operation"
    );
    let repeated = test.site.take_repeated();
    let of = |one: &Repeated| (one.actor.clone(), one.operation.clone());
    let robot = "robot@example.org".to_owned();
    assert_eq!(
        repeated.iter().map(of).collect::<Vec<_>>(),
        [
            (robot.clone(), "person.delete".to_owned()),
            (robot.clone(), "person.list".to_owned())
        ]
    );

    let later = NOW.plus_millis(coalesced::WINDOW);
    test.site.write_counted(later).await.unwrap();
    let entries = test.audit().await;
    assert_eq!(
        entries.len(),
        before + 4,
        "and one entry with the count of the others"
    );
    for entry in &entries[before + 2..] {
        assert_eq!(
            (&entry["actor"], &entry["outcome"]),
            (&json!(robot), &json!("not_permitted"))
        );
        assert_eq!(entry["details"]["count"], TIMES - 1);
    }
    assert_eq!(
        test.admin("audit.verify", json!({})).await["entries"],
        entries.len()
    );
}

/// Events that were counted and not yet written when the site stops are not lost.
#[tokio::test]
async fn a_site_that_stops_writes_what_it_counted() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    for _ in 0..5 {
        run(&test.site, &maria.caller, "audit.list", json!({})).await;
    }
    test.site.write_all_counted().await.unwrap();
    let last = test.audit().await.pop().unwrap();
    assert_eq!(last["details"]["count"], 4);
}

#[tokio::test]
async fn a_wrong_secret_for_the_site_key_is_audited() {
    let test = TestSite::new().await;
    let site = test.restarted().await;
    let local = Caller::admin_socket();
    let other = SlotFile::generate(&mut SystemEntropy);
    for _ in 0..3 {
        let params = json!({ "slot_file": other.to_text().expose() });
        let (code, _) = run(&site, &local, "site.unseal", params).await;
        assert_ne!(code, Code::SUCCESS);
    }
    site.write_all_counted().await.unwrap();
    let audited = test.audited().await;
    assert_eq!(audited[audited.len() - 2..], ["site.unseal - failed"; 2]);
    assert_eq!(test.audit().await.pop().unwrap()["details"]["count"], 2);
}

#[tokio::test]
async fn operations_on_the_site_key_are_available_at_the_admin_socket_only() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    for name in ["site.key_recovery", "site.key_slots"] {
        let (code, _) = run(&test.site, &root.caller, name, json!({})).await;
        assert_eq!(code, Code::NOT_PERMITTED);
        test.admin(name, json!({})).await;
    }
}

#[tokio::test]
async fn an_unknown_operation_is_refused_with_the_nearest_name() {
    let test = TestSite::new().await;
    let hint = async |name: &str| {
        let (code, data) = test.refused(name, json!({})).await;
        assert_eq!(code, Code::UNKNOWN_OPERATION);
        data["hint"].as_str().unwrap().to_owned()
    };
    assert!(hint("person.craete").await.contains("`create`"));
    assert!(hint("persn.create").await.contains("`person`"));
    assert!(
        hint("zzzzzzzz.create")
            .await
            .starts_with("the known names are")
    );
}

#[tokio::test]
async fn wrong_params_name_the_field() {
    let test = TestSite::new().await;
    let field = async |params| {
        let (code, data) = test.refused("person.create", params).await;
        assert_eq!(code, Code::INVALID_PARAMS, "{data}");
        data["field"].as_str().unwrap_or("-").to_owned()
    };
    assert_eq!(field(json!({})).await, "name");
    assert_eq!(field(json!({ "name": "no spaces" })).await, "name");
    assert_eq!(field(json!({ "name": "a", "emial": "b" })).await, "emial");
    assert_eq!(field(json!({ "name": "a", "email": "b" })).await, "email");
    assert_eq!(field(json!({ "name": "a", "role": "king" })).await, "role");
    assert_eq!(field(json!([])).await, "-");
}

#[tokio::test]
async fn help_shows_what_the_caller_may_call() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let names = async |caller: &Caller| {
        let (_, listed) = run(&test.site, caller, "operation.list", json!({})).await;
        let operations = listed["operations"].as_array().unwrap().clone();
        operations
            .iter()
            .map(|one| format!("{}.{}", one["group"], one["command"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    let own = names(&maria.caller).await;
    assert!(own.contains(&"self.show".to_owned()));
    assert!(!own.contains(&"person.create".to_owned()));
    let all = names(&Caller::admin_socket()).await;
    assert!(all.contains(&"person.create".to_owned()));
    assert!(all.contains(&"site.unseal".to_owned()));
}

/// The console offered what its admin may call for the token of a service, and the site refused one after the other.
#[tokio::test]
async fn the_operations_that_are_listed_for_a_token_are_those_that_it_may_name() {
    let test = TestSite::new().await;
    test.admin("service.create", json!({ "name": "mailer" }))
        .await;
    let listed = json!({ "token_role": "service" });
    let listed = test.admin("operation.list", listed).await;
    let listed: Vec<String> = listed["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}.{}", one["group"], one["command"]).replace('"', ""))
        .collect();
    let create = async |operations: &[String]| {
        let params = json!({ "service": "mailer", "operations": operations });
        let local = Caller::admin_socket();
        run(&test.site, &local, "token.create", params).await.0
    };
    for some in listed.chunks(MAX_OPERATIONS_PER_TOKEN) {
        assert_eq!(create(some).await, Code::SUCCESS);
    }
    let mut others = 0;
    for entry in operations::table().unwrap().entries() {
        let name = entry.name().to_owned();
        if !listed.contains(&name) {
            others += 1;
            assert_eq!(
                create(std::slice::from_ref(&name)).await,
                Code::INVALID_PARAMS,
                "{name}"
            );
        }
    }
    assert!(listed.len() > 10 && others > 10);
}
