//! Logins over TCP.

use countersign_client::{CallError, Client, ConnectError, Connector, CredentialError, LoginAs};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::secret::{Passphrase, Secret};
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::operation::Code;
use countersign_proto::session::LoginError;
use countersign_proto::uri::SiteUri;
use countersign_testkit::harness::PASSPHRASE;
use serde_json::{Value, json};

use crate::operations::site;
use crate::sessions::raw::Raw;

#[tokio::test]
async fn a_person_logs_in_and_runs_operations() {
    let served = site().maria().serve().await;
    let client = served.maria().await;
    assert_eq!(client.welcome().account, "maria@example.org");
    assert!(client.identity().is_some());
    let me: Value = client.call("self", "show", &json!({})).await.unwrap();
    assert_eq!(me["name"], "maria@example.org");
    let persons: Value = client.call("person", "list", &json!({})).await.unwrap();
    assert_eq!(
        persons["entries"][0]["name"], "maria@example.org",
        "{persons}"
    );
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_service_logs_in_with_any_limit_of_packets() {
    let served = site().serve().await;
    for max_packet in [256, 1_000, 65_536] {
        let connector = Connector::new(&served.uri).max_packet(max_packet);
        let client = connector
            .connect(LoginAs::Service(served.robot.clone()))
            .await
            .unwrap();
        let operations: Value = client.call("operation", "list", &json!({})).await.unwrap();
        assert!(operations.to_string().len() > 1_000);
        client.close().await.unwrap();
    }
}

/// A login that began with the old pass phrase and completed after the change got a session.
#[tokio::test]
async fn a_login_that_began_before_the_pass_phrase_changed_gets_no_session() {
    let served = site().maria().serve().await;
    let changed = served.set_passphrase("maria", "another pass phrase");
    let late = Raw::try_person(&served, changed).await;
    assert!(matches!(late, Err(LoginError::NotAuthenticated)));
    assert_eq!(served.site.sessions().count(), 0);
    assert!(served.log_in("maria", "another pass phrase").await.is_ok());
}

#[tokio::test]
async fn wrong_pass_phrase_unknown_name_and_locked_account_get_the_same_refusal() {
    let served = site().maria().serve().await;
    served
        .admin("person.create", json!({ "name": "locked" }))
        .await;
    served.set_passphrase("locked", PASSPHRASE).await;
    served
        .admin("person.lock", json!({ "name": "locked" }))
        .await;
    served
        .admin("person.create", json!({ "name": "new" }))
        .await;
    let attempts = [
        ("maria", "a wrong pass phrase"),
        ("unknown", PASSPHRASE),
        ("locked", PASSPHRASE),
        ("new", PASSPHRASE),
    ];
    for (name, text) in attempts {
        let refused = served.log_in(name, text).await.err();
        assert!(
            matches!(
                refused,
                Some(ConnectError::Login(LoginError::NotAuthenticated))
            ),
            "{name}: {refused:?}"
        );
    }
    let unknown = LoginAs::service(Identity::generate(&mut SystemEntropy));
    let refused = Client::connect(&served.uri, unknown).await.err();
    assert!(matches!(
        refused,
        Some(ConnectError::Login(LoginError::NotAuthenticated))
    ));
}

#[tokio::test]
async fn a_wrong_site_key_warns_both_kinds_of_accounts() {
    let served = site().maria().serve().await;
    let other = SiteKey::from_seed(SiteSeed(Secret::from_bytes([9; 32]))).public();
    let address = served.server.session_address().unwrap();
    let uri = SiteUri::new("127.0.0.1", address.port(), other).unwrap();
    let person = LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
    for who in [person, LoginAs::Service(served.robot.clone())] {
        let refused = Client::connect(&uri, who).await.err();
        let wrong = matches!(refused, Some(ConnectError::Login(LoginError::WrongSite)));
        assert!(wrong, "{refused:?}");
    }
}

#[tokio::test]
async fn a_sealed_site_says_so_and_is_unsealed_with_its_slot() {
    let served = site().serve().await.restart().await;
    let refused = served.try_robot().await.err();
    assert!(
        matches!(refused, Some(ConnectError::Login(LoginError::Sealed))),
        "{refused:?}"
    );
    served.unseal().await;
    served.robot().await.close().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn a_person_changes_their_own_pass_phrase() {
    let served = site().maria().serve().await;
    let (client, other) = (served.maria().await, served.maria().await);
    let [present, new, wrong]: [Passphrase; 3] = [
        PASSPHRASE,
        "another long pass phrase",
        "a wrong pass phrase",
    ]
    .map(|text| text.to_owned().into());
    let refused = client.change_passphrase(&wrong, &new).await;
    assert!(
        matches!(refused, Err(CredentialError::WrongPassphrase)),
        "{refused:?}"
    );
    let changed = client.change_passphrase(&present, &new).await.unwrap();
    assert_eq!(changed.sessions_ended, 1);

    let refused = other.call::<_, Value>("self", "show", &json!({})).await;
    assert!(
        matches!(refused, Err(CallError::Ended(_) | CallError::Lost)),
        "the other sessions were ended"
    );
    assert!(
        client
            .call::<_, Value>("self", "show", &json!({}))
            .await
            .is_ok()
    );
    assert!(served.log_in("maria", PASSPHRASE).await.is_err());
    let again = served.log_in("maria", "another long pass phrase").await;
    let again = again.unwrap();
    let certificates = [&client, &again].map(|client| client.identity().unwrap().certificate());
    assert_eq!(
        certificates[0], certificates[1],
        "the person's key is unchanged"
    );
}

#[tokio::test]
async fn an_unknown_operation_and_wrong_params_get_an_error_and_the_session_continues() {
    let served = site().serve().await;
    let client = served.robot().await;
    let unknown = client.call::<_, Value>("self", "shwo", &json!({})).await;
    assert!(
        matches!(&unknown, Err(CallError::Failed { code: Code::UNKNOWN_OPERATION, problem: Some(problem) })
        if problem.hint.as_deref().is_some_and(|hint| hint.contains("`show`"))),
        "{unknown:?}"
    );
    let wrong = client
        .call::<_, Value>("test", "wait", &json!({ "milliseconds": "soon" }))
        .await;
    assert!(
        matches!(&wrong, Err(CallError::Failed { code: Code::INVALID_PARAMS, problem: Some(problem) })
        if problem.field.as_deref() == Some("milliseconds")),
        "{wrong:?}"
    );
    let refused = client.call::<_, Value>("person", "list", &json!({})).await;
    assert!(matches!(
        refused,
        Err(CallError::Failed {
            code: Code::NOT_PERMITTED,
            ..
        })
    ));
    assert!(
        client
            .call::<_, Value>("self", "show", &json!({}))
            .await
            .is_ok()
    );
}
