//! An audit log that was changed on the disk of a site is found by what its peers countersigned.

use countersign_core::audit::{AuditEntry, ChainHead};
use countersign_core::page::Page;
use countersign_core::store::AuditLog;
use countersign_store::SqliteStore;
use serde_json::Value;
use sqlx::Connection;

use crate::applications::register_applications;
use crate::peers::Side;

/// Exit code of a verification that found a problem.
const PROBLEMS: i32 = 8;

impl Side {
    /// Verifies the log until these peers have replied. Returns the exit code and the result.
    fn verify(&self, peers: &[&Self]) -> (i32, Value) {
        let zones: Vec<_> = peers.iter().map(|peer| peer.zone()).collect();
        loop {
            let output = self.site.run(&["audit", "verify", "--peers", "--json"]);
            let result = output.json();
            let answered = |zone: &str| witness(&result, zone)["answered"] == true;
            if zones.iter().all(|zone| answered(zone)) {
                return (output.code, result);
            }
        }
    }

    /// Changes the audit log of the stopped site, and removes the heads that are stored there.
    fn rewrite(&self, change: impl FnOnce(Vec<AuditEntry>) -> Vec<AuditEntry>) {
        let path = self.site.path("site/site.db");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = SqliteStore::open(&path).await.unwrap();
            let page = Page {
                after: None,
                limit: u32::MAX,
            };
            let entries = store.audit(&page).await.unwrap();
            store.close().await;
            let url = format!("sqlite://{}", path.display());
            let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
            let triggers: Vec<String> = sqlx::query_scalar(
                "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'",
            )
            .fetch_all(&mut database)
            .await
            .unwrap();
            let open = "DROP TRIGGER audit_is_not_altered; DROP TRIGGER audit_is_not_shortened; \
                DELETE FROM peer_audit_head";
            sqlx::raw_sql(open).execute(&mut database).await.unwrap();
            let count = entries.len();
            let mut chain = ChainHead::EMPTY;
            let changed = change(entries);
            for entry in changed
                .iter()
                .map(|entry| chain.append(entry.draft.clone()))
            {
                let update = "UPDATE audit SET target = ?, previous = ?, hash = ? WHERE seq = ?";
                sqlx::query(update)
                    .bind(entry.draft.target)
                    .bind(entry.previous.to_vec())
                    .bind(entry.hash.to_vec())
                    .bind(i64::try_from(entry.seq).unwrap())
                    .execute(&mut database)
                    .await
                    .unwrap();
            }
            if changed.len() < count {
                sqlx::query("DELETE FROM audit WHERE seq > ?")
                    .bind(i64::try_from(changed.len()).unwrap())
                    .execute(&mut database)
                    .await
                    .unwrap();
            }
            for trigger in triggers {
                sqlx::raw_sql(sqlx::AssertSqlSafe(trigger))
                    .execute(&mut database)
                    .await
                    .unwrap();
            }
            database.close().await.unwrap();
        });
    }
}

/// What the peer with that zone saw.
fn witness<'a>(result: &'a Value, zone: &str) -> &'a Value {
    let witnesses = result["peers"].as_array().unwrap().iter();
    let mut of_zone = witnesses.filter(|witness| witness["zone"] == zone);
    of_zone.next().unwrap()
}

// PEER-28, PEER-30
#[test]
fn a_log_that_was_shortened_is_found_by_the_peer_that_saw_its_end() {
    let mut ada = Side::new("a.example", "ada", 4753);
    let bob = Side::new("b.example", "bob", 4754);
    bob.join(&ada);
    ada.send("bob@b.example", 60);
    let (code, result) = ada.verify(&[&bob]);
    assert_eq!((code, &result["intact"]), (0, &Value::Bool(true)));
    assert!(witness(&result, "b.example")["confirmed"].as_u64() > Some(60));

    ada.site.kill();
    let mut kept = 0;
    ada.rewrite(|mut entries| {
        entries.truncate(entries.len() - 60);
        kept = entries.len() as u64;
        entries
    });
    ada.start();
    // The chain alone shows nothing.
    assert_eq!(ada.site.run(&["audit", "verify"]).code, 0);
    let (code, result) = ada.verify(&[&bob]);
    assert_eq!((code, &result["intact"]), (PROBLEMS, &Value::Bool(false)));
    let differs = &witness(&result, "b.example")["differs"];
    assert_eq!(differs["problem"], "missing");
    assert!(differs["entry"].as_u64() > Some(kept));
    let output = ada.site.run(&["audit", "verify", "--peers"]);
    assert!(
        output.out.contains("b.example: replied; the log ends"),
        "{}",
        output.out
    );
    let contradicted = bob.succeeds(&["audit", "list", "--operation", "peer.audit_head"]);
    let entries = contradicted["entries"].as_array().unwrap();
    let states: Vec<_> = entries
        .iter()
        .map(|entry| &entry["details"]["state"])
        .collect();
    assert!(states.contains(&&Value::from("contradicted")), "{states:?}");
}

// PEER-28, PEER-30
#[test]
fn a_rewritten_log_is_found_by_the_peer_that_saw_the_other_one() {
    let mut ada = Side::new("a.example", "ada", 4755);
    let bob = Side::new("b.example", "bob", 4756);
    bob.join(&ada);
    let (code, result) = ada.verify(&[&bob]);
    assert_eq!(code, 0);
    let confirmed = witness(&result, "b.example")["confirmed"].as_u64();

    ada.site.kill();
    ada.rewrite(|mut entries| {
        entries[2].draft.target = Some("another".to_owned());
        entries
    });
    ada.start();
    assert_eq!(ada.site.run(&["audit", "verify"]).code, 0);
    // A peer that came later saw the other half of the fork, and confirms it.
    let eve = Side::new("c.example", "eve", 4757);
    eve.join(&ada);
    let (code, result) = ada.verify(&[&bob, &eve]);
    assert_eq!(code, PROBLEMS);
    let differs = &witness(&result, "b.example")["differs"];
    assert_eq!(differs["problem"], "altered");
    assert!(differs["entry"].as_u64() <= confirmed);
    assert!(witness(&result, "c.example")["differs"].is_null());
}

/// The site signs its log after each change of lockdowns, so that no peer is needed to find that an entry of
/// one was changed.
#[test]
fn a_log_whose_entry_of_a_lockdown_was_rewritten_is_found_without_asking_a_peer() {
    let mut ada = Side::new("a.example", "ada", 4758);
    let bob = Side::new("b.example", "bob", 4759);
    bob.join(&ada);
    register_applications(&ada.site);
    ada.site.create_robot();
    let lockdowns = [
        &["app", "billing"][..],
        &["service", "robot"],
        &["peer", "b.example"],
        &["site", "--level", "logins"],
    ];
    for target in lockdowns {
        ada.succeeds(&[&["lockdown"][..], target, &["--yes"]].concat());
    }
    assert_eq!(ada.site.run(&["audit", "verify"]).code, 0);
    for target in lockdowns.into_iter().rev() {
        let operation = format!("lockdown.{}", target[0]);
        let mut imposed = 0;
        ada.site.kill();
        ada.rewrite(|mut entries| {
            let mut last = entries.iter_mut().rev();
            let entry = last.find(|entry| entry.draft.operation == operation);
            let entry = entry.unwrap();
            entry.draft.target = Some("another".to_owned());
            imposed = entry.seq;
            entries
        });
        ada.start();
        let output = ada.site.run(&["audit", "verify", "--json"]);
        let result = output.json();
        assert_eq!(
            (output.code, &result["broken"]),
            (PROBLEMS, &Value::Null),
            "{operation}"
        );
        assert_eq!(result["unlike_signed"], imposed, "{operation}");
    }
}
