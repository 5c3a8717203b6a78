//! What `peer doctor` names, each seen on a connection: the causes of this site, and those of a peer.

use countersign_core::access::Caller;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::peer::PeerEnd;
use countersign_server::Server;
use countersign_testkit::harness::time::until;
use countersign_testkit::harness::{TestSite, operation};
use serde_json::{Value, json};

use crate::peers::impostor::with_impostor;
use crate::peers::network::Network;
use crate::peers::side::{Side, peers};

/// A finding: 0 is the peer server, 1 the first peer.
async fn finding(side: &Side, number: usize) -> Value {
    let checks = side.admin("peer.doctor", json!({})).await;
    checks["findings"][number].clone()
}

/// Waits until the first peer is in this state. Returns the cause; there is a next step too.
async fn cause(side: &Side, state: &str) -> String {
    until(async || finding(side, 1).await["state"] == state).await;
    let found = finding(side, 1).await;
    assert!(found["next"].is_string(), "{found}");
    found["cause"].as_str().unwrap().to_owned()
}

/// Starts the peer server of a site.
async fn started(test: &TestSite) -> Outcome {
    let start = operation("peer.start", &json!({}));
    let outcome = test
        .site
        .run(&Caller::admin_socket(), &start, test.now())
        .await;
    assert_eq!(outcome.code, Code::SUCCESS);
    outcome
}

/// `peer start` said that the peer server was started while another program had its port.
#[tokio::test]
async fn peer_start_and_peer_doctor_name_why_the_peer_server_does_not_run() {
    let without = TestSite::builder().zone("a.example").serve().await;
    let found = without.admin("peer.doctor", json!({})).await["findings"][0].clone();
    assert_eq!(found["state"], "not_configured");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::builder(without.site.clone()).peer(Some(taken.local_addr().unwrap()));
    let _server = server.start().await.unwrap();
    let outcome = started(&without).await;
    let state: Value = serde_json::from_str(outcome.data.get()).unwrap();
    assert_eq!(state["state"], "failed");
    let text = &outcome.output;
    assert!(text.contains("does not run: it cannot listen"), "{text}");
    let found = without.admin("peer.doctor", json!({})).await["findings"][0].clone();
    assert_eq!(found["state"], "failed");
    // Where the address is free again, an admin does not wait for the next try.
    drop(taken);
    let state: Value = serde_json::from_str(started(&without).await.data.get()).unwrap();
    assert_eq!(state["state"], "running");
    for (operation, params, state, cause) in [
        ("peer.stop", json!({}), "stopped", "an admin stopped"),
        (
            "lockdown.site",
            json!({ "level": "all" }),
            "running",
            "in lockdown at the level all",
        ),
    ] {
        let side = Side::new("a.example", "ada").await;
        assert_eq!(finding(&side, 0).await["cause"], Value::Null);
        side.admin(operation, params).await;
        until(async || finding(&side, 0).await["state"] == state).await;
        let found = finding(&side, 0).await;
        assert!(found["cause"].as_str().unwrap().contains(cause), "{found}");
        assert!(found["next"].is_string(), "{found}");
    }
    // `peer doctor` was refused while the site was sealed, and never named the seal and what to do.
    let side = Side::new("a.example", "ada").await;
    side.admin("site.seal", json!({})).await;
    until(async || finding(&side, 0).await["state"] == "sealed").await;
    let found = finding(&side, 0).await;
    assert_eq!(found["cause"], "the site is sealed");
    assert_eq!(found["next"], "`site unseal`");
}

// PEER-33
#[tokio::test]
async fn peer_doctor_names_the_reason_with_which_a_peer_ended_the_connection() {
    for reason in PeerEnd::ALL {
        let (a, impostor) = with_impostor().await;
        let mut lines = impostor.welcome(&impostor.events).await;
        lines.send(&reason.to_line()).await.unwrap();
        drop(lines);
        let cause = match reason {
            // These are no problems: the site connects again.
            PeerEnd::Idle | PeerEnd::NewKey => {
                let peer = json!({ "peer": "b.example" });
                let shown = async || a.admin("peer.show", peer.clone()).await;
                until(async || shown().await["ended"]["reason"] == reason.as_str()).await;
                assert_eq!(finding(&a, 1).await["state"], "active");
                continue;
            }
            PeerEnd::Suspended | PeerEnd::Removed => {
                let cause = cause(&a, "not_accepted").await;
                assert!(cause.contains("suspended or removed it"), "{cause}");
                continue;
            }
            PeerEnd::Protocol => {
                let cause = cause(&a, "malformed").await;
                assert!(cause.contains("broke the protocol"), "{cause}");
                continue;
            }
            PeerEnd::Stopping | PeerEnd::ServerStopped | PeerEnd::Lockdown | PeerEnd::Sealed => {
                cause(&a, "unreachable").await
            }
        };
        assert!(cause.contains(reason.text()), "{cause}");
    }
}

#[tokio::test]
async fn peer_doctor_names_what_is_wrong_with_the_first_line_of_a_peer() {
    // Nothing listens.
    let (a, mut b) = peers().await;
    b.stop().await;
    a.send("bob@b.example", "hello").await;
    let found = cause(&a, "unreachable").await;
    assert!(found.contains("could not be reached at"), "{found}");
    // It closes the connection after the hello.
    let (a, impostor) = with_impostor().await;
    drop(impostor.accept().await);
    let found = cause(&a, "not_accepted").await;
    assert!(found.contains("did not accept this site"), "{found}");
    // Its welcome cannot be read.
    let (a, impostor) = with_impostor().await;
    let mut lines = impostor.accept().await;
    lines.send(b"garbage\n").await.unwrap();
    let found = cause(&a, "malformed").await;
    assert!(found.contains("the first line cannot be read"), "{found}");
    // It has the peer's key and the key events of another site.
    let (a, impostor) = with_impostor().await;
    let events = a.served.site.key_events().to_vec();
    let _lines = impostor.welcome(&events).await;
    let found = cause(&a, "forked").await;
    assert!(found.contains("contradict"), "{found}");
    // One of its key events is missing.
    let (a, impostor) = with_impostor().await;
    let [one, two, three] =
        [1, 2, 3].map(|byte| SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32]))));
    let second = impostor.events[0].replaced_by(&impostor.key, &one, &two.public(), 1, None);
    let third = second.replaced_by(&one, &two, &three.public(), 2, None);
    let _lines = impostor.welcome(&[third]).await;
    let found = cause(&a, "key_events").await;
    assert!(found.contains("do not follow"), "{found}");
}

/// Another site has got the address of the peer. `peer doctor` named a contradiction of key events.
// PEER-15
#[tokio::test]
async fn peer_doctor_names_another_site_at_the_address_of_a_peer() {
    let (network, a, _b) = Network::peers().await;
    let c = Side::new("c.example", "carol").await;
    network.lead_b_to(&c);
    a.send("bob@b.example", "hello").await;
    let found = cause(&a, "other_key").await;
    assert!(found.contains("another key"), "{found}");
}

#[tokio::test]
async fn peer_doctor_names_why_a_peer_takes_no_messages() {
    // The peer does not permit them.
    let (a, b) = peers().await;
    let permit = json!({ "peer": "a.example", "allows": ["tickets"] });
    b.admin("peer.permit", permit).await;
    a.send("bob@b.example", "hello").await;
    let found = cause(&a, "messages_not_permitted").await;
    assert!(found.contains("does not allow"), "{found}");
    // The peer answers with another code.
    let (a, impostor) = with_impostor().await;
    let mut lines = impostor.welcome(&impostor.events).await;
    let operation: Value = serde_json::from_slice(lines.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(operation["command"], "deliver");
    let busy = json!({ "id": operation["id"], "code": 8, "data": Value::Null });
    lines.send(format!("{busy}\n").as_bytes()).await.unwrap();
    let found = cause(&a, "messages_not_taken").await;
    assert!(found.contains("code 8"), "{found}");
}

/// The causes that an admin of this site made.
#[tokio::test]
async fn peer_doctor_names_a_suspension_and_a_lockdown_of_a_peer() {
    let (a, _b) = peers().await;
    let suspend = json!({ "peer": "b.example", "reason": "a drill" });
    a.admin("peer.suspend", suspend.clone()).await;
    let found = cause(&a, "suspended").await;
    assert!(found.contains("suspended it: a drill"), "{found}");
    a.admin("peer.resume", json!({ "peer": "b.example" })).await;
    a.admin("lockdown.peer", suspend).await;
    let found = cause(&a, "lockdown").await;
    assert!(found.contains("put it in lockdown: a drill"), "{found}");
    // A removed peer is what the admin wanted.
    a.admin("peer.remove", json!({ "peer": "b.example" })).await;
    assert_eq!(finding(&a, 1).await["cause"], Value::Null);
}
