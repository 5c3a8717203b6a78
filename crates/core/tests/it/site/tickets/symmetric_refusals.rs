//! The symmetric ticket path: refusals take the same time, and tickets are audited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_proto::operation::Code;
use serde_json::json;

use super::symmetric::World;

/// Regression test: the refusal for an existing application took 197 µs and that for an unknown one
/// 294 µs. Every refusal is delayed, and granted tickets are not.
#[tokio::test]
async fn every_refusal_of_a_ticket_takes_the_same_minimum_time() {
    let world = World::new().await;
    let waited = Arc::new(AtomicUsize::new(0));
    let counted = waited.clone();
    world.test.site.delay_refusals(Arc::new(move || {
        let counted = counted.clone();
        Box::pin(async move {
            counted.fetch_add(1, Ordering::SeqCst);
        })
    }));
    let waits = async |providers: &[&str]| {
        let before = waited.load(Ordering::SeqCst);
        let answers = world.answers(providers).await;
        (waited.load(Ordering::SeqCst) - before, answers)
    };
    assert_eq!(waits(&["ledger", "ledger"]).await, (0, vec![None, None]));
    let refused = Some("not-allowed".to_owned());
    for provider in ["billing", "unknown", "", "no,id"] {
        assert_eq!(
            waits(&[provider]).await,
            (1, vec![refused.clone()]),
            "{provider}"
        );
    }
    world
        .test
        .admin("app.lock", json!({ "id": "ledger" }))
        .await;
    assert_eq!(waits(&["ledger"]).await, (1, vec![refused]));
    for app in ["ledger", "unknown"] {
        let before = waited.load(Ordering::SeqCst);
        let (code, _) = world.ask(app, &["ledger"]).await;
        assert_eq!(code, Code::NOT_PERMITTED);
        assert_eq!(waited.load(Ordering::SeqCst) - before, 1, "{app}");
    }
}

/// Regression test: tickets were not audited at all.
#[tokio::test]
async fn issued_and_refused_tickets_are_audited_with_their_count() {
    let world = World::new().await;
    let before = world.test.audit().await.len();
    world.answers(&["ledger"; 200]).await;
    world.answers(&["ledger"; 56]).await;
    world.answers(&["unknown", "ledger", "elsewhere"]).await;
    world.test.site.write_all_counted().await.unwrap();
    let entries = world.test.audit().await;
    let counted = entries[before..].iter().map(|entry| {
        assert_eq!(
            (&entry["actor"], &entry["operation"], &entry["channel"]),
            (
                &json!("application billing"),
                &json!("broker.ticket"),
                &json!("session")
            )
        );
        let target = entry["target"].as_str().unwrap_or("-");
        let outcome = entry["outcome"].as_str().unwrap();
        format!("{target} {outcome} {}", entry["details"]["count"])
    });
    assert_eq!(
        counted.collect::<Vec<_>>(),
        ["ledger done 200", "- not_permitted 2", "ledger done 57"]
    );
}
