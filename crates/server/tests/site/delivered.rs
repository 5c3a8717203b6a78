//! The option `delivered-key` over real sockets. Rules named: SES-34, SES-35, SES-36, SES-38.

use countersign_client::{Client, ConnectError, Connector, Who};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file;
use countersign_proto::operation::Code;
use countersign_proto::session::{EncryptionOption, LoginError, command as c};
use serde_json::{Value, json};

use crate::founded::{Founded, PASSPHRASE};
use crate::proxy::Proxy;

const OPTION: EncryptionOption = EncryptionOption::DeliveredKey;

/// A site that offers the option, and delivers a key of Maria's.
async fn founded() -> (Founded, Identity) {
    let founded = Founded::with_person().await;
    founded
        .admin("option", "floor", json!({ "floor": "delivered" }))
        .await;
    founded
        .admin("option", "enable", json!({ "name": OPTION.name() }))
        .await;
    let identity = Identity::generate(&mut SystemEntropy);
    let passphrase = PASSPHRASE.to_owned().into();
    let key = key_file::write_identity(&identity, Some(&passphrase), &mut SystemEntropy);
    let params = json!({
        "name": "maria",
        "certificate": identity.certificate().to_pem(),
        "key": key.expose(),
    });
    founded.admin("person", "deliver_key", params).await;
    (founded, identity)
}

async fn maria(connector: &Connector, passphrase: &str) -> Result<Client, ConnectError> {
    let who = Who::person("maria".parse().unwrap(), passphrase.to_owned().into());
    connector.connect(who).await
}

/// [SES-34] and [SES-35], in packets of every size; the key that is delivered is the one that was given.
#[tokio::test]
async fn people_and_services_log_in_with_delivered_keys() {
    let (founded, identity) = founded().await;
    for max_packet in [256, 65_536] {
        let connector = Connector::new(&founded.uri)
            .accept([OPTION])
            .max_packet(max_packet);
        let client = maria(&connector, PASSPHRASE).await.unwrap();
        let me: Value = client.call("self", "show", &json!({})).await.unwrap();
        assert_eq!(me["name"], "maria@example.org");
        let delivered = client.delivered().unwrap();
        assert_eq!(delivered.certificate(), identity.certificate());
        assert!(client.renew_keys(None).await.unwrap());
        let robot = founded.service_by(&connector).await.unwrap();
        let listed: Value = robot.call("operation", "list", &json!({})).await.unwrap();
        assert!(!listed["operations"].as_array().unwrap().is_empty());
    }
}

/// [SES-36]
#[tokio::test]
async fn who_cannot_open_the_key_gets_no_session() {
    let (founded, _) = founded().await;
    let connector = Connector::new(&founded.uri).accept([OPTION]);
    let refused = |error: Option<ConnectError>| {
        matches!(
            error,
            Some(ConnectError::Login(LoginError::NotAuthenticated))
        )
    };
    assert!(refused(maria(&connector, "a guess").await.err()));
    founded
        .admin("person", "lock", json!({ "name": "maria" }))
        .await;
    assert!(refused(maria(&connector, PASSPHRASE).await.err()));
    founded
        .admin("person", "unlock", json!({ "name": "maria" }))
        .await;
    founded
        .admin("person", "withdraw_key", json!({ "name": "maria" }))
        .await;
    assert!(refused(maria(&connector, PASSPHRASE).await.err()));
    founded
        .admin("service", "lock", json!({ "name": "robot" }))
        .await;
    assert!(refused(founded.service_by(&connector).await.err()));
    assert_eq!(founded.site.sessions().count(), 0);
}

/// [SES-38]
#[tokio::test]
async fn a_man_in_the_middle_is_found_out_before_the_pass_phrase_is_used() {
    let (founded, _) = founded().await;
    for command in [c::CERTIFICATE, c::SESSION_KEY, c::SITE_PROOF] {
        let proxy = Proxy::before(&founded).await;
        proxy.change(command, Box::new(|value| value[40] ^= 1));
        let connector = Connector::new(&proxy.uri).accept([OPTION]);
        let error = maria(&connector, PASSPHRASE).await.err();
        assert!(matches!(
            error,
            Some(ConnectError::Login(LoginError::WrongSite))
        ));
    }
}

#[tokio::test]
async fn a_new_pass_phrase_withdraws_the_old_key() {
    let (founded, _) = founded().await;
    founded.set_passphrase("maria", "another pass phrase").await;
    let connector = Connector::new(&founded.uri).accept([OPTION]);
    assert!(maria(&connector, PASSPHRASE).await.is_err());
}

#[tokio::test]
async fn only_a_key_that_is_encrypted_well_enough_is_kept() {
    let (founded, identity) = founded().await;
    let plain = key_file::write_identity(&identity, None, &mut SystemEntropy);
    let params = json!({
        "name": "maria",
        "certificate": identity.certificate().to_pem(),
        "key": plain.expose(),
    });
    let refused = founded.try_admin("person", "deliver_key", params).await;
    assert_eq!(refused.code, Code::INVALID_PARAMS);
    assert!(refused.data.get().contains("not encrypted"));
}
