//! A site whose file an attacker changes, or a disk damages, while it runs.

use std::sync::Arc;

use countersign_proto::peer::{AuditHead, SignedAuditHead};
use countersign_testkit::harness::{TestPeer, TestSite};
use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

async fn database(test: &TestSite) -> SqliteConnection {
    let file = SqliteConnectOptions::new().filename(test.folder().join("site.db"));
    file.connect().await.unwrap()
}

/// Each new signature was removed in its own transaction, and the verification accepted the copies.
#[tokio::test]
async fn copies_of_an_old_signature_push_out_no_new_one_and_are_found() {
    let test = TestSite::builder().file().build().await;
    test.admin("lockdown.site", json!({ "level": "enrolment" }))
        .await;
    let mut database = database(&test).await;
    let copies = "INSERT INTO audit_signature \
        WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 256) \
        SELECT 1000000 + n, head FROM number, (SELECT head FROM audit_signature LIMIT 1)";
    sqlx::query(copies).execute(&mut database).await.unwrap();
    test.admin("lockdown.site", json!({ "level": "logins" }))
        .await;
    let imposed = test.audit().await.last().unwrap()["seq"].as_i64();
    let new = "SELECT count(*) FROM audit_signature WHERE seq = ?";
    let new = sqlx::query_scalar::<_, i64>(new).bind(imposed);
    assert_eq!(new.fetch_one(&mut database).await.unwrap(), 1);
    let verified = test.admin("audit.verify", json!({})).await;
    assert_eq!(verified["intact"], false);
    assert_eq!(verified["unlike_signed"], 1_000_001);
}

/// A thief of the replaced key stored signatures of its own under great numbers. Each new signature of
/// the site was removed in its own transaction, and the verification accepted the thief's as void.
#[tokio::test]
async fn signatures_of_a_thief_push_out_no_new_one_and_are_found() {
    let test = TestSite::builder().file().build().await;
    let stolen = test.site.unsealed_keys().unwrap().key.clone();
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    let since = test.now();
    let rotation = json!({ "secrets": [file], "slots": [file], "compromised_since": since });
    test.admin("site.key_new", rotation).await;
    let mut database = database(&test).await;
    for number in 1..=256 {
        let head = AuditHead {
            site: test.site.id(),
            event: 0,
            seq: 1_000_000 + number,
            hash: [9; 32],
            time: since.millis() + 1,
        };
        let signed = SignedAuditHead::new(head, &stolen);
        let insert = sqlx::query("INSERT INTO audit_signature VALUES (?, ?)");
        let insert = insert.bind(1_000_000 + i64::try_from(number).unwrap());
        let inserted = insert.bind(signed.to_bytes()).execute(&mut database);
        inserted.await.unwrap();
    }
    test.admin("lockdown.site", json!({ "level": "logins" }))
        .await;
    let imposed = test.audit().await.last().unwrap()["seq"].as_i64();
    let new = "SELECT count(*) FROM audit_signature WHERE seq = ?";
    let new = sqlx::query_scalar::<_, i64>(new).bind(imposed);
    assert_eq!(new.fetch_one(&mut database).await.unwrap(), 1);
    let verified = test.admin("audit.verify", json!({})).await;
    assert_eq!(verified["intact"], false);
    assert_eq!(verified["unlike_signed"], 1_000_001);
}

/// Peers were not told, because which applications the deleted one could call is not known.
// BRK-96
#[tokio::test]
async fn every_peer_is_told_that_the_tickets_of_a_damaged_application_are_void() {
    let test = TestSite::builder().file().build().await;
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": "ada" })).await;
    test.site
        .connect_peers_with(Arc::new(TestPeer::new("any.example")));
    test.admin("peer.start", json!({})).await;
    let peer = test.peer("ada").await;
    test.create_application("billing", json!({})).await;
    let damage = "UPDATE application SET document = '{\"id\":' WHERE id = 'billing'";
    let mut database = database(&test).await;
    sqlx::query(damage).execute(&mut database).await.unwrap();
    assert_eq!(test.site.peers_to_tell(test.now()), []);
    test.admin("app.delete", json!({ "id": "billing" })).await;
    assert_eq!(test.site.peers_to_tell(test.now()), [peer.known().id()]);
    // Also after a restart.
    let waits = "SELECT consumer FROM peer_void";
    let waits = sqlx::query_scalar::<_, String>(waits);
    let waits = waits.fetch_all(&mut database).await.unwrap();
    assert_eq!(waits, ["billing@example.org"]);
}

/// One damaged text in the outbox stopped everything to its peer: the other messages, and the heads of the audit
/// log, of which the peer is a witness. An attacker who can write to the database needed to change one byte.
// PEER-72
#[tokio::test]
async fn a_damaged_message_is_set_aside_and_the_others_and_the_heads_are_sent() {
    let test = TestSite::builder().file().build().await;
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": "ada" })).await;
    test.site
        .connect_peers_with(Arc::new(TestPeer::new("any.example")));
    test.admin("peer.start", json!({})).await;
    let (peer, now) = (test.peer("ada").await.known().id(), test.now());
    for text in ["1", "2", "3", "4"] {
        let params = json!({ "from": "ada", "to": "bob@b.example", "text": text });
        test.admin("peer.send", params).await;
    }
    let outbox = async || {
        let listed = test.admin("peer.outbox", json!({ "person": "ada" })).await;
        listed["entries"].as_array().unwrap().clone()
    };
    let state = async || {
        let checked = test.admin("peer.doctor", json!({})).await;
        checked["findings"][1]["state"].clone()
    };
    let mut database = database(&test).await;
    let damage = "UPDATE peer_outbox SET text = zeroblob(length(text)) \
        WHERE key IN (SELECT key FROM peer_outbox ORDER BY key LIMIT 2)";
    sqlx::query(damage).execute(&mut database).await.unwrap();
    let batch = test.site.messages_for(peer, now).await.unwrap();
    let texts: Vec<_> = batch
        .messages
        .iter()
        .map(|sent| sent.text.as_str())
        .collect();
    assert_eq!(texts, ["3", "4"]);
    let (refused, waiting): (Vec<_>, Vec<_>) = outbox()
        .await
        .into_iter()
        .partition(|message| message["state"] == "refused");
    assert_eq!((refused.len(), waiting.len()), (2, 2));
    for message in &refused {
        let why = "its text is damaged in the database of this site";
        assert_eq!(message["why"], why);
    }
    let audited = test.audit().await;
    let named = audited
        .iter()
        .find(|entry| entry["operation"] == "peer.message_damaged");
    let details = named.unwrap()["details"].to_string();
    for message in &refused {
        assert!(
            details.contains(message["id"].as_str().unwrap()),
            "{details}"
        );
    }
    assert_eq!(state().await, "active");

    // A message of which the recipient cannot be read cannot be set aside: the operator learns of it.
    let damage =
        "UPDATE peer_outbox SET other = '@@' WHERE key = (SELECT max(key) FROM peer_outbox)";
    let keys = "PRAGMA foreign_keys = OFF";
    sqlx::query(keys).execute(&mut database).await.unwrap();
    sqlx::query(damage).execute(&mut database).await.unwrap();
    assert!(test.site.messages_for(peer, now).await.is_err());
    assert_eq!(state().await, "messages_not_read");
    let discard = "DELETE FROM peer_outbox WHERE other = '@@'";
    sqlx::query(discard).execute(&mut database).await.unwrap();
    assert_eq!(
        test.site
            .messages_for(peer, now)
            .await
            .unwrap()
            .messages
            .len(),
        1
    );
    assert_eq!(state().await, "active");
}
