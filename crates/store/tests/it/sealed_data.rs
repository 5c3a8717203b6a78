//! A database in which an earlier version stored data in the clear: the first unsealing seals it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::{Site, UnsealError};
use countersign_crypto::site_key_slots::SlotSecret;
use countersign_testkit::harness::{NOW, TestPeer, TestSite, operation, run, time};
use countersign_testkit::planted::Planted;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// With numbers and white space that a JSON library may change.
const DATA: &str =
    r#"{"z": 123456789012345678901234567890, "a":1.10, "is":"PLANTED-in-the-clear"}"#;
const SENT: &str = "PLANTED-text-that-was-sent";
const RECEIVED: &str = "PLANTED-text-that-was-received";

pub(crate) async fn execute(test: &TestSite, statements: String) {
    let file = SqliteConnectOptions::new().filename(test.database());
    let mut connection: SqliteConnection = file.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// The database of a site, as the earlier version wrote it.
async fn of_an_earlier_version() -> (TestSite, Planted) {
    let test = TestSite::builder().file().build().await;
    test.takes_enrolments();
    test.site
        .connect_peers_with(Arc::new(TestPeer::new("any.example")));
    for id in ["billing", "damaged", "ledger"] {
        test.create_application(id, json!({})).await;
    }
    test.admin("person.create", json!({ "name": "ada" })).await;
    test.admin("peer.start", json!({})).await;
    test.peer("ada").await;
    let message = json!({ "from": "ada", "to": "bob@b.example", "text": "it" });
    test.admin("peer.send", message).await;
    let mut planted = Planted::default();
    planted.plant("data", "PLANTED-in-the-clear");
    let (sent, received) = (
        planted.plant("sent", SENT),
        planted.plant("received", RECEIVED),
    );
    let earlier = format!(
        "DROP TABLE clear_data;
         DELETE FROM _sqlx_migrations WHERE description = 'sealed_data';
         ALTER TABLE peer_outbox DROP COLUMN text;
         ALTER TABLE peer_outbox ADD COLUMN text TEXT NOT NULL DEFAULT '';
         ALTER TABLE peer_inbox DROP COLUMN text;
         ALTER TABLE peer_inbox ADD COLUMN text TEXT NOT NULL DEFAULT '';
         UPDATE peer_outbox SET text = '{sent}';
         INSERT INTO peer_inbox (id, peer, account, other, number, text, sent, received)
         SELECT id, peer, account, other, number, '{received}', at, at FROM peer_outbox;
         UPDATE application SET document = replace(document, '\"auth_data\":null', '\"auth_data\":{DATA}')
         WHERE id = 'billing';
         UPDATE application SET document = 'not JSON' WHERE id = 'damaged';"
    );
    execute(&test, earlier).await;
    (test, planted)
}

async fn unseal(test: &TestSite, site: &Site) -> Result<bool, UnsealError> {
    let secret = SlotSecret::File(&test.slot);
    site.unseal(&Caller::site(), secret, NOW).await
}

/// The secrets that are in the database or its log.
fn found<'a>(test: &TestSite, planted: &'a Planted) -> BTreeSet<&'a str> {
    // The store of an earlier process ends in its own time, and moves the log to the database then.
    let mut read = files(test);
    loop {
        let again = files(test);
        if again == read {
            return planted.found(&read.concat());
        }
        read = again;
    }
}

/// The contents of the files. One that is deleted meanwhile is empty.
fn files(test: &TestSite) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(test.folder()).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default())
        .collect()
}

/// The texts of ada's messages: sent, received.
async fn messages(site: &Site) -> [String; 2] {
    let mut texts = Vec::new();
    for name in ["peer.outbox", "peer.inbox"] {
        let person = json!({ "person": "ada" });
        let (_, listed) = run(site, &Caller::admin_socket(), name, person).await;
        texts.push(listed["entries"][0]["text"].as_str().unwrap().to_owned());
    }
    texts.try_into().unwrap()
}

/// The data about billing, as it is stored.
async fn data(site: &Site) -> String {
    let show = operation("app.show", &json!({ "id": "billing" }));
    let shown = site.run(&Caller::admin_socket(), &show, NOW).await;
    let shown: HashMap<String, Box<RawValue>> = serde_json::from_str(shown.data.get()).unwrap();
    shown["auth_data"].get().to_owned()
}

#[tokio::test]
async fn what_an_earlier_version_stored_in_the_clear_is_sealed_by_the_first_unsealing() {
    let (test, planted) = of_an_earlier_version().await;
    let all = BTreeSet::from(["data", "received", "sent"]);
    assert_eq!(found(&test, &planted), all);
    let site = test.restarted().await;
    assert_eq!(found(&test, &planted), all, "nothing is lost before");
    assert_eq!(unseal(&test, &site).await, Ok(true));
    assert_eq!(found(&test, &planted), BTreeSet::new());
    assert_eq!(data(&site).await, DATA);
    assert_eq!(messages(&site).await, [SENT, RECEIVED]);
    let sealed = test.audited().await;
    let sealed = sealed
        .iter()
        .filter(|line| line.starts_with("site.data_sealed"));
    assert_eq!(sealed.count(), 1);

    let site = test.unsealed().await;
    assert_eq!(data(&site).await, DATA);
    assert_eq!(messages(&site).await, [SENT, RECEIVED]);
}

#[tokio::test]
async fn a_site_whose_data_cannot_be_sealed_stays_sealed_and_loses_nothing() {
    let (test, planted) = of_an_earlier_version().await;
    let site = test.restarted().await;
    let trigger = "CREATE TRIGGER failing BEFORE DELETE ON clear_data \
                   BEGIN SELECT raise(ABORT, 'as a full disk'); END";
    execute(&test, trigger.to_owned()).await;
    let refused = unseal(&test, &site).await;
    assert!(matches!(refused, Err(UnsealError::Store(_))), "{refused:?}");
    assert!(site.is_sealed());
    assert_eq!(found(&test, &planted).len(), 3);
    execute(&test, "DROP TRIGGER failing".to_owned()).await;
    assert_eq!(unseal(&test, &site).await, Ok(true));
    assert_eq!(found(&test, &planted), BTreeSet::new());
    assert_eq!(data(&site).await, DATA);
}

/// Pieces of the wrapped seeds of the current site key. SQLite may split a value.
async fn current_key(connection: &mut SqliteConnection) -> Planted {
    let stored = sqlx::query_scalar("SELECT value FROM setting WHERE name = 'site_key'");
    let stored: Vec<u8> = stored.fetch_one(connection).await.unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    let mut planted = Planted::default();
    for slot in stored["current"]["slots"].as_array().unwrap() {
        for piece in slot["sealed"].as_str().unwrap().as_bytes().chunks_exact(16) {
            planted.plant("replaced key", piece);
        }
    }
    planted
}

/// SQLite cannot empty the write-ahead log while another connection reads from it.
#[tokio::test]
async fn a_replaced_key_that_a_reader_kept_in_the_log_is_erased_after_the_reader_without_a_change()
{
    let test = TestSite::builder().file().build().await;
    let file = SqliteConnectOptions::new().filename(test.database());
    let mut reader: SqliteConnection = file.connect().await.unwrap();
    let replaced = current_key(&mut reader).await;
    for statement in ["BEGIN", "SELECT count(*) FROM setting"] {
        sqlx::query(statement).execute(&mut reader).await.unwrap();
    }
    let slot = json!({ "slot_file": test.slot.to_text().expose() });
    let new = json!({ "secrets": [slot], "slots": [slot] });
    test.admin("site.key_new", new).await;
    assert!(!found(&test, &replaced).is_empty());
    sqlx::query("COMMIT").execute(&mut reader).await.unwrap();
    time::until(async || found(&test, &replaced).is_empty()).await;
}
