//! A thief of a peer's site key at the address of the peer, and the recovery of the peer, over sockets.

use std::sync::Arc;

use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_net::lines::Lines;
use countersign_net::tls::Acceptor;
use countersign_proto::site_identity::{KeyEventLog, KeyEventsRequest};
use countersign_testkit::harness::time::until;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::peers::side::{Side, key, peers};

/// Serves the key events of a thief, who has another key than the peer, at the address of the peer.
async fn serve(address: &str, thief: Arc<SiteKey>, log: KeyEventLog) {
    let listener = TcpListener::bind(address).await.unwrap();
    let acceptor = Acceptor::new(thief).unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        // A client that pins the key of the peer ends the handshake.
        let Ok(stream) = acceptor.accept(socket).await else {
            continue;
        };
        let mut lines = Lines::new(stream, 1 << 16);
        let asked = match lines.next().await {
            Ok(Some(line)) => KeyEventsRequest::read(line),
            Ok(None) | Err(_) => None,
        };
        if let Some(KeyEventsRequest(first)) = asked {
            let answer = KeyEventsRequest::answer(log.page(first, 4));
            let _ = lines.send(&answer).await;
        }
    }
}

async fn state(side: &Side) -> Value {
    let checks = side.admin("peer.doctor", json!({})).await;
    checks["findings"][1]["state"].clone()
}

async fn alarms(side: &Side) -> Vec<Value> {
    let site = &side.served.site;
    site.raise_reported(side.served.now()).await.unwrap();
    let listed = side.admin("alarm.list", json!({})).await;
    listed["entries"].as_array().unwrap().clone()
}

/// The thief of the current key of a peer made a key event without the next key, and the site meets it when it
/// walks along the key events at the address of the peer. The peer declares the theft, and is followed.
// PEER-14, PEER-15
#[tokio::test]
async fn a_site_refuses_the_event_of_a_thief_at_its_peers_address_and_follows_the_recovered_peer() {
    let (a, mut b) = peers().await;
    let root = json!({ "name": "root", "role": "admin" });
    a.admin("person.create", root).await;
    let (address, stolen) = (b.address(), key(&b));
    let first = b.served.site.key_events()[0];
    let [thief, next] = [1, 2].map(|byte| SiteSeed(Secret::from_bytes([byte; 32])));
    let [thief, next] = [thief, next].map(SiteKey::from_seed);
    let time = first.event().time + 1;
    let forged = first.replaced_by(&stolen, &thief, &next.public(), time, None);
    let log = KeyEventLog::new(&[first, forged]).unwrap();
    b.stop().await;
    a.send("bob@b.example", "hello").await;
    tokio::select! {
        () = serve(&address, Arc::new(thief), log) => {}
        () = until(async || state(&a).await == "forked") => {}
    }
    until(async || !alarms(&a).await.is_empty()).await;
    let alarm = alarms(&a).await[0].to_string();
    assert!(alarm.contains(&b.id()), "{alarm}");
    assert_eq!(a.show("b.example").await["key_event"], 0);
    assert_eq!(a.audited("peer.fork").await.len(), 1);
    assert_eq!(a.waiting().await.len(), 1);

    let file = json!({ "slot_file": b.served.slot.to_text().expose() });
    let since = b.served.now();
    let recover = json!({ "secrets": [file], "slots": [file], "compromised_since": since });
    b.admin("site.key_new", recover).await;
    b.listen_again().await;
    b.send("ada@a.example", "recovered").await;
    assert_eq!(a.received(1).await, ["recovered"]);
    assert_eq!(b.received(1).await, ["hello"]);
    assert_eq!(a.show("b.example").await["key_event"], 1);
    // The admin of the site decides when the alarm is over.
    assert_eq!(state(&a).await, "forked");
    assert_eq!(a.peers().await, [(b.id(), "active".to_owned())]);
}
