//! Seeds of what a database holds: documents and settings. Their first byte selects the kind.

use countersign_core::alarms::{Alarm, AlarmState, Preferences, Raiser, Severity, Target};
use countersign_core::engine::StoredSettings;
use countersign_core::id::{AccountId, AlarmId};
use countersign_core::lockdown::Lockdowns;
use countersign_core::offer::Offer;
use countersign_core::peers::{Introduction, Peer, PeerPermission, PeerState};
use countersign_core::store::{Applications, Settings};
use countersign_proto::site_identity::{KnownSite, SignedKeyEvent};
use countersign_testkit::harness::{NOW, TestSite};
use serde::Serialize;
use serde_json::json;

use super::{SeededEntropy, key, write};

fn record(kind: u8, name: &str, document: &impl Serialize) {
    let document = serde_json::to_vec(document).unwrap();
    write("stored_record", name, [&[kind], &document[..]].concat());
}

/// Documents of each kind.
pub(super) fn records() {
    let data = json!({
        "other_emails": ["ada@a.example"],
        "telephones": ["+49 30 1234567"],
        "postal_address": { "lines": ["Main Street 1"], "city": "Berlin", "country": "DE" },
        "language": "de-AT",
        "attributes": { "department": "Sales" },
    });
    record(0, "person_data", &data);
    record(1, "alarm", &alarm());
    record(2, "preferences", &Preferences::default());
    record(4, "peer", &peer());
    record(6, "runtime_settings", &StoredSettings::default());
    record(7, "lockdowns", &Lockdowns::default());
    record(8, "offer", &Offer::default());
    record(9, "known_site", &known_site());
    record(10, "timestamp", &NOW);
}

/// What a site stores when it is created, with an application.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn settings() {
    let test = TestSite::builder()
        .entropy(SeededEntropy::new(0).fork("stored settings"))
        .build()
        .await;
    let settings = json!({ "may_call": [{ "app": "ledger" }] });
    test.create_application("ledger", json!({})).await;
    test.create_application("billing", settings).await;
    let store = test.memory();
    let billing = store.application(&"billing".parse().unwrap()).await;
    let mut billing = billing.unwrap().unwrap();
    // A new key for each run would change the seed.
    billing.keys.clear();
    record(3, "application", &billing);
    for (kind, name) in [
        (1, "config"),
        (4, "encryption_options"),
        (5, "runtime_settings"),
        (6, "lockdowns"),
    ] {
        let stored = store.setting(name).await.unwrap();
        let value = stored.map_or_else(|| b"{}".to_vec(), |stored| stored.value);
        write("stored_setting", name, [&[kind], &value[..]].concat());
    }
    let config = store.setting("config").await.unwrap().unwrap().value;
    write("stored_record", "site_config", [&[5], &config[..]].concat());
}

fn alarm() -> Alarm {
    Alarm {
        id: AlarmId::from_bytes([1; 16]),
        key: "disk".to_owned().try_into().unwrap(),
        to: Target::Person(AccountId::from_bytes([2; 16])),
        raiser: Raiser::Site,
        raised_by: "site".to_owned(),
        severity: Severity::Warning,
        text: "The disk is nearly full.".to_owned().try_into().unwrap(),
        data: serde_json::from_str(r#"{"free":1.50}"#).ok(),
        first: NOW,
        last: NOW,
        notified: NOW,
        count: 1,
        state: AlarmState::Open,
        acknowledged: None,
        ended: None,
        escalates: Some(NOW.plus_seconds(60)),
        revision: 1,
    }
}

fn known_site() -> KnownSite {
    let first = SignedKeyEvent::first(&key(1), &key(2).public(), 1_772_366_400_000);
    KnownSite::whole(&[first]).unwrap()
}

fn peer() -> Peer {
    Peer {
        known: known_site(),
        zone: "a.example".parse().unwrap(),
        host: "a.example".to_owned(),
        port: 4_750,
        introductions: vec![Introduction {
            own: AccountId::from_bytes([2; 16]),
            own_name: "maria@example.org".parse().unwrap(),
            other: "ada@a.example".parse().unwrap(),
            at: NOW,
        }],
        state: PeerState::Active,
        told_address: None,
        allows: PeerPermission::ALL.to_vec(),
        joined: NOW,
        last_seen: None,
        sent: 0,
        received: 0,
        revision: 1,
    }
}
