//! The option `delivered-key` over sockets.

use countersign_client::{CallError, Client, ConnectError, Connector, LoginAs};
use countersign_crypto::certificate::Certificate;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file;
use countersign_proto::operation::Code;
use countersign_proto::risp::{self, Command, MaxLength, Reader, Value};
use countersign_proto::session::{EncryptionOption, Goodbye, LoginError, command as c};
use countersign_testkit::harness::{PASSPHRASE, ServedSite};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::operations::site;
use crate::proxy::Proxy;

const OPTION: EncryptionOption = EncryptionOption::DeliveredKey;

/// A site that offers the option and delivers Maria's key.
async fn served() -> (ServedSite, Identity) {
    let served = site().maria().serve().await;
    served
        .admin("option.floor", json!({ "floor": "delivered" }))
        .await;
    served
        .admin("option.enable", json!({ "name": OPTION.name() }))
        .await;
    let identity = Identity::generate(&mut SystemEntropy);
    let passphrase = PASSPHRASE.to_owned().into();
    let key = key_file::write_identity(&identity, Some(&passphrase), &mut SystemEntropy);
    let params = json!({
        "name": "maria",
        "certificate": identity.certificate().to_pem(),
        "key": key.expose(),
    });
    served.admin("person.deliver_key", params).await;
    (served, identity)
}

async fn maria(connector: &Connector, passphrase: &str) -> Result<Client, ConnectError> {
    let who = LoginAs::person("maria".parse().unwrap(), passphrase.to_owned().into());
    connector.connect(who).await
}

/// [SES-34] and [SES-35], in packets of every size. The delivered key is the stored one.
#[tokio::test]
async fn persons_and_services_log_in_with_delivered_keys() {
    let (served, identity) = served().await;
    for max_packet in [256, 65_536] {
        let connector = Connector::new(&served.uri)
            .accept([OPTION])
            .max_packet(max_packet);
        let client = maria(&connector, PASSPHRASE).await.unwrap();
        let me: Json = client.call("self", "show", &json!({})).await.unwrap();
        assert_eq!(me["name"], "maria@example.org");
        let delivered = client.delivered().unwrap();
        assert_eq!(delivered.certificate(), identity.certificate());
        assert!(client.renew_keys(None).await.unwrap());
        let robot = served.robot_by(&connector).await.unwrap();
        let listed: Json = robot.call("operation", "list", &json!({})).await.unwrap();
        assert!(!listed["operations"].as_array().unwrap().is_empty());
    }
}

/// [SES-36]
#[tokio::test]
async fn a_client_that_cannot_decrypt_the_key_gets_no_session() {
    let (served, _) = served().await;
    let connector = Connector::new(&served.uri).accept([OPTION]);
    let refused = |error: Option<ConnectError>| {
        matches!(
            error,
            Some(ConnectError::Login(LoginError::NotAuthenticated))
        )
    };
    assert!(refused(
        maria(&connector, "a wrong pass phrase").await.err()
    ));
    served
        .admin("person.lock", json!({ "name": "maria" }))
        .await;
    assert!(refused(maria(&connector, PASSPHRASE).await.err()));
    served
        .admin("person.unlock", json!({ "name": "maria" }))
        .await;
    served
        .admin("person.withdraw_key", json!({ "name": "maria" }))
        .await;
    assert!(refused(maria(&connector, PASSPHRASE).await.err()));
    served
        .admin("service.lock", json!({ "name": "robot" }))
        .await;
    assert!(refused(served.robot_by(&connector).await.err()));
    assert_eq!(served.site.sessions().count(), 0);
}

/// [SES-38]
#[tokio::test]
async fn a_man_in_the_middle_is_detected_before_the_pass_phrase_is_used() {
    let (served, _) = served().await;
    for command in [c::CERTIFICATE, c::SESSION_KEY, c::SITE_PROOF] {
        let proxy = Proxy::before(&served).await;
        proxy.change(command, Box::new(|value| value[40] ^= 1));
        let connector = Connector::new(&proxy.uri).accept([OPTION]);
        let error = maria(&connector, PASSPHRASE).await.err();
        assert!(matches!(
            error,
            Some(ConnectError::Login(LoginError::WrongSite))
        ));
    }
}

/// The reply to a client that gives a name or a thumbprint: each command with its value.
async fn answer_to(served: &ServedSite, who: (Command, &[u8])) -> Vec<(Command, Vec<u8>)> {
    let choice = [
        &served.site.options().id().0[..],
        &OPTION.id().to_be_bytes(),
    ]
    .concat();
    let mut flight = Vec::new();
    for (command, value) in [
        (c::OPTION_CHOICE, Value::Bytes(&choice)),
        (c::NONCE, Value::Bytes(&[7; 32])),
        (c::MAX_PACKET, Value::U32(65_536)),
        (who.0, Value::Bytes(who.1)),
    ] {
        risp::put(&mut flight, command, value).unwrap();
    }
    let address = served.server.session_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&flight).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let reply: Vec<(Command, Vec<u8>)> = Reader::new(&answer, &MaxLength(4_096))
            .map(Result::unwrap)
            .map(|(command, value)| match value {
                Value::Bytes(bytes) => (command, bytes.to_vec()),
                value => (command, format!("{value:?}").into_bytes()),
            })
            .collect();
        if reply.last().is_some_and(|(last, _)| *last == c::SITE_PROOF) {
            return reply;
        }
        assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0);
    }
}

/// [SES-36]: an unauthenticated client cannot learn from any number of replies whether an account has a
/// stored key.
#[tokio::test]
async fn a_name_without_a_key_gets_a_decoy_that_stays_the_same() {
    let (served, identity) = served().await;
    let lengths = |reply: &[(Command, Vec<u8>)]| -> Vec<(Command, usize)> {
        let lengths = reply.iter().map(|(command, value)| (*command, value.len()));
        lengths.collect()
    };
    let delivered = |reply: &[(Command, Vec<u8>)]| reply[0].1.clone();
    let maria = answer_to(&served, (c::USERNAME, b"maria")).await;
    let der = identity.certificate().der();
    assert_eq!(delivered(&maria)[2..2 + der.len()], *der);
    let mut decoy = Vec::new();
    for name in [&b"mario"[..], b"unknown@example.org", b"robot"] {
        let first = answer_to(&served, (c::USERNAME, name)).await;
        let second = answer_to(&served, (c::USERNAME, name)).await;
        assert_eq!(lengths(&first), lengths(&maria));
        assert_eq!(delivered(&first), delivered(&second));
        assert_ne!(first[1], second[1], "each reply has a fresh session key");
        // A valid certificate, as Maria's is.
        Certificate::from_der(&delivered(&first)[2..2 + der.len()]).unwrap();
        decoy.push(delivered(&first));
    }
    assert!(decoy[0] != decoy[1] && decoy[1] != decoy[2]);

    let known = served.robot.certificate().thumbprint().0;
    let robot = answer_to(&served, (c::CERTIFICATE_ID, &known)).await;
    let decoy = answer_to(&served, (c::CERTIFICATE_ID, &[9; 32])).await;
    assert_eq!(lengths(&robot), lengths(&decoy));
}

#[tokio::test]
async fn a_withdrawn_key_ends_its_sessions() {
    let (served, _) = served().await;
    let connector = Connector::new(&served.uri).accept([OPTION]);
    let by_key = maria(&connector, PASSPHRASE).await.unwrap();
    let by_passphrase = served.maria().await;
    served
        .admin("person.withdraw_key", json!({ "name": "maria" }))
        .await;
    let ended = by_key.call::<_, Json>("self", "show", &json!({})).await;
    // Lost, if GOODBYE arrived before the call.
    let cut = matches!(ended, Err(CallError::Ended(Goodbye::KeyRevoked)));
    assert!(cut, "{ended:?}");
    let _: Json = by_passphrase
        .call("self", "show", &json!({}))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_new_pass_phrase_withdraws_the_old_key() {
    let (served, _) = served().await;
    served.set_passphrase("maria", "another pass phrase").await;
    let connector = Connector::new(&served.uri).accept([OPTION]);
    assert!(maria(&connector, PASSPHRASE).await.is_err());
}

#[tokio::test]
async fn only_a_key_with_strong_encryption_is_stored() {
    let (served, identity) = served().await;
    let plain = key_file::write_identity(&identity, None, &mut SystemEntropy);
    let params = json!({
        "name": "maria",
        "certificate": identity.certificate().to_pem(),
        "key": plain.expose(),
    });
    let (code, problem) = served.refused("person.deliver_key", params).await;
    assert_eq!(code, Code::INVALID_PARAMS);
    assert!(problem.to_string().contains("not encrypted"));
}
