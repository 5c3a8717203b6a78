//! When the site ends a session, the client learns the reason.
//!
//! An idle client whose session was ended got "connection lost" for its next operation, also if its account was
//! locked, its key revoked or its pass phrase changed.

use std::time::Duration;

use countersign_client::{CallError, Client, Connector};
use countersign_proto::session::client::FromSite;
use countersign_proto::session::{EncryptionOption, Goodbye};
use countersign_server::limits::Limits;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::operations::site;
use crate::sessions::raw::Raw;

/// A timeout that no test reaches unless it fails.
const SOON: Duration = Duration::from_secs(60);

/// Waits until the client knows that its session has ended.
async fn over(client: &Client) {
    let mut events = client.events();
    while timeout(SOON, events.next()).await.unwrap().is_some() {}
}

async fn next_call(client: &Client) -> Result<Value, CallError> {
    client.call("self", "show", &json!({})).await
}

fn id_of(client: &Client) -> String {
    uuid::Uuid::from_bytes(client.welcome().session.0).to_string()
}

/// [SES-65]: an idle client, for each action of an admin.
#[tokio::test]
async fn an_idle_client_learns_why_its_session_was_ended() {
    let robot = || json!({ "name": "robot" });
    let endings = [
        ("session", "cut", json!({}), Goodbye::Cut),
        ("key", "revoke", robot(), Goodbye::KeyRevoked),
        ("service", "lock", robot(), Goodbye::Locked),
        ("service", "delete", robot(), Goodbye::Deleted),
        (
            "option",
            "disable",
            json!({ "name": "hybrid-aes256gcm", "cut": true }),
            Goodbye::OptionDisabled,
        ),
        (
            "option",
            "floor",
            json!({ "floor": "hybrid", "cut": true }),
            Goodbye::OptionDisabled,
        ),
    ];
    for (group, command, mut params, told) in endings {
        let served = site().serve().await;
        let mut connector = Connector::new(&served.uri);
        if command == "floor" {
            let classical = EncryptionOption::X25519Aes256Gcm;
            let enabled = json!({ "name": classical.name() });
            served.admin("option.enable", enabled).await;
            connector = connector.accept([classical]);
        }
        let client = served.robot_by(&connector).await.unwrap();
        match group {
            "session" => params["id"] = id_of(&client).into(),
            "key" => {
                let thumbprint = served.robot.certificate().thumbprint();
                params["thumbprint"] = thumbprint.to_string().into();
            }
            _ => {}
        }
        served.admin(&format!("{group}.{command}"), params).await;
        over(&client).await;
        assert_eq!(client.ended(), Some(told), "{group} {command}");
        let ended = next_call(&client).await;
        assert!(
            matches!(ended, Err(CallError::Ended(reason)) if reason == told),
            "{group} {command}: {ended:?}"
        );
        assert!(told.is_decision());
    }
}

/// [SES-65]: another account changes the role or the pass phrase of a person.
#[tokio::test]
async fn a_person_learns_that_their_account_was_changed() {
    let served = site().maria().serve().await;
    let client = served.maria().await;
    let member = json!({ "name": "maria", "role": "member" });
    served.admin("person.update", member).await;
    over(&client).await;
    assert_eq!(client.ended(), Some(Goodbye::Changed));

    let client = served.maria().await;
    served.set_passphrase("maria", "another pass phrase").await;
    over(&client).await;
    assert_eq!(client.ended(), Some(Goodbye::PassphraseChanged));
    let ended = next_call(&client).await;
    assert!(matches!(
        ended,
        Err(CallError::Ended(Goodbye::PassphraseChanged))
    ));
}

/// [SES-65]: a client that sends without reading fills the buffers of both ends. When the session is ended, data of
/// the client stays unread, and GOODBYE still arrives after all queued data.
#[tokio::test]
async fn goodbye_arrives_after_queued_data_and_with_unread_input() {
    let served = site()
        .limits(Limits {
            unsent_bytes: 64 * 1024,
            ..Limits::default()
        })
        .serve()
        .await;
    let mut raw = Raw::service(&served).await;
    let id = uuid::Uuid::from_bytes(raw.logged_in.welcome.session.0).to_string();
    // More than the site receives while its client does not read: the last operations stay unread.
    for id in 1..40_000 {
        raw.ask(id, "self", "show", &json!({}));
    }
    raw.flush().await;
    served.admin("session.cut", json!({ "id": id })).await;
    let mut last = None;
    loop {
        let got = timeout(SOON, raw.read()).await.unwrap();
        if got.is_empty() {
            break;
        }
        last = got.into_iter().next_back();
    }
    assert_eq!(last, Some(FromSite::Goodbye(Goodbye::Cut)));
}

/// Sessions that continued when their option was disabled can be ended later, and sessions with another option
/// continue.
#[tokio::test]
async fn sessions_with_a_disabled_option_can_be_ended_later() {
    let served = site().serve().await;
    let connector = Connector::new(&served.uri);
    let old = served.robot_by(&connector).await.unwrap();
    let option = json!({ "name": "hybrid-aes256gcm" });
    served.admin("option.disable", option).await;
    let new = served.robot_by(&connector).await.unwrap();
    next_call(&old).await.unwrap();
    let option = json!({ "name": "hybrid-aes256gcm", "cut": true });
    let listed = served.admin("option.disable", option).await;
    assert_eq!(listed["cut"], 1);
    over(&old).await;
    assert_eq!(old.ended(), Some(Goodbye::OptionDisabled));
    next_call(&new).await.unwrap();
}

/// [SES-8]: a client that ranks its options uses the first one that is offered; for a client that only accepts
/// options, the site's order decides.
#[tokio::test]
async fn a_client_may_rank_the_options() {
    let served = site().serve().await;
    let classical = EncryptionOption::X25519Aes256Gcm;
    let enabled = json!({ "name": classical.name() });
    served.admin("option.enable", enabled).await;
    let own = [
        EncryptionOption::X25519Aes128Gcm,
        classical,
        EncryptionOption::HybridAes256Gcm,
    ];
    let connector = Connector::new(&served.uri);
    for (connector, option) in [
        (
            connector.clone().accept(own),
            EncryptionOption::HybridAes256Gcm,
        ),
        (connector.prefer(own), classical),
    ] {
        let client = served.robot_by(&connector).await.unwrap();
        let shown = served
            .admin("session.show", json!({ "id": id_of(&client) }))
            .await;
        assert_eq!(shown["option"], option.name());
    }
}
