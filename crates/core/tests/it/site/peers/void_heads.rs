//! Heads of a peer's audit log that a key event of the peer makes void.

use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_proto::peer::{PeerTicket, SignedAuditHead};
use countersign_proto::site_identity::MAX_CLOCK_DIFFERENCE;
use countersign_testkit::harness::{TestPeer, run_at};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::heads::Scene;

/// The greatest number of an entry. No head can follow this one.
const LAST: u64 = i64::MAX.unsigned_abs();

impl Scene {
    fn void_alarm(&self) -> String {
        format!("peer void heads {}", self.id())
    }

    /// What the site does with a head that the peer sends with its newest key, at this time.
    async fn state_of(&self, peer: &TestPeer, head: SignedAuditHead, now: Timestamp) -> String {
        let site = &self.test.site;
        let connection = peer.connect(site, now).await.unwrap();
        let params = json!({ "head": head });
        let (code, data) = run_at(site, &connection.caller, "peer.audit_head", params, now).await;
        drop(connection);
        assert_eq!(code, Code::SUCCESS, "{data}");
        data["state"].as_str().unwrap().to_owned()
    }

    /// What the audit log says about void heads, one for each time that key events were followed.
    async fn audited_voids(&self) -> Vec<Value> {
        let entries = self.test.audit().await.into_iter();
        let followed = entries.filter(|entry| entry["operation"] == "peer.key_followed");
        followed
            .map(|mut entry| entry["details"]["void_heads"].take())
            .collect()
    }

    async fn joins(&self, peer: &TestPeer) {
        let issued = self
            .test
            .admin("peer.ticket", json!({ "person": "ada" }))
            .await;
        let ticket: PeerTicket = issued["uri"].as_str().unwrap().parse().unwrap();
        let joined = peer.join(&self.test.site, &ticket, self.test.now()).await;
        joined.unwrap();
    }
}

// PEER-15, PEER-62
#[tokio::test]
async fn what_a_thief_of_a_peers_key_signed_does_not_bind_the_peer_after_its_recovery() {
    let scene = Scene::new().await;
    let (peer, stolen) = (&scene.peer, scene.test.now());
    let later = stolen.plus_seconds(60);
    assert_eq!(scene.state(peer.head(5, 1, 0)).await, "countersigned");
    let last = scene.state_of(peer, peer.head(LAST, 9, 0), later);
    assert_eq!(last.await, "countersigned");
    let recovered = peer.rotated_at(later.millis(), Some(stolen.millis()));
    for (seq, expected) in [(5, "contradicted"), (6, "countersigned")] {
        let state = scene.state_of(&recovered, recovered.head(seq, 2, 0), later);
        assert_eq!(state.await, expected);
    }
}

/// A site took the time of the theft from the newest key event alone. A thief of a peer's key had a
/// head with a huge number countersigned, and kept the two sites apart until the peer had replaced its
/// key a second time. The site followed both events at once, and every honest head contradicted that
/// of the thief ever after.
// PEER-62
#[tokio::test]
async fn a_declared_theft_counts_also_if_the_peer_replaced_its_key_again_since() {
    let scene = Scene::new().await;
    let (peer, stolen) = (&scene.peer, scene.test.now());
    let later = stolen.plus_seconds(60);
    let last = scene.state_of(peer, peer.head(LAST, 9, 0), later);
    assert_eq!(last.await, "countersigned");
    let recovered = peer.rotated_at(later.millis(), Some(stolen.millis()));
    let newest = recovered.rotated_at(later.millis(), None);
    let state = scene.state_of(&newest, newest.head(6, 2, 0), later);
    assert_eq!(state.await, "countersigned");
    assert_eq!(scene.alarms().await, [scene.void_alarm()]);
}

/// A site that joined again with a new key was followed without its declaration of the theft.
// PEER-50, PEER-62
#[tokio::test]
async fn a_declared_theft_counts_also_if_the_peer_joins_again() {
    let scene = Scene::new().await;
    let (peer, stolen) = (&scene.peer, scene.test.now());
    let later = stolen.plus_seconds(60);
    let last = scene.state_of(peer, peer.head(LAST, 9, 0), later);
    assert_eq!(last.await, "countersigned");
    let recovered = peer.rotated_at(later.millis(), Some(stolen.millis()));
    scene.joins(&recovered).await;
    assert_eq!(scene.audited_voids().await.len(), 1);
    let state = scene.state_of(&recovered, recovered.head(6, 2, 0), later);
    assert_eq!(state.await, "countersigned");
}

/// A thief of a replaced key went on sending heads to a site that the peer could not reach. They
/// bound the peer, because it had declared no theft: it knew of none.
// PEER-62, SES-86
#[tokio::test]
async fn heads_by_a_replaced_key_count_up_to_an_hour_after_it_was_replaced() {
    let scene = Scene::new().await;
    let (peer, replaced) = (&scene.peer, scene.test.now());
    let until = Timestamp::from_millis(replaced.millis() + MAX_CLOCK_DIFFERENCE);
    for (seq, at) in [(5, until), (LAST, until.plus_millis(1))] {
        let state = scene.state_of(peer, peer.head(seq, 9, 0), at);
        assert_eq!(state.await, "countersigned");
    }
    let newest = peer.rotated_at(replaced.millis(), None);
    for (seq, expected) in [(5, "contradicted"), (6, "countersigned")] {
        let state = scene.state_of(&newest, newest.head(seq, 2, 0), until.plus_seconds(1));
        assert_eq!(state.await, expected);
    }
}

/// The operator of a peer shortened its log and made a key event that declared the key stolen since
/// the beginning. This site deleted what it had countersigned, and only a number in its audit log
/// changed: no alarm, and no trace of the heads.
// PEER-62
#[tokio::test]
async fn a_peer_that_takes_back_its_heads_raises_an_alarm_and_they_are_named() {
    let scene = Scene::new().await;
    let (peer, now) = (&scene.peer, scene.test.now());
    let newest = peer.head(9, 7, 0);
    assert_eq!(scene.state(peer.head(8, 6, 0)).await, "countersigned");
    assert_eq!(scene.state(newest).await, "countersigned");
    let shortened = peer.rotated_at(now.millis(), Some(1));
    let state = scene.state_of(&shortened, shortened.head(3, 2, 0), now);
    assert_eq!(state.await, "countersigned");
    assert_eq!(scene.alarms().await, [scene.void_alarm()]);
    let expected = json!({
        "heads": 2,
        "since": Timestamp::from_millis(1),
        "entry": 9,
        "hash": HEXLOWER.encode(&[7; 32]),
        "head": newest,
    });
    assert_eq!(scene.audited_voids().await, [expected]);
    // A new key that makes nothing void names none.
    let next = shortened.rotated();
    let state = scene.state_of(&next, next.head(4, 2, 0), now);
    assert_eq!(state.await, "countersigned");
    assert_eq!(scene.audited_voids().await[1], Value::Null);
}

/// A peer declared its key stolen since before it had the key, or after it had replaced it.
// PEER-15, SES-82
#[tokio::test]
async fn a_theft_when_the_key_was_not_current_is_a_contradiction() {
    let scene = Scene::new().await;
    let now = scene.test.now().millis();
    let second = scene.peer.rotated_at(now, None);
    let state = scene.state_of(&second, second.head(9, 9, 0), scene.test.now());
    assert_eq!(state.await, "countersigned");
    for stolen in [now - 1, now + 1_001] {
        let third = second.rotated_at(now + 1_000, Some(stolen));
        let refused = third.connect(&scene.test.site, scene.test.now()).await;
        assert!(refused.is_none());
    }
    assert_eq!(scene.alarms().await, [format!("peer fork {}", scene.id())]);
    let state = scene.state_of(&second, second.head(9, 8, 0), scene.test.now());
    assert_eq!(state.await, "contradicted");
}
