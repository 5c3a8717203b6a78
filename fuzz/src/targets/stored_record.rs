//! A document of a database from any bytes, of the kind that the first byte selects: one that reads is written
//! and read again as the same.

use std::fmt::Debug;

use countersign_core::accounts::PersonData;
use countersign_core::alarms::{Alarm, Preferences, SystemAlarm};
use countersign_core::applications::Application;
use countersign_core::engine::{SiteConfig, StoredSettings};
use countersign_core::lockdown::Lockdowns;
use countersign_core::offer::Offer;
use countersign_core::peers::Peer;
use countersign_core::timestamp::Timestamp;
use countersign_proto::site_identity::KnownSite;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) fn run(input: &[u8]) {
    let Some((kind, document)) = input.split_first() else {
        return;
    };
    match kind % 11 {
        0 => again::<PersonData>(document),
        1 => again::<Alarm>(document),
        2 => again::<Preferences>(document),
        3 => again::<Application>(document),
        4 => again::<Peer>(document),
        5 => again::<SiteConfig>(document),
        6 => again::<StoredSettings>(document),
        7 => again::<Lockdowns>(document),
        8 => again::<Offer>(document),
        9 => again::<KnownSite>(document),
        _ => {
            again::<Timestamp>(document);
            again::<SystemAlarm>(document);
        }
    }
}

fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(document: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(document) {
        let written = serde_json::to_vec(&read).unwrap();
        assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), read);
    }
}
