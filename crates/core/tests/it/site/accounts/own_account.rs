//! What an account reads of itself: from memory, and as it is at that moment.

use countersign_core::access::Caller;
use countersign_core::access_tokens::AccessTokenSecret;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, certificate, run};
use serde_json::{Value, json};

use super::proof::{PHRASE, make_proof, person};

async fn own(test: &TestSite, caller: &Caller) -> Value {
    let (code, shown) = run(&test.site, caller, "self.show", json!({})).await;
    assert_eq!(code, Code::SUCCESS, "{shown}");
    shown
}

/// The caller of a token, if it is valid.
async fn caller(test: &TestSite, created: &Value) -> Option<Caller> {
    let secret = AccessTokenSecret::parse(created["token"].as_str().unwrap()).unwrap();
    test.site.token_caller(&secret, NOW).await.unwrap()
}

/// What both views of an account have.
fn common(mut shown: Value) -> Value {
    let fields = shown.as_object_mut().unwrap();
    fields.retain(|name, _| {
        [
            "id",
            "name",
            "role",
            "state",
            "full_name",
            "email",
            "emails",
            "attributes",
            "revision",
            "changed",
            "etag",
            "keys",
        ]
        .contains(&name.as_str())
    });
    shown
}

#[tokio::test]
async fn a_person_reads_each_change_of_their_account_at_once() {
    let test = TestSite::new().await;
    let maria = person(&test, "maria", "member").await;
    let mut before = own(&test, &maria.caller).await;
    for (operation, change) in [
        ("person.update", json!({ "full_name": "Maria Lind" })),
        ("person.update", json!({ "email": "maria@example.org" })),
        (
            "person.set_data",
            json!({ "emails": ["m.lind@example.com"] }),
        ),
        ("person.set_data", json!({ "attributes": { "room": "12" } })),
        ("person.set_data", json!({ "attributes": { "room": null } })),
    ] {
        let mut params = change.clone();
        params["name"] = "maria".into();
        test.admin(operation, params).await;
        let after = own(&test, &maria.caller).await;
        assert_ne!(after, before, "{change}");
        // The view of an admin is not from memory.
        let shown = test.admin("person.show", json!({ "name": "maria" })).await;
        let mut shown = common(shown);
        shown["keys"] = json!([]);
        assert_eq!(common(after.clone()), shown, "{change}");
        before = after;
    }
}

#[tokio::test]
async fn a_service_reads_its_keys_as_they_are() {
    let test = TestSite::new().await;
    test.admin("service.create", json!({ "name": "mailer" }))
        .await;
    let params = json!({ "service": "mailer", "operations": ["self.show"] });
    let token = test.admin("token.create", params).await;
    let mailer = caller(&test, &token).await.unwrap();
    assert_eq!(own(&test, &mailer).await["keys"], json!([]));
    let (pem, thumbprint) = certificate();
    let key = json!({ "name": "mailer", "certificate": pem });
    test.admin("key.add", key).await;
    let keys = own(&test, &mailer).await["keys"].clone();
    assert_eq!(keys[0]["thumbprint"], json!(thumbprint.to_string()));
    let key = json!({ "name": "mailer", "thumbprint": thumbprint.to_string() });
    test.admin("key.revoke", key).await;
    let mailer = caller(&test, &token).await.unwrap();
    assert_eq!(own(&test, &mailer).await["keys"], json!([]));
}

/// Another account that has the name later, another role and a lock each show at the next request.
#[tokio::test]
async fn what_is_in_memory_outlives_no_role_no_lock_and_no_account() {
    let test = TestSite::new().await;
    person(&test, "root", "admin").await;
    let maria = person(&test, "maria", "member").await;
    make_proof(&test.site, &maria, PHRASE, NOW).await;
    let params = json!({ "operations": ["self.show"] });
    let (code, token) = run(&test.site, &maria.caller, "token.create", params).await;
    assert_eq!(code, Code::SUCCESS, "{token}");
    let held = caller(&test, &token).await.unwrap();
    let first = own(&test, &held).await;
    assert_eq!(first["role"], "member");

    let name = json!({ "name": "maria" });
    let refused = async |held: &Caller| {
        let (code, shown) = run(&test.site, held, "self.show", json!({})).await;
        assert_eq!(code, Code::NOT_PERMITTED, "{shown}");
    };
    let role = json!({ "name": "maria", "role": "admin" });
    test.admin("person.update", role).await;
    refused(&held).await;
    let held = caller(&test, &token).await.unwrap();
    assert_eq!(own(&test, &held).await["role"], "admin");

    test.admin("person.lock", name.clone()).await;
    refused(&held).await;
    assert!(caller(&test, &token).await.is_none());
    test.admin("person.unlock", name.clone()).await;
    let held = caller(&test, &token).await.unwrap();
    let unlocked = own(&test, &held).await;
    assert_eq!(unlocked["state"], "active");
    assert_ne!(unlocked["etag"], first["etag"]);

    test.admin("person.delete", name).await;
    refused(&held).await;
    assert!(caller(&test, &token).await.is_none());
    let again = person(&test, "maria", "member").await;
    let again = own(&test, &again.caller).await;
    assert_eq!(again["name"], first["name"]);
    assert_ne!(again["id"], first["id"]);
    assert_eq!(again["role"], "member");
}
