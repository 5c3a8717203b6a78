//! The audit log as an admin sees it.

use serde_json::json;

use super::fixture::TestSite;

#[tokio::test]
async fn the_log_of_an_honest_site_verifies() {
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
async fn every_entry_says_who_what_and_through_which_door() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "admin").await;
    let create = json!({ "name": "bob" });
    super::fixture::run(&test.site, &maria.caller, "person.create", create).await;
    let entry = test.audit().await.pop().unwrap();
    assert_eq!(entry["account"], maria.info.account.to_string());
    assert_eq!(entry["actor"], "maria@example.org");
    assert_eq!(entry["door"], "session");
    assert_eq!(entry["operation"], "person.create");
    assert_eq!(entry["target"], "bob@example.org");
    assert_eq!(entry["time"], "2026-03-01T12:00:00.000Z");
}

#[tokio::test]
async fn reading_is_not_audited() {
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
