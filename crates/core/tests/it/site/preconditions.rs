//! The parameter `if_match`: an operation is carried out only if its object is the one that the caller read.

use countersign_core::access::Caller;
use countersign_core::operations;
use countersign_proto::operation::{Code, Operation};
use countersign_testkit::harness::{NOW, TestSite, run};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Two admins edited one person in the console, and the second one took back what the first had changed: only a
/// request over HTTP could say what it had read.
// OPS-14
#[tokio::test]
async fn an_operation_names_the_entity_tag_that_it_expects_on_every_channel() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    let shown = test.admin("person.show", json!({ "name": "maria" })).await;
    let local = Caller::admin_socket();
    let update = async |tag: Value| {
        let params = json!({ "name": "maria", "full_name": tag, "if_match": tag });
        let (code, data) = run(&test.site, &local, "person.update", params).await;
        (code, data["code"].as_str().map(str::to_owned))
    };
    assert_eq!(update(shown["etag"].clone()).await, (Code::SUCCESS, None));
    let failed = Some("precondition_failed".to_owned());
    assert_eq!(
        update(shown["etag"].clone()).await,
        (Code::CONFLICT, failed.clone())
    );
    assert_eq!(update(json!("*")).await, (Code::CONFLICT, failed));
    let invalid = (Code::INVALID_PARAMS, Some("invalid_params".to_owned()));
    assert_eq!(update(json!(7)).await, invalid);

    let twice = r#"{"name":"maria","if_match":"a","full_name":"M","if_match":"b"}"#;
    let twice = Operation {
        id: 1,
        group: "person".into(),
        command: "update".into(),
        params: RawValue::from_string(twice.into()).unwrap(),
    };
    let refused = test.site.run(&local, &twice, NOW).await;
    assert_eq!(refused.code, Code::INVALID_PARAMS);
    let now = test.admin("person.show", json!({ "name": "maria" })).await;
    assert_eq!(now["full_name"], shown["etag"]);
    let none = json!({ "name": "maria", "full_name": "Maria", "if_match": null });
    test.admin("person.update", none).await;
}

// OPS-14
#[tokio::test]
async fn operations_on_objects_with_a_revision_and_no_others_take_an_entity_tag() {
    let test = TestSite::new().await;
    let local = Caller::admin_socket();
    for entry in operations::table().unwrap().entries() {
        let described = entry.params().pointer("/properties/if_match").is_some();
        assert_eq!(described, entry.is_revised(), "{}", entry.name());
        if entry.is_revised() {
            let mut params = entry.example().clone();
            params["if_match"] = "of-another-object-7".into();
            let (code, refused) = run(&test.site, &local, entry.name(), params).await;
            assert_ne!(code, Code::SUCCESS, "{}", entry.name());
            assert_ne!(refused["field"], "if_match", "{}", entry.name());
        }
    }
    let params = json!({ "name": "maria", "if_match": "a-1" });
    let (code, _) = run(&test.site, &local, "person.create", params).await;
    assert_eq!(code, Code::INVALID_PARAMS);
}
