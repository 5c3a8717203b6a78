//! The alarm about a lockdown whose commits conflict with changes of alarms.

use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::{Observed, Parts, Site};
use countersign_core::store::MemoryStore;
use countersign_crypto::site_key_slots::SlotSecret;
use countersign_proto::operation::Code;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, TestSite, run};
use serde_json::{Value, json};

async fn call(site: &Site, name: &str, params: Value) -> Value {
    let (code, data) = run(site, &Caller::admin_socket(), name, params).await;
    assert_eq!(code, Code::SUCCESS, "{name}: {data}");
    data
}

/// The states of the alarms about maria's lockdown.
async fn states(site: &Site) -> Vec<Value> {
    let mut states = Vec::new();
    for state in ["open", "over"] {
        let listed = call(site, "alarm.list", json!({ "state": state })).await;
        let entries = listed["entries"].as_array().unwrap();
        let of = entries
            .iter()
            .filter(|alarm| alarm["key"] == "lockdown person maria@example.org");
        states.extend(of.map(|alarm| alarm["state"].clone()));
    }
    states
}

/// A change of a lockdown was committed without its alarm at the last of four tries. The program
/// stopped, and there was no alarm; one that was to end stayed open after the lockdown.
#[tokio::test]
async fn an_alarm_that_a_lockdown_could_not_write_follows_after_a_restart() {
    let store = MemoryStore::new();
    let faulty = Arc::new(FaultyStore::new(Arc::new(store.reopened()), Fault::Stale));
    let builder = TestSite::builder().memory(store, faulty.clone());
    let test = builder.build().await;
    test.person("root", "admin").await;
    test.person("maria", "member").await;
    faulty.break_after(0, 3);
    call(&test.site, "lockdown.person", json!({ "name": "maria" })).await;
    assert!(!faulty.is_pending(), "it was the last try");

    let faulty = Arc::new(FaultyStore::new(Arc::new(test.memory()), Fault::Stale));
    let parts = test.parts().await;
    let store = faulty.clone();
    let site = Site::open(Parts { store, ..parts }).await.unwrap();
    let secret = SlotSecret::File(&test.slot);
    site.unseal(&Caller::site(), secret, NOW).await.unwrap();
    assert_eq!(states(&site).await, Vec::<Value>::new());
    site.check_system(Observed::default(), NOW).await.unwrap();
    assert_eq!(states(&site).await, [json!("open")]);
    assert!(!site.lockdowns().are_alarms_due());

    faulty.break_after(0, 3);
    call(&site, "lockdown.lift", json!({ "person": "maria" })).await;
    assert_eq!(states(&site).await, [json!("open")]);
    site.check_system(Observed::default(), NOW).await.unwrap();
    assert_eq!(states(&site).await, [json!("over")]);
    assert!(!site.lockdowns().are_alarms_due());
}
