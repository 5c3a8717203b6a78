//! A new OPAQUE server setup, new keys of the broker, and sealing, while clients use the site.

use countersign_client::{CallError, CredentialError};
use countersign_crypto::secret::Passphrase;
use countersign_http_auth::Site;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{PASSPHRASE, TestSite};
use serde_json::{Value, json};

fn passphrase() -> Passphrase {
    PASSPHRASE.to_owned().into()
}

/// The numbers of pass phrases under each setup, newest first.
async fn persons(served: &TestSite) -> Vec<u64> {
    let status = served.admin("site.setup_status", json!({})).await;
    let setups = status["setups"].as_array().unwrap();
    let persons = setups.iter().map(|setup| setup["persons"].as_u64());
    persons.map(Option::unwrap).collect()
}

// OPS-11
#[tokio::test]
async fn a_pass_phrase_moves_to_a_new_setup_at_a_login_and_the_old_one_is_retired() {
    let served = TestSite::builder().maria().person("ada", "member");
    let served = served.serve().await;
    let before = served.maria().await;
    assert!(!before.renew_passphrase(&passphrase()).await.unwrap());
    served.admin("site.setup_new", json!({})).await;
    assert_eq!(persons(&served).await, [0, 2]);

    let client = served.maria().await;
    assert!(client.renew_passphrase(&passphrase()).await.unwrap());
    assert!(!client.renew_passphrase(&passphrase()).await.unwrap());
    assert_eq!(persons(&served).await, [1, 1]);
    // No session ended.
    for client in [&before, &client] {
        let _: Value = client.call("self", "show", &json!({})).await.unwrap();
    }

    let (code, data) = served.refused("site.setup_retire", json!({})).await;
    assert_eq!(code, Code::CONFLICT, "ada is left behind: {data}");
    let params = json!({ "with_pass_phrases": true });
    let retired = served.admin("site.setup_retire", params).await;
    assert_eq!(retired["left_behind"], json!(["ada@example.org"]));
    served.maria().await;
    assert!(served.log_in("ada", PASSPHRASE).await.is_err());
}

// OPS-11
#[tokio::test]
async fn a_renewal_needs_a_fresh_proof_and_an_older_setup() {
    let served = TestSite::builder().maria().serve().await;
    served.admin("site.setup_new", json!({})).await;
    let client = served.maria().await;
    // A thief of the session does not know the pass phrase.
    let guess = "another long pass phrase".to_owned().into();
    let stolen = client.renew_passphrase(&guess).await;
    assert!(matches!(stolen, Err(CredentialError::WrongPassphrase)));
    let finish = json!({
        "setup": "", "binding": "", "record": "", "sealed_identity": "", "renewal": true,
    });
    let result: Result<Value, CallError> = client.call("self", "passphrase_finish", &finish).await;
    assert!(result.is_err());
    assert_eq!(persons(&served).await, [0, 1]);
    assert!(client.renew_passphrase(&passphrase()).await.unwrap());
    let shown: Value = client.call("self", "show", &json!({})).await.unwrap();
    assert!(shown.get("renew_passphrase").is_none(), "{shown}");
}

// BRK-14
#[tokio::test]
async fn an_application_that_pinned_the_first_site_key_follows_to_the_present_one() {
    let served = TestSite::builder().serve().await;
    let first = served.site.public_key();
    let http = served.site.endpoints().http.unwrap();
    let url: http::Uri = format!("http://{http}").parse().unwrap();
    let known = Site::first_contact(url.clone(), &first)
        .await
        .unwrap()
        .known;
    let file = json!({ "slot_file": served.slot.to_text().expose() });
    for _ in 0..3 {
        let params = json!({ "secrets": [file], "slots": [file] });
        served.admin("site.key_new", params).await;
    }
    served.admin("broker.key_new", json!({})).await;
    let again = Site::ask_again(url.clone(), &known).await.unwrap();
    assert_eq!(again.known.newest().event().number, 3);
    let site = Site::ask(url, &first).await.unwrap();
    assert_eq!((site.id.as_str(), site.keys.len()), ("example.org", 2));
}

#[tokio::test]
async fn sealing_ends_sessions_and_refuses_logins_until_the_site_is_unsealed() {
    let served = TestSite::builder().serve().await;
    let client = served.robot().await;
    let sealed = served.admin("site.seal", json!({})).await;
    assert_eq!(sealed["sessions_ended"], 1);
    let shown: Result<Value, CallError> = client.call("self", "show", &json!({})).await;
    assert!(shown.is_err());
    assert!(served.try_robot().await.is_err());
    served.unseal().await;
    served.robot().await;
}
