//! Encryption options over sockets.

use std::sync::Mutex;
use std::time::Duration;

use countersign_client::{Client, ConnectError, Connector, LoginAs};
use countersign_proto::risp::Command;
use countersign_proto::session::{
    EncryptionOption, LoginError, OptionList, WireError, command as c,
};
use countersign_testkit::harness::{PASSPHRASE, ServedSite};
use serde_json::{Value, json};

use crate::operations::site;
use crate::proxy::{Change, Proxy};

async fn option_in_use(served: &ServedSite, client: &Client) -> String {
    let id = client.welcome().session.0;
    let list = served.admin("session.list", json!({})).await;
    let sessions = list["entries"].as_array().unwrap();
    let id = uuid::Uuid::from_bytes(id).to_string();
    let session = sessions.iter().find(|session| session["id"] == id.as_str());
    session.unwrap()["option"].as_str().unwrap().to_owned()
}

/// [SES-30]: a client with the old list gets the new one without a restart, and open sessions continue.
#[tokio::test]
async fn a_change_applies_to_new_sessions_immediately() {
    let served = site().serve().await;
    let connector = Connector::new(&served.uri);
    let before = served.robot_by(&connector).await.unwrap();
    assert_eq!(option_in_use(&served, &before).await, "hybrid-aes256gcm");

    served
        .admin("option.disable", json!({ "name": "hybrid-aes256gcm" }))
        .await;
    let after = served.robot_by(&connector).await.unwrap();
    assert_eq!(
        option_in_use(&served, &after).await,
        "hybrid-chacha20poly1305"
    );
    let _: Value = before.call("self", "show", &json!({})).await.unwrap();

    let only = connector.accept([EncryptionOption::HybridAes256Gcm]);
    let refused = served.robot_by(&only).await.err();
    assert!(matches!(
        refused,
        Some(ConnectError::Login(LoginError::NoCommonOption(_)))
    ));
}

/// Every option, for both kinds of account.
#[tokio::test]
async fn both_kinds_of_accounts_log_in_with_each_option() {
    let served = site().maria().serve().await;
    for option in EncryptionOption::FORWARD_SECRET {
        if option.strength() == countersign_proto::session::Strength::Classical {
            served
                .admin("option.enable", json!({ "name": option.name() }))
                .await;
        }
        let connector = Connector::new(&served.uri).accept([option]);
        let robot = served.robot_by(&connector).await.unwrap();
        assert_eq!(option_in_use(&served, &robot).await, option.name());
        let who = LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
        let maria = connector.connect(who).await.unwrap();
        assert_eq!(option_in_use(&served, &maria).await, option.name());
    }
}

/// Logs maria in.
async fn maria_by(connector: &Connector) -> Result<Client, ConnectError> {
    let who = LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
    connector.connect(who).await
}

/// The list that the site sends to a service with another list, and the SESSION-PROOF of a person.
async fn overheard(served: &ServedSite) -> (Vec<u8>, Vec<u8>) {
    let proxy = Proxy::before(served).await;
    let (list, proof) = (proxy.record(c::OPTIONS), proxy.record(c::SESSION_PROOF));
    let connector = Connector::new(&proxy.uri);
    let robot = served.robot_by(&connector).await.unwrap();
    robot.close().await.unwrap();
    let maria = maria_by(&connector).await.unwrap();
    maria.close().await.unwrap();
    let recorded = |record: &Mutex<Vec<u8>>| record.lock().unwrap().clone();
    (recorded(&list), recorded(&proof))
}

/// A man in the middle who changes the options, and the errors of a service and a person.
struct Mallory {
    does: &'static str,
    changes: Vec<(Command, Change)>,
    service: LoginError,
    person: LoginError,
}

impl Mallory {
    /// An attack that both kinds of accounts detect with the same error.
    fn new(does: &'static str, changes: Vec<(Command, Change)>, error: &LoginError) -> Self {
        Self {
            does,
            changes,
            service: error.clone(),
            person: error.clone(),
        }
    }
}

/// Replaces the site's list by this one, and the id of this list in the client's choice by the site's.
fn translated(list: &OptionList, site: &[u8]) -> Vec<(Command, Change)> {
    let (wire, ours) = (list.wire(), list.id().0);
    let theirs: [u8; 8] = site[..8].try_into().unwrap();
    let give = move |value: &mut Vec<u8>| value.clone_from(&wire);
    let translate = move |value: &mut Vec<u8>| {
        if value[..8] == ours {
            value[..8].copy_from_slice(&theirs);
        }
    };
    vec![
        (c::OPTIONS, Box::new(give)),
        (c::OPTION_CHOICE, Box::new(translate)),
    ]
}

/// [SES-31] and [SES-6]: persons and services detect a man in the middle who edits, reorders, repeats or replaces
/// the list or the choice, before they send anything that depends on a pass phrase.
#[tokio::test]
async fn a_man_in_the_middle_cannot_choose_the_option() {
    let served = site().maria().serve().await;
    let weaker = EncryptionOption::X25519Aes128Gcm;
    for (change, option) in [
        ("option.enable", weaker.name()),
        ("option.disable", "hybrid-chacha20poly1305"),
    ] {
        served.admin(change, json!({ "name": option })).await;
    }
    let (list, proof) = overheard(&served).await;
    assert_eq!(proof.len(), 64, "the proxy records a proof that is sent");
    let name = json!({ "name": "x25519-aes256gcm" });
    served.admin("option.enable", name.clone()).await;
    let (earlier, _) = overheard(&served).await;
    served.admin("option.disable", name).await;
    assert_ne!(earlier, list);

    let swap = |value: &mut Vec<u8>| {
        let last = value.len() - 2;
        value.swap(8, last);
        value.swap(9, last + 1);
    };
    let repeat_last = |value: &mut Vec<u8>| value.extend_from_within(value.len() - 2..);
    let drop_last = |value: &mut Vec<u8>| value.truncate(value.len() - 2);
    let replay = move |value: &mut Vec<u8>| value.clone_from(&earlier);
    let name_weaker = move |value: &mut Vec<u8>| {
        let at = value.len() - 2;
        value[at..].copy_from_slice(&weaker.id().to_be_bytes());
    };
    let weak_alone = OptionList::new([weaker]);
    let weak_first = OptionList::new([weaker, EncryptionOption::HybridAes256Gcm]);
    let replace = translated(&weak_alone, &list).swap_remove(0);

    let no_list = LoginError::Protocol("a malformed option list");
    // The site sends its list only a few times.
    let stale = LoginError::Ended(WireError::Malformed);
    let meddlers = [
        Mallory::new("reorders", vec![(c::OPTIONS, Box::new(swap))], &no_list),
        Mallory::new(
            "repeats",
            vec![(c::OPTIONS, Box::new(repeat_last))],
            &no_list,
        ),
        Mallory::new(
            "shortens",
            vec![(c::OPTIONS, Box::new(drop_last))],
            &no_list,
        ),
        Mallory::new("replaces", vec![replace], &stale),
        Mallory::new("replays", vec![(c::OPTIONS, Box::new(replay))], &stale),
        Mallory {
            does: "chooses",
            changes: vec![(c::OPTION_CHOICE, Box::new(name_weaker))],
            service: LoginError::WrongSite,
            // The first message of a hybrid login is not valid for another option.
            person: LoginError::Ended(WireError::Malformed),
        },
        Mallory::new(
            "replaces on both sides",
            translated(&weak_alone, &list),
            &LoginError::WrongSite,
        ),
        Mallory::new(
            "reorders on both sides",
            translated(&weak_first, &list),
            &LoginError::WrongSite,
        ),
    ];
    for mallory in meddlers {
        let proxy = Proxy::before(&served).await;
        let proof = proxy.record(c::SESSION_PROOF);
        for (command, change) in mallory.changes {
            proxy.change(command, change);
        }
        let connector = Connector::new(&proxy.uri)
            .accept(EncryptionOption::FORWARD_SECRET)
            .timeout(Duration::from_secs(5));
        let refused = |login: Result<Client, ConnectError>| match login {
            Err(ConnectError::Login(error)) => Some(error),
            _ => None,
        };
        let robot = refused(served.robot_by(&connector).await);
        assert_eq!(robot, Some(mallory.service), "{}: a service", mallory.does);
        let maria = refused(maria_by(&connector).await);
        assert_eq!(maria, Some(mallory.person), "{}: a person", mallory.does);
        assert!(proof.lock().unwrap().is_empty(), "{}", mallory.does);
    }
    assert_eq!(served.site.sessions().count(), 0);
}
