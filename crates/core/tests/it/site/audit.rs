//! The audit log as an admin sees it.

use countersign_core::access::Caller;
use countersign_core::engine::MAX_PAGE_BYTES;
use countersign_proto::operation::Operation;
use countersign_testkit::harness::{NOW, TestSite, run, run_at};
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[tokio::test]
async fn an_unaltered_log_verifies() {
    let test = TestSite::new().await;
    for at in 0..20 {
        test.admin("person.create", json!({ "name": format!("person-{at}") }))
            .await;
    }
    let verified = test.admin("audit.verify", json!({})).await;
    assert_eq!(
        (&verified["intact"], &verified["entries"]),
        (&true.into(), &21.into())
    );
    let last = test.audit().await.pop().unwrap();
    assert_eq!(verified["head"], last["hash"]);
}

#[tokio::test]
async fn every_entry_names_actor_operation_and_channel() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "admin").await;
    let create = json!({ "name": "bob" });
    run(&test.site, &maria.caller, "person.create", create).await;
    let entry = test.audit().await.pop().unwrap();
    assert_eq!(entry["account"], maria.info.account.to_string());
    assert_eq!(entry["actor"], "maria@example.org");
    assert_eq!(entry["channel"], "session");
    assert_eq!(entry["operation"], "person.create");
    assert_eq!(entry["target"], "bob@example.org");
    assert_eq!(entry["time"], "2026-03-01T12:00:00.000Z");
}

#[tokio::test]
async fn operations_that_change_nothing_are_not_audited() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let before = test.audit().await.len();
    for name in [
        "person.list",
        "service.list",
        "session.list",
        "site.status",
        "audit.verify",
    ] {
        test.admin(name, json!({})).await;
    }
    test.admin("person.show", json!({ "name": "maria" })).await;
    assert_eq!(test.audit().await.len(), before);
}

fn numbers(listed: &Value) -> Vec<u64> {
    let entries = listed["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["seq"].as_u64().unwrap())
        .collect()
}

/// Regression test: a log of some thousand entries showed only its first hundred.
#[tokio::test]
async fn the_latest_entries_are_shown_with_a_cursor_to_earlier_ones() {
    let test = TestSite::new().await;
    for at in 0..12 {
        let person = json!({ "name": format!("person-{at}") });
        test.admin("person.create", person).await;
    }
    let last = test.admin("audit.list", json!({ "limit": 5 })).await;
    assert_eq!(numbers(&last), [9, 10, 11, 12, 13]);
    assert_eq!(last["earlier"], 9);
    assert!(last["next"].is_null());
    let before = json!({ "limit": 5, "before": last["earlier"] });
    let before = test.admin("audit.list", before).await;
    assert_eq!(numbers(&before), [4, 5, 6, 7, 8]);
    let first = test.admin("audit.list", json!({ "before": 4 })).await;
    assert_eq!(numbers(&first), [1, 2, 3]);
    assert!(first["earlier"].is_null());

    let forward = json!({ "after": 0, "limit": 5 });
    let forward = test.admin("audit.list", forward).await;
    assert_eq!(numbers(&forward), [1, 2, 3, 4, 5]);
    assert_eq!(forward["next"], 5);
    let between = json!({ "after": 3, "before": 6 });
    assert_eq!(numbers(&test.admin("audit.list", between).await), [4, 5]);
    for nothing in [
        json!({ "after": 13 }),
        json!({ "before": 0 }),
        json!({ "after": u64::MAX }),
    ] {
        assert!(numbers(&test.admin("audit.list", nothing).await).is_empty());
    }
}

/// Regression test: lists end a page at 512 KiB, and the audit log had pages of any size.
#[tokio::test]
async fn a_page_of_long_entries_ends_before_it_is_too_large() {
    let test = TestSite::new().await;
    let name = "m".repeat(64);
    test.admin("person.create", json!({ "name": name })).await;
    for at in 0..500 {
        let level = json!({ "name": name, "reason": format!("{at:0>200}") });
        test.admin("lockdown.person", level).await;
        test.admin("lockdown.lift", json!({ "person": name })).await;
    }
    let whole: Vec<u64> = (1..=1_002).collect();
    let page = async |params: Value| {
        let listed = test.admin("audit.list", params).await;
        assert!(listed.to_string().len() <= MAX_PAGE_BYTES + 1_000);
        assert!(numbers(&listed).len() < 1_000);
        listed
    };
    let mut forward = Vec::new();
    let mut after = json!(0);
    while !after.is_null() {
        let listed = page(json!({ "after": after, "limit": 1_000 })).await;
        forward.extend(numbers(&listed));
        after = listed["next"].clone();
    }
    assert_eq!(forward, whole);
    let mut backward = Vec::new();
    let mut before = json!(u64::MAX);
    while !before.is_null() {
        let listed = page(json!({ "before": before, "limit": 1_000 })).await;
        backward.splice(0..0, numbers(&listed));
        before = listed["earlier"].clone();
    }
    assert_eq!(backward, whole);
}

/// The log can be searched by actor, operation and time.
#[tokio::test]
async fn the_log_is_searched_by_actor_operation_and_time() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "admin").await;
    let create = json!({ "name": "bob" });
    run(&test.site, &maria.caller, "person.create", create).await;
    let lock = json!({ "name": "bob" });
    let later = NOW.plus_seconds(60);
    run_at(
        &test.site,
        &Caller::admin_socket(),
        "person.lock",
        lock,
        later,
    )
    .await;
    let found = async |params: Value| {
        let listed = test.admin("audit.list", params).await;
        let entries = listed["entries"].as_array().unwrap().clone();
        let operations = entries
            .iter()
            .map(|entry| entry["operation"].as_str().unwrap());
        operations.map(str::to_owned).collect::<Vec<_>>()
    };
    let by_maria = ["session.opened", "person.create"];
    assert_eq!(found(json!({ "actor": "maria" })).await, by_maria);
    assert_eq!(
        found(json!({ "actor": "maria@example.org" })).await,
        by_maria
    );
    assert!(found(json!({ "actor": "mar" })).await.is_empty());
    let locks = ["person.lock"];
    assert_eq!(found(json!({ "operation": "person.lock" })).await, locks);
    assert_eq!(found(json!({ "since": later })).await, locks);
    let earlier = found(json!({ "until": later })).await;
    assert!(!earlier.is_empty() && !earlier.contains(&locks[0].to_owned()));
    let day = json!({ "since": later, "until": later.plus_seconds(1) });
    assert_eq!(found(day).await, locks);
    let of_bob = ["person.create", "person.lock"];
    assert_eq!(found(json!({ "target": "bob" })).await, of_bob);
    assert_eq!(found(json!({ "target": "bob@example.org" })).await, of_bob);
    assert!(found(json!({ "target": "bo" })).await.is_empty());
    let persons = ["person.create", "person.create", "person.lock"];
    assert_eq!(found(json!({ "operation": "person" })).await, persons);
    assert!(found(json!({ "operation": "pers" })).await.is_empty());
    let both = json!({ "actor": "local admin", "operation": "person", "since": NOW });
    assert_eq!(found(both).await, ["person.create", "person.lock"]);
}

/// Regression test: the head, which an admin should store elsewhere, was shown in JSON only.
#[tokio::test]
async fn the_head_is_shown_as_text() {
    let test = TestSite::new().await;
    let operation = Operation::new(1, "audit", "verify", RawValue::NULL.to_owned());
    let outcome = test
        .site
        .run(&Caller::admin_socket(), &operation, NOW)
        .await;
    let head = test.audit().await.pop().unwrap()["hash"].clone();
    assert!(
        outcome.output.contains(head.as_str().unwrap()),
        "{}",
        outcome.output
    );
}
