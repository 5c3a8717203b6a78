//! Enrolment tickets and access tokens that cannot be read.

use std::fmt::Display;

use countersign_core::access_tokens::AccessTokenSecret;
use countersign_core::engine::NotEnrolled;
use countersign_core::store::StoreError;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestDevice, TestSite, run};
use serde_json::{Value, json};

use crate::sealed_data::execute;

/// Changes a row of the database directly.
async fn damage(test: &TestSite, table: &str, id: impl Display, change: &str) {
    let hex = id.to_string().replace('-', "");
    let update = format!(
        "PRAGMA ignore_check_constraints = ON; UPDATE {table} SET {change} WHERE id = x'{hex}'"
    );
    execute(test, update).await;
}

/// All rows of a list, read page by page with one row each: those that can be read, and those that cannot.
async fn listed(test: &TestSite, list: &str) -> (Vec<Value>, Vec<Value>) {
    let (mut entries, mut damaged) = (Vec::new(), Vec::new());
    let mut params = json!({ "limit": 1 });
    loop {
        let page = test.admin(list, params.clone()).await;
        entries.extend(page["entries"].as_array().unwrap().clone());
        damaged.extend(page["damaged"].as_array().cloned().unwrap_or_default());
        if page["next"].is_null() {
            return (entries, damaged);
        }
        params["after"] = page["next"].clone();
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    let mut ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// With one damaged row, or a ticket of a damaged account, no ticket was listed, and `ticket revoke` failed.
#[tokio::test]
async fn a_damaged_ticket_is_listed_beside_the_others_and_can_be_revoked() {
    let test = TestSite::builder().file().build().await;
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": "ada" })).await;
    let bob = test.admin("person.create", json!({ "name": "bob" })).await;
    let mal = test.person("mal", "member").await;
    let (one, two) = (test.ticket("ada").await, test.ticket("ada").await);
    let of_bob = test.ticket("bob").await;
    let kind = "kind = 'devcie'";
    damage(&test, "enrolment_ticket", one.id, kind).await;
    let bob = bob["id"].as_str().unwrap();
    damage(&test, "account", bob, "state = 'lokced'").await;

    let (entries, damaged) = listed(&test, "ticket.list").await;
    let mut sound = [two.id.to_string(), of_bob.id.to_string()];
    sound.sort_unstable();
    assert_eq!(ids(&entries), sound);
    assert_eq!(
        damaged,
        [json!({
            "id": one.id,
            "person": "ada@example.org",
            "problem": "`devcie` is not a known value",
        })]
    );

    let phone = TestDevice::new();
    let enrol = async |token| phone.enrol(&test.site, token, "ada", test.now()).await;
    let refused = enrol(&one.token).await;
    let is_damaged = matches!(refused, Err(NotEnrolled::Store(StoreError::Damaged { .. })));
    assert!(is_damaged, "{refused:?}");
    let revoke = json!({ "id": one.id });
    let of_another = run(&test.site, &mal.caller, "ticket.revoke", revoke.clone());
    assert_eq!(of_another.await.0, Code::NOT_FOUND);
    test.admin("ticket.revoke", revoke.clone()).await;
    let (code, _) = test.refused("ticket.revoke", revoke).await;
    assert_eq!(code, Code::NOT_FOUND);
    assert_eq!(enrol(&one.token).await, Err(NotEnrolled::Refused));
    assert_eq!(listed(&test, "ticket.list").await, (entries, Vec::new()));
    assert!(enrol(&two.token).await.is_ok());

    // One that is over for a week goes with the next ticket, as others do.
    let old = test.ticket("ada").await;
    let change = format!("{kind}, expires = 0");
    damage(&test, "enrolment_ticket", old.id, &change).await;
    assert_eq!(listed(&test, "ticket.list").await.1.len(), 1);
    test.ticket("ada").await;
    assert_eq!(listed(&test, "ticket.list").await.1.len(), 0);
}

/// With one damaged row, or a token of a damaged account, no token was listed, and `token revoke` failed.
#[tokio::test]
async fn a_damaged_token_is_listed_beside_the_others_and_can_be_revoked() {
    let test = TestSite::builder().file().build().await;
    let mut services = Vec::new();
    for name in ["mailer", "press"] {
        let service = test.admin("service.create", json!({ "name": name }));
        services.push(service.await);
    }
    let mal = test.person("mal", "member").await;
    let create = async |service: &str| {
        let params = json!({ "service": service, "operations": ["self.show"] });
        test.admin("token.create", params).await
    };
    let (one, two) = (create("mailer").await, create("mailer").await);
    let of_press = create("press").await;
    let id = |token: &Value| token["id"].as_str().unwrap().to_owned();
    damage(&test, "access_token", id(&one), "operations = '['").await;
    damage(&test, "account", id(&services[1]), "state = 'lokced'").await;

    let (entries, damaged) = listed(&test, "token.list").await;
    let mut sound = [id(&two), id(&of_press)];
    sound.sort_unstable();
    assert_eq!(ids(&entries), sound);
    assert_eq!(ids(&damaged), [id(&one)]);
    assert_eq!(damaged[0]["account"], "mailer@example.org");
    let problem = damaged[0]["problem"].as_str().unwrap();
    assert!(problem.contains("EOF while parsing"), "{problem}");

    let caller = async |token: &Value| {
        let secret = AccessTokenSecret::parse(token["token"].as_str().unwrap()).unwrap();
        test.site.token_caller(&secret, test.now()).await
    };
    let refused = caller(&one).await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })));
    let revoke = json!({ "id": id(&one) });
    let of_another = run(&test.site, &mal.caller, "token.revoke", revoke.clone());
    assert_eq!(of_another.await.0, Code::NOT_FOUND);
    test.admin("token.revoke", revoke.clone()).await;
    let (code, _) = test.refused("token.revoke", revoke).await;
    assert_eq!(code, Code::NOT_FOUND);
    assert!(caller(&one).await.unwrap().is_none());
    assert_eq!(listed(&test, "token.list").await, (entries, Vec::new()));
    assert!(caller(&two).await.unwrap().is_some());

    // One that is over for a week goes with the next token, as others do.
    let old = create("mailer").await;
    let change = "operations = '[', expires = 0";
    damage(&test, "access_token", id(&old), change).await;
    assert_eq!(listed(&test, "token.list").await.1.len(), 1);
    create("mailer").await;
    assert_eq!(listed(&test, "token.list").await.1.len(), 0);
}
