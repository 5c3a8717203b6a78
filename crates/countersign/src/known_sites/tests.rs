//! The file of known sites as it is written, damaged, and written by two at once.

use std::os::unix::fs::PermissionsExt;

use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::site_identity::SignedKeyEvent;

use super::*;

fn key(byte: u8) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
}

/// What is known of the site whose keys are `first`, `first` + 1 and so on after so many rotations.
fn known(first: u8, rotations: u8) -> KnownSite {
    let mut events = vec![SignedKeyEvent::first(
        &key(first),
        &key(first + 1).public(),
        0,
    )];
    for number in first..first + rotations {
        let (current, new, next) = (key(number), key(number + 1), key(number + 2).public());
        let last = events[events.len() - 1];
        events.push(last.replaced_by(&current, &new, &next, 1, None));
    }
    KnownSite::whole(&events).unwrap()
}

fn known_sites(folder: &tempfile::TempDir) -> KnownSites {
    KnownSites {
        folder: folder.path().join("state/countersign"),
    }
}

#[test]
fn what_is_known_of_a_site_is_found_again_under_each_of_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let sites = known_sites(&folder);
    let (old, new, other) = (key(1).public(), key(3).public(), key(50).public());
    assert_eq!(sites.find(&old).unwrap(), None);
    sites.record(&old, known(1, 0)).unwrap();
    sites.record(&other, known(50, 1)).unwrap();
    // A newer URI of the same site shows newer key events, which then count for the older one.
    sites.record(&new, known(1, 2)).unwrap();
    assert_eq!(sites.find(&old).unwrap(), Some(known(1, 2)));
    assert_eq!(sites.find(&new).unwrap(), Some(known(1, 2)));
    assert_eq!(sites.find(&other).unwrap(), Some(known(50, 1)));
    // An older state is not stored in place of a newer one.
    sites.record(&old, known(1, 1)).unwrap();
    assert_eq!(sites.find(&old).unwrap(), Some(known(1, 2)));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sites.file()), 0o600);
    assert_eq!(mode(&sites.folder), 0o700);
}

#[test]
fn a_site_that_contradicts_what_is_known_through_another_uri_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sites = known_sites(&folder);
    sites.record(&key(1).public(), known(1, 1)).unwrap();
    let first = SignedKeyEvent::first(&key(1), &key(2).public(), 0);
    let fork = first.replaced_by(&key(1), &key(2), &key(99).public(), 1, None);
    let fork = KnownSite::whole(&[first, fork]).unwrap();
    let refused = sites.record(&key(2).public(), fork).unwrap_err();
    assert_eq!(refused.exit, Exit::NotAuthenticated);
    assert_eq!(sites.find(&key(2).public()).unwrap(), None);
}

#[test]
fn a_damaged_file_is_reported_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let sites = known_sites(&folder);
    sites.record(&key(1).public(), known(1, 0)).unwrap();
    let whole = std::fs::read_to_string(sites.file()).unwrap();
    let changed = whole.replace("\"version\": 1", "\"version\": 2");
    for text in [&whole[..whole.len() / 2], "", "[]", &changed] {
        std::fs::write(sites.file(), text).unwrap();
        let damaged = sites.find(&key(1).public()).unwrap_err();
        assert!(
            damaged.message.contains("known_sites.json"),
            "{}",
            damaged.message
        );
        assert!(sites.record(&key(1).public(), known(1, 1)).is_err());
        assert_eq!(std::fs::read_to_string(sites.file()).unwrap(), text);
    }
}

#[test]
fn commands_that_store_at_the_same_time_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sites = known_sites(&folder);
    std::thread::scope(|scope| {
        for first in 1..=8 {
            let sites = sites.clone();
            scope.spawn(move || sites.record(&key(first * 10).public(), known(first * 10, 0)));
        }
    });
    for first in 1..=8 {
        let pin = key(first * 10).public();
        assert_eq!(sites.find(&pin).unwrap(), Some(known(first * 10, 0)));
    }
}

#[test]
fn the_oldest_entry_makes_room_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let sites = known_sites(&folder);
    drop(sites.lock().unwrap());
    let entry = |number: usize| Entry {
        pin: number.to_string(),
        known: known(1, 0),
    };
    let full = Document {
        version: VERSION,
        sites: (0..MAX_KNOWN_SITES).map(entry).collect(),
    };
    std::fs::write(sites.file(), serde_json::to_vec(&full).unwrap()).unwrap();
    sites.record(&key(1).public(), known(1, 0)).unwrap();
    let after = sites.read().unwrap().sites;
    assert_eq!((after.len(), after[0].pin.as_str()), (MAX_KNOWN_SITES, "1"));
}
