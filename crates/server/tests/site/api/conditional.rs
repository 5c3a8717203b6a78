//! Conditions of requests: entity tags.

use countersign_testkit::harness::{TestSite, party};
use serde_json::json;

use super::client::Program;

pub(super) async fn with_bob(served: &countersign_testkit::harness::ServedSite) -> Program<'_> {
    served
        .admin("person.create", json!({ "name": "bob" }))
        .await;
    let names = [
        "person.show",
        "person.update",
        "person.lock",
        "person.delete",
        "person.create",
        "person.set_data",
        "ticket.issue",
        "alarm.raise",
        "alarm.list",
    ];
    let names = names.map(str::to_owned);
    Program::maria(served, &served.maria().await, &names).await
}

#[tokio::test]
async fn a_change_with_an_old_entity_tag_is_refused() {
    let served = TestSite::builder().maria().serve().await;
    let admin = with_bob(&served).await;
    let shown = admin.call("GET", "/persons/bob", "").await;
    let tag = shown.field("etag");
    let shown = shown.json();
    let of = |revision: u64| format!("\"{}-{revision}\"", shown["id"].as_str().unwrap());
    assert_eq!(tag, of(1));
    assert_eq!(format!("\"{}\"", shown["etag"].as_str().unwrap()), tag);
    let change = async |tag: &str, name: &str| {
        let body = json!({ "full_name": name }).to_string();
        admin
            .call_with("PATCH", "/persons/bob", &[("if-match", tag)], &body)
            .await
    };
    let changed = change(&tag, "Bob").await;
    assert_eq!((changed.status, changed.field("etag")), (200, of(2)));
    let weak = format!("W/{}", of(2));
    for old in [&tag, &of(7), &weak, "\"2\"", "\"other\""] {
        let refused = change(old, "Mallory").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (412, "precondition_failed"),
            "{old}"
        );
    }
    let either = format!("{}, {}", of(9), of(2));
    assert_eq!(change(&either, "Robert").await.status, 200);
    assert_eq!(change("*", "Bob").await.status, 200);
    assert_eq!(change("2", "Bob").await.status, 400);
    let deleted = admin
        .call_with("DELETE", "/persons/bob", &[("if-match", &of(1))], "")
        .await;
    assert_eq!(deleted.status, 412);
    let deleted = admin
        .call_with("DELETE", "/persons/bob", &[("if-match", &of(4))], "")
        .await;
    assert_eq!(deleted.status, 200);
}

/// `If-Match: *` was read like no header, so that the parameter beside it counted.
#[tokio::test]
async fn a_request_with_two_conditions_is_refused() {
    let served = TestSite::builder().maria().serve().await;
    let admin = with_bob(&served).await;
    let tag = admin.call("GET", "/persons/bob", "").await.field("etag");
    let own = json!({ "full_name": "Bob", "if_match": tag.trim_matches('"') }).to_string();
    for header in ["*", &tag] {
        let fields = [("if-match", header)];
        let refused = admin.call_with("PATCH", "/persons/bob", &fields, &own);
        let refused = refused.await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "invalid_params")
        );
        assert_eq!(refused.json()["field"], "if_match", "{header}");
    }
    let changed = admin.call("PATCH", "/persons/bob", &own).await;
    assert_eq!(changed.status, 200);
}

/// The tag was the revision alone. An admin read bob, another one deleted him and made another bob, and the
/// first one's change, with the tag of what was read, made the new bob an admin.
#[tokio::test]
async fn the_entity_tag_of_a_deleted_object_is_not_that_of_one_with_its_name() {
    let served = TestSite::builder().maria().serve().await;
    served.billing_and_ledger().await;
    let names = [
        "person.show",
        "person.update",
        "person.delete",
        "person.create",
        "app.show",
        "app.create",
        "app.update",
        "app.delete",
    ];
    let names = names.map(str::to_owned);
    let admin = Program::maria(&served, &served.maria().await, &names).await;
    let key = party().public().to_pem();
    let app = json!({ "id": "printer", "edition": "v2", "public_keys": [key] });
    let other_key = party().public().to_pem();
    let other_app = json!({ "id": "printer", "edition": "v2", "public_keys": [other_key] });
    let bob = json!({ "name": "bob" });
    let role = json!({ "role": "admin" });
    let lifetime = json!({ "settings": { "keys_last": 600_000 } });
    for (all, name, made, made_again, change) in [
        ("/persons", "bob", &bob, &bob, &role),
        ("/apps", "printer", &app, &other_app, &lifetime),
    ] {
        let path = format!("{all}/{name}");
        let created = admin.call("POST", all, &made.to_string()).await;
        assert_eq!(created.status, 201, "{created:?}");
        let tag = admin.call("GET", &path, "").await.field("etag");
        assert_eq!(admin.call("DELETE", &path, "").await.status, 200);
        let created = admin.call("POST", all, &made_again.to_string()).await;
        assert_eq!(created.status, 201, "{created:?}");
        let fields = [("if-match", tag.as_str())];
        for (method, body) in [("PATCH", change.to_string()), ("DELETE", String::new())] {
            let refused = admin.call_with(method, &path, &fields, &body).await;
            let found = (refused.status, refused.code());
            assert_eq!(found, (412, "precondition_failed".to_owned()), "{path}");
        }
        let tag = admin.call("GET", &path, "").await.field("etag");
        let fields = [("if-match", tag.as_str())];
        let body = change.to_string();
        let changed = admin.call_with("PATCH", &path, &fields, &body).await;
        assert_eq!(changed.status, 200, "{path}");
    }
}

/// The condition was looked at only when a change was written, so that reads, changes of what has no
/// revision and `*` had none, although the description offered it everywhere.
#[tokio::test]
async fn a_condition_that_cannot_be_checked_is_refused_by_every_operation() {
    let served = TestSite::builder().maria().serve().await;
    let admin = with_bob(&served).await;
    let mut refused = 0;
    for entry in served.site.table().entries() {
        let Some(route) = entry.rest().route().filter(|_| !entry.is_revised()) else {
            continue;
        };
        let path = at(route.path, &[]);
        for tag in ["\"1\"", "*"] {
            let fields = [("if-match", tag), ("accept", "text/event-stream")];
            let reply = admin
                .call_with(route.method.as_str(), &path, &fields, "")
                .await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (400, "invalid_request"),
                "{}",
                entry.name()
            );
            assert_eq!(reply.json()["field"], "if-match", "{}", entry.name());
        }
        refused += 1;
    }
    assert!(refused > 70, "{refused}");
}

/// `lock` of what was locked already changed nothing, and so checked no condition; `app delete` compared it
/// with the revision of an application that may call the deleted one.
#[tokio::test]
async fn every_operation_on_an_object_with_a_revision_checks_the_condition_always() {
    let served = TestSite::builder().maria().serve().await;
    served.takes_enrolments();
    with_bob(&served).await;
    served
        .admin("service.create", json!({ "name": "mailer" }))
        .await;
    // `billing`, which changes a few times, may call `ledger`, which is deleted.
    served.billing_and_ledger().await;
    for keys_last in [600_000, 700_000] {
        let params = json!({ "id": "billing", "settings": { "keys_last": keys_last } });
        served.admin("app.update", params).await;
    }
    let revised = served.site.table().entries().filter(|one| one.is_revised());
    let mut revised: Vec<_> = revised.collect();
    // A person in lockdown gets no ticket, and what is deleted comes last.
    revised.sort_by_key(|entry| match (entry.group(), entry.command()) {
        (_, "issue") => 0,
        ("lockdown", _) => 2,
        (_, "delete") => 3,
        _ => 1,
    });
    let names: Vec<String> = revised.iter().map(|one| one.name().to_owned()).collect();
    let admin = Program::maria(&served, &served.maria().await, &names).await;
    for entry in revised {
        let body = match entry.name() {
            "person.update" => json!({ "full_name": "Bob" }).to_string(),
            "person.set_data" | "self.set_data" => json!({ "language": "de" }).to_string(),
            "app.update" => json!({ "settings": { "keys_last": 600_000 } }).to_string(),
            "app.rotate_key" => json!({ "public_key": party().public().to_pem() }).to_string(),
            "ticket.issue" => json!({ "person": "bob" }).to_string(),
            _ => String::new(),
        };
        let route = entry.rest().route().unwrap();
        let name = match (entry.group(), entry.command()) {
            ("person", _) | ("lockdown", "person") => "bob",
            _ => "mailer",
        };
        let path = at(route.path, &[("name", name), ("id", "ledger")]);
        let call = async |tag: &str| {
            let fields = [("if-match", tag)];
            admin
                .call_with(route.method.as_str(), &path, &fields, &body)
                .await
        };
        let refused = async |expected: (u16, &str)| {
            let refused = call("\"99\"").await;
            let found = (refused.status, refused.code());
            assert_eq!(
                found,
                (expected.0, expected.1.to_owned()),
                "{}",
                entry.name()
            );
        };
        refused((412, "precondition_failed")).await;
        let done = call("*").await;
        assert!(
            matches!(done.status, 200 | 201),
            "{}: {done:?}",
            entry.name()
        );
        match entry.command() {
            "delete" => refused((404, "not_found")).await,
            // Nothing is left to change.
            _ => refused((412, "precondition_failed")).await,
        }
    }
}

/// The revision of the object was compared with that of another one, which the deletion changes too.
#[tokio::test]
async fn an_application_is_deleted_with_its_own_entity_tag() {
    let served = TestSite::builder().maria().serve().await;
    served.billing_and_ledger().await;
    let params = json!({ "id": "billing", "settings": { "keys_last": 600_000 } });
    served.admin("app.update", params).await;
    let names = ["app.show", "app.delete"].map(str::to_owned);
    let admin = Program::maria(&served, &served.maria().await, &names).await;
    let delete = async |tag: &str| {
        let fields = [("if-match", tag)];
        admin.call_with("DELETE", "/apps/ledger", &fields, "").await
    };
    let of_billing = admin.call("GET", "/apps/billing", "").await.field("etag");
    assert_eq!(delete(&of_billing).await.status, 412);
    let own = admin.call("GET", "/apps/ledger", "").await.field("etag");
    assert_eq!(delete(&own).await.status, 200);
}

/// The path of a route with these parameters; others are `x`.
fn at(path: &str, parameters: &[(&str, &str)]) -> String {
    let segments = path.split('/').map(|segment| {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let value = |name| parameters.iter().find(|(one, _)| *one == name);
        name.map_or(segment, |name| value(name).map_or("x", |(_, value)| value))
    });
    segments.collect::<Vec<_>>().join("/")
}
