//! Encryption options over real sockets.

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

/// [SES-30]: a client that knows the old list is corrected; nothing was restarted; what is open goes on.
#[tokio::test]
async fn a_change_holds_for_new_sessions_at_once() {
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
async fn everybody_logs_in_with_each_option() {
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

/// The list that the site answers a service with that knows another one, and the SESSION-PROOF of a person.
async fn overheard(served: &ServedSite) -> (Vec<u8>, Vec<u8>) {
    let proxy = Proxy::before(served).await;
    let (list, proof) = (proxy.record(c::OPTIONS), proxy.record(c::SESSION_PROOF));
    let connector = Connector::new(&proxy.uri);
    let robot = served.robot_by(&connector).await.unwrap();
    robot.close().await.unwrap();
    let maria = maria_by(&connector).await.unwrap();
    maria.close().await.unwrap();
    let heard = |record: &Mutex<Vec<u8>>| record.lock().unwrap().clone();
    (heard(&list), heard(&proof))
}

/// What somebody in between does to the options, and what a service and a person say of it.
struct Meddler {
    does: &'static str,
    changes: Vec<(Command, Change)>,
    service: LoginError,
    person: LoginError,
}

impl Meddler {
    /// One who is found out by both in the same words.
    fn new(does: &'static str, changes: Vec<(Command, Change)>, found_out: &LoginError) -> Self {
        Self {
            does,
            changes,
            service: found_out.clone(),
            person: found_out.clone(),
        }
    }
}

/// Gives the client this list in place of the site's, and makes its choices those of the site's.
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

/// [SES-31] and [SES-6]: whoever edits, reorders, repeats or replaces the list or the choice in between is
/// found out, by people and by services, before anything is sent that depends on a pass phrase.
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
    assert_eq!(proof.len(), 64, "who listens sees a proof that is sent");
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
    // The site has told its list often enough.
    let stale = LoginError::Ended(WireError::Malformed);
    let meddlers = [
        Meddler::new("reorders", vec![(c::OPTIONS, Box::new(swap))], &no_list),
        Meddler::new(
            "repeats",
            vec![(c::OPTIONS, Box::new(repeat_last))],
            &no_list,
        ),
        Meddler::new(
            "shortens",
            vec![(c::OPTIONS, Box::new(drop_last))],
            &no_list,
        ),
        Meddler::new("replaces", vec![replace], &stale),
        Meddler::new("replays", vec![(c::OPTIONS, Box::new(replay))], &stale),
        Meddler {
            does: "chooses",
            changes: vec![(c::OPTION_CHOICE, Box::new(name_weaker))],
            service: LoginError::WrongSite,
            // A first message of a hybrid login is none of another.
            person: LoginError::Ended(WireError::Malformed),
        },
        Meddler::new(
            "replaces on both sides",
            translated(&weak_alone, &list),
            &LoginError::WrongSite,
        ),
        Meddler::new(
            "reorders on both sides",
            translated(&weak_first, &list),
            &LoginError::WrongSite,
        ),
    ];
    for meddler in meddlers {
        let proxy = Proxy::before(&served).await;
        let proof = proxy.record(c::SESSION_PROOF);
        for (command, change) in meddler.changes {
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
        assert_eq!(robot, Some(meddler.service), "{}: a service", meddler.does);
        let maria = refused(maria_by(&connector).await);
        assert_eq!(maria, Some(meddler.person), "{}: a person", meddler.does);
        assert!(proof.lock().unwrap().is_empty(), "{}", meddler.does);
    }
    assert_eq!(served.site.sessions().count(), 0);
}
