//! Operations through the one door, and a person's dump.

use std::sync::Arc;

use countersign_core::caller::Caller;
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::site::{Foundation, Parts, Site};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile};
use countersign_proto::operation::{Code, Operation};
use countersign_proto::session::Strength;
use countersign_store::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::speller::Speller;

const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

async fn founded() -> (Site, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("site.db")).await;
    let parts = Parts {
        store: Arc::new(store.unwrap()),
        table: operations::table().unwrap(),
        entropy: Box::new(SystemEntropy),
        offer: Offer::default(),
        floor: Strength::Delivered,
    };
    let slot = SlotFile::generate(&mut SystemEntropy);
    let foundation = Foundation {
        zone: "example.org".parse().unwrap(),
        slots: &[NewSlot::File(&slot)],
    };
    (Site::found(parts, foundation, NOW).await.unwrap(), folder)
}

/// Sends an operation as a line of JSON.
async fn run(site: &Site, by: &mut Speller, command: &str, params: &Value) -> Value {
    let line = json!({ "id": 1, "group": "person", "command": command, "params": params });
    let operation: Operation = serde_json::from_str(&by.value(&line)).unwrap();
    let outcome = site.run(&Caller::admin_socket(), &operation, NOW).await;
    assert_eq!(outcome.code, Code::SUCCESS, "{}", outcome.data);
    serde_json::from_str(outcome.data.get()).unwrap()
}

#[tokio::test]
async fn operations_and_dumps_are_the_same_in_every_spelling() {
    let (site, _folder) = founded().await;
    for seed in 0..24 {
        let by = &mut Speller::new(seed);
        let name = json!({ "name": "maria" });
        let person = json!({
            "name": "maria", "full_name": "Mária \u{1f40e} / \"Lind\" \\", "email": "maria/x@example.org",
        });
        let created = run(&site, by, "create", &person).await;
        assert_eq!(created["full_name"], person["full_name"]);
        let dump = run(&site, by, "dump", &name).await;
        run(&site, by, "delete", &name).await;
        let loaded = json!({ "dump": by.value(&dump) });
        run(&site, by, "load", &loaded).await;
        assert_eq!(run(&site, by, "dump", &name).await, dump);
        run(&site, by, "delete", &name).await;
    }
}
