//! Encryption options over real sockets.

use std::time::Duration;

use countersign_client::{Client, ConnectError, Connector, Who};
use countersign_proto::risp::Command;
use countersign_proto::session::{EncryptionOption, LoginError, command as c};
use serde_json::{Value, json};

use crate::founded::{Founded, PASSPHRASE};
use crate::proxy::{Change, Proxy};

async fn option_in_use(founded: &Founded, client: &Client) -> String {
    let id = client.welcome().session.0;
    let list = founded.admin("session", "list", json!({})).await;
    let sessions = list["entries"].as_array().unwrap();
    let id = uuid::Uuid::from_bytes(id).to_string();
    let session = sessions.iter().find(|session| session["id"] == id.as_str());
    session.unwrap()["option"].as_str().unwrap().to_owned()
}

/// [SES-30]: a client that knows the old list is corrected; nothing was restarted; what is open goes on.
#[tokio::test]
async fn a_change_holds_for_new_sessions_at_once() {
    let founded = Founded::new().await;
    let connector = Connector::new(&founded.uri);
    let before = founded.service_by(&connector).await.unwrap();
    assert_eq!(option_in_use(&founded, &before).await, "hybrid-aes256gcm");

    founded
        .admin("option", "disable", json!({ "name": "hybrid-aes256gcm" }))
        .await;
    let after = founded.service_by(&connector).await.unwrap();
    assert_eq!(
        option_in_use(&founded, &after).await,
        "hybrid-chacha20poly1305"
    );
    let _: Value = before.call("self", "show", &json!({})).await.unwrap();

    let only = connector.accept([EncryptionOption::HybridAes256Gcm]);
    let refused = founded.service_by(&only).await.err();
    assert!(matches!(
        refused,
        Some(ConnectError::Login(LoginError::NoCommonOption(_)))
    ));
}

/// Every option, for both kinds of account.
#[tokio::test]
async fn everybody_logs_in_with_each_option() {
    let founded = Founded::with_person().await;
    for option in EncryptionOption::FORWARD_SECRET {
        if option.strength() == countersign_proto::session::Strength::Classical {
            founded
                .admin("option", "enable", json!({ "name": option.name() }))
                .await;
        }
        let connector = Connector::new(&founded.uri).accept([option]);
        let robot = founded.service_by(&connector).await.unwrap();
        assert_eq!(option_in_use(&founded, &robot).await, option.name());
        let who = Who::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
        let maria = connector.connect(who).await.unwrap();
        assert_eq!(option_in_use(&founded, &maria).await, option.name());
    }
}

/// [SES-31] and [SES-6]: whoever edits, reorders or repeats the list or the choice in between is found
/// out, by people and by services, and nothing secret was sent.
#[tokio::test]
async fn a_man_in_the_middle_cannot_choose_the_option() {
    let founded = Founded::with_person().await;
    founded
        .admin("option", "enable", json!({ "name": "x25519-aes128gcm" }))
        .await;
    let recorded = {
        let proxy = Proxy::before(&founded).await;
        let seen = proxy.record(c::OPTIONS);
        // The default list that a client knows is not the site's any more: it is told.
        founded
            .service_by(&Connector::new(&proxy.uri))
            .await
            .unwrap();
        seen.lock().unwrap().clone()
    };
    founded
        .admin(
            "option",
            "disable",
            json!({ "name": "hybrid-chacha20poly1305" }),
        )
        .await;

    let weaker = EncryptionOption::X25519Aes128Gcm;
    let weak_first = countersign_proto::session::OptionList::new([weaker]);
    let swap = |value: &mut Vec<u8>| {
        let last = value.len() - 2;
        value.swap(8, last);
        value.swap(9, last + 1);
    };
    let name_weaker = move |value: &mut Vec<u8>| {
        let id = weaker.id().to_be_bytes();
        let at = value.len() - 2;
        value[at..].copy_from_slice(&id);
    };
    let replace = {
        let list = weak_first.wire();
        move |value: &mut Vec<u8>| value.clone_from(&list)
    };
    let replay = move |value: &mut Vec<u8>| value.clone_from(&recorded);
    let drop_last = |value: &mut Vec<u8>| value.truncate(value.len() - 2);
    let changes: [(Command, Change); 5] = [
        (c::OPTIONS, Box::new(swap)),
        (c::OPTIONS, Box::new(replace)),
        (c::OPTIONS, Box::new(replay)),
        (c::OPTIONS, Box::new(drop_last)),
        (c::OPTION_CHOICE, Box::new(name_weaker)),
    ];
    for (at, (command, change)) in changes.into_iter().enumerate() {
        let proxy = Proxy::before(&founded).await;
        proxy.change(command, change);
        let connector = Connector::new(&proxy.uri)
            .accept(EncryptionOption::FORWARD_SECRET)
            .patience(Duration::from_secs(5));
        let robot = founded.service_by(&connector).await;
        assert!(robot.is_err(), "a service, change {at}");
        let who = Who::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
        assert!(
            connector.connect(who).await.is_err(),
            "a person, change {at}"
        );
    }
    assert_eq!(founded.site.sessions().count(), 0);
}
