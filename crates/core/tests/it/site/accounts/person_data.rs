//! The contact data and the attributes of a person.

use countersign_core::sessions::Proof;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, PASSPHRASE, TestSession, TestSite, run};
use serde_json::{Value, json};

use super::proof::make_proof;

fn all() -> Value {
    json!({
        "name": "maria",
        "emails": ["maria@EXAMPLE.org", "m.lind@example.com"],
        "telephones": [{ "label": "work", "number": "+49 (0)30 123-4567" }, { "label": "home", "number": "112" }],
        "postal_address": { "lines": ["Unter den Linden 77"], "postal_code": "10117", "city": "Berlin", "country": "de" },
        "language": "DE",
        "attributes": { "department": "sales", "room": "12" },
    })
}

async fn site() -> TestSite {
    let test = TestSite::new().await;
    let create = json!({ "name": "maria", "email": "first@example.org" });
    test.admin("person.create", create).await;
    test
}

async fn show(test: &TestSite) -> Value {
    test.admin("person.show", json!({ "name": "maria" })).await
}

async fn set(test: &TestSite, change: Value) -> Value {
    let mut params = change;
    params["name"] = "maria".into();
    test.admin("person.set_data", params).await;
    show(test).await
}

async fn own(test: &TestSite, session: &TestSession, change: Value) -> (Code, Value) {
    run(&test.site, &session.caller, "self.set_data", change).await
}

#[tokio::test]
async fn data_is_stored_in_one_spelling_and_shown() {
    let test = site().await;
    let shown = set(&test, all()).await;
    assert_eq!(shown["email"], "maria@example.org");
    let emails = json!(["maria@example.org", "m.lind@example.com"]);
    assert_eq!(shown["emails"], emails);
    assert_eq!(shown["telephones"][0]["number"], "+49301234567");
    assert_eq!(shown["postal_address"]["country"], "DE");
    assert_eq!(shown["language"], "de");
    assert_eq!(shown["attributes"]["room"], "12");
}

#[tokio::test]
async fn what_is_absent_stays_and_null_removes() {
    let test = site().await;
    let before = set(&test, all()).await;
    let change = json!({ "attributes": { "room": null, "floor": "3" } });
    let after = set(&test, change).await;
    let attributes = json!({ "department": "sales", "floor": "3" });
    assert_eq!(after["attributes"], attributes);
    for field in ["emails", "telephones", "postal_address", "language"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let none = json!({
        "emails": [], "telephones": [], "postal_address": null, "language": null,
        "attributes": { "department": null, "floor": null },
    });
    let removed = set(&test, none).await;
    assert_eq!(removed["email"], "");
    for field in [
        "emails",
        "telephones",
        "postal_address",
        "language",
        "attributes",
    ] {
        assert_eq!(removed[field], Value::Null, "{field}");
    }
}

#[tokio::test]
async fn an_update_replaces_the_first_address_and_keeps_the_others() {
    let test = site().await;
    set(
        &test,
        json!({ "emails": ["a@x.org", "b@x.org", "c@x.org"] }),
    )
    .await;
    let update = async |email: &str| {
        let params = json!({ "name": "maria", "email": email });
        test.admin("person.update", params).await;
        show(&test).await["emails"].clone()
    };
    assert_eq!(
        update("d@x.org").await,
        json!(["d@x.org", "b@x.org", "c@x.org"])
    );
    assert_eq!(update("c@x.org").await, json!(["c@x.org", "b@x.org"]));
    assert_eq!(update("").await, json!(["b@x.org"]));
    assert_eq!(update("").await, Value::Null);
}

/// At each limit and one over it.
#[tokio::test]
async fn data_has_limits() {
    let test = site().await;
    let emails =
        |count: usize| -> Vec<String> { (0..count).map(|n| format!("{n}@x.org")).collect() };
    let telephone = json!({ "label": "x".repeat(40), "number": "112" });
    let attributes = |count: usize| -> Value {
        let all = (0..count).map(|n| (format!("a{n}"), json!("ü".repeat(200))));
        Value::Object(all.collect())
    };
    let most = json!({
        "emails": emails(8), "telephones": vec![&telephone; 8], "attributes": attributes(32),
    });
    set(&test, most).await;
    for (field, value) in [
        ("emails", json!(emails(9))),
        ("emails[1]", json!(["a@x.org", "a@X.org"])),
        ("emails[0]", json!([""])),
        ("telephones", json!(vec![&telephone; 9])),
        (
            "telephones[0].label",
            json!([{ "label": "x".repeat(41), "number": "112" }]),
        ),
        (
            "telephones[0].number",
            json!([{ "label": "x", "number": "none" }]),
        ),
        ("attributes", json!({ "one-more": "x" })),
        ("attributes.a1", json!({ "a1": "ü".repeat(201) })),
        ("attributes.A", json!({ "A": "x" })),
        ("postal_address", json!({ "lines": vec!["x"; 7] })),
        ("postal_address.city", json!({ "city": "a\u{202e}b" })),
        ("language", json!("german")),
    ] {
        let name = field.split(['[', '.']).next().unwrap();
        let params = json!({ "name": "maria", name: value });
        let (code, data) = test.refused("person.set_data", params).await;
        assert_eq!(code, Code::INVALID_PARAMS, "{field}: {data}");
        let named = data["field"].as_str().unwrap_or_default();
        assert!(named.starts_with(name), "{field}: {data}");
    }
}

/// The log is kept after the person was deleted.
#[tokio::test]
async fn the_audit_log_names_what_changed_without_its_values() {
    let test = site().await;
    set(&test, all()).await;
    let entries = test.audit().await;
    let entry = entries
        .iter()
        .find(|entry| entry["operation"] == "person.set_data");
    let details = &entry.unwrap()["details"];
    assert_eq!(details["emails_changed"], true);
    assert_eq!(details["attributes_changed"], json!(["department", "room"]));
    let log = json!(entries).to_string();
    for value in ["first@example", "m.lind", "1234567", "Linden", "sales"] {
        assert!(!log.contains(value), "{value}");
    }
    let count = entries.len();
    set(&test, all()).await;
    assert_eq!(test.audit().await.len(), count, "nothing changed");
}

#[tokio::test]
async fn a_deleted_person_takes_the_data_along() {
    let test = site().await;
    set(&test, all()).await;
    test.admin("person.delete", json!({ "name": "maria" }))
        .await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let shown = show(&test).await;
    for field in [
        "emails",
        "telephones",
        "postal_address",
        "language",
        "attributes",
    ] {
        assert_eq!(shown[field], Value::Null, "{field}");
    }
}

#[tokio::test]
async fn a_dump_brings_the_data_back_and_is_checked() {
    let test = site().await;
    let before = set(&test, all()).await;
    let dump = test.admin("person.dump", json!({ "name": "maria" })).await;
    test.admin("person.delete", json!({ "name": "maria" }))
        .await;
    let load = |dump: &Value| json!({ "dump": dump.to_string() });
    let mut wrong = dump.clone();
    wrong["check"].take();
    wrong["data"]["other_emails"] = json!(["maria@example.org"]);
    let (code, refused) = test.refused("person.load", load(&wrong)).await;
    assert_eq!(
        (code, &refused["field"]),
        (Code::INVALID_PARAMS, &json!("dump.data.emails[1]"))
    );
    test.admin("person.load", load(&dump)).await;
    let after = show(&test).await;
    for field in [
        "emails",
        "telephones",
        "postal_address",
        "language",
        "attributes",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    // An earlier version wrote no data.
    let mut earlier = dump;
    earlier
        .as_object_mut()
        .unwrap()
        .retain(|member, _| member != "data" && member != "check");
    test.admin("person.delete", json!({ "name": "maria" }))
        .await;
    test.admin("person.load", load(&earlier)).await;
    assert_eq!(show(&test).await["emails"], json!(["maria@example.org"]));
}

/// A full dump is at most as long as the greatest one that is read.
#[tokio::test]
async fn a_person_with_as_much_data_as_possible_is_dumped_and_loaded() {
    let test = site().await;
    let wide = |count: usize| "\u{10ffff}".repeat(count);
    let telephone = json!({ "label": wide(40), "number": "+123456789012345;ext=1234567" });
    let attributes = (0..32).map(|n| (format!("{}{n:02}", "a".repeat(38)), json!(wide(200))));
    let emails = (0..8).map(|n| format!("{}@{n}.example.org", "m".repeat(238)));
    let change = json!({
        "emails": emails.collect::<Vec<_>>(),
        "telephones": vec![telephone; 8],
        "postal_address": {
            "lines": vec![wide(200); 6], "postal_code": wide(20), "city": wide(100), "region": wide(100),
        },
        "attributes": Value::Object(attributes.collect()),
    });
    let before = set(&test, change).await;
    let dump = test.admin("person.dump", json!({ "name": "maria" })).await;
    let text = serde_json::to_string_pretty(&dump).unwrap();
    assert!(text.len() < 64 * 1024, "{}", text.len());
    test.admin("person.delete", json!({ "name": "maria" }))
        .await;
    test.admin("person.load", json!({ "dump": text })).await;
    assert_eq!(show(&test).await["attributes"], before["attributes"]);
}

#[tokio::test]
async fn a_person_changes_their_own_contact_data_and_not_their_name_or_attributes() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let change =
        json!({ "telephones": [{ "label": "mobile", "number": "112" }], "language": "pt-br" });
    let (code, data) = own(&test, &maria, change).await;
    assert_eq!((code, &data["language"]), (Code::SUCCESS, &json!("pt-BR")));
    let (_, shown) = run(&test.site, &maria.caller, "self.show", json!({})).await;
    assert_eq!(shown["telephones"][0]["label"], "mobile");
    assert_eq!(maria.was_cut(), None);
    for change in [
        json!({ "attributes": { "department": "board" } }),
        json!({ "full_name": "The Admin" }),
        json!({ "name": "other", "language": "de" }),
    ] {
        assert_eq!(own(&test, &maria, change).await.0, Code::INVALID_PARAMS);
    }
    let params = json!({ "name": "maria", "language": "de" });
    let (code, _) = run(&test.site, &maria.caller, "person.set_data", params).await;
    assert_eq!(code, Code::NOT_PERMITTED);
    // A service has no contact data.
    let (robot, _) = test.service("robot").await;
    let change = json!({ "language": "de" });
    assert_eq!(own(&test, &robot, change).await.0, Code::NOT_PERMITTED);
}

/// An admin's session is no way around the proof.
#[tokio::test]
async fn an_admin_changes_other_addresses_without_a_proof_and_their_own_with_one() {
    let test = site().await;
    let root = test.person("root", "admin").await;
    for (operation, field, value) in [
        ("person.update", "email", json!("new@x.org")),
        ("person.set_data", "emails", json!(["other@x.org"])),
    ] {
        for (name, expected) in [("maria", Code::SUCCESS), ("root", Code::NOT_PERMITTED)] {
            let params = json!({ "name": name, field: value });
            let (code, data) = run(&test.site, &root.caller, operation, params).await;
            assert_eq!(code, expected, "{operation} {name}: {data}");
        }
    }
}

/// A stolen session could have alarms sent to another address, or fill the audit log.
#[tokio::test]
async fn a_person_changes_their_own_addresses_after_a_fresh_proof_only() {
    let test = TestSite::builder().person("eve", "member").build().await;
    let shown = test.admin("person.show", json!({ "name": "eve" })).await;
    let eve = test.session(&shown, Proof::Passphrase).await.unwrap();
    let change = |email: &str| json!({ "emails": [email] });
    let (code, data) = own(&test, &eve, change("eve@x.org")).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::NOT_PERMITTED, &json!("emails"))
    );
    let (code, _) = make_proof(&test.site, &eve, PASSPHRASE, NOW).await;
    assert_eq!(code, Code::SUCCESS);
    assert_eq!(own(&test, &eve, change("eve@x.org")).await.0, Code::SUCCESS);
    let (code, _) = own(&test, &eve, change("other@x.org")).await;
    assert_eq!(code, Code::NOT_PERMITTED, "the proof is spent");
    let mut last = Code::SUCCESS;
    for number in 0..20 {
        let telephone = json!([{ "label": "work", "number": format!("1{number:03}") }]);
        last = own(&test, &eve, json!({ "telephones": telephone })).await.0;
    }
    assert_eq!(last, Code::BUSY);
}
