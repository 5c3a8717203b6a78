//! The table of what a lockdown refuses, asked by a caller of each channel.

use std::collections::BTreeMap;

use countersign_core::access::Channel;
use countersign_core::lockdown::{Activity, LockdownLevel};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, operation, stays_open};
use serde_json::json;

use super::{caller, lift, lock_down};

/// Every operation on every channel at every level. The parameters are invalid, so an operation that
/// is permitted does nothing. The test left out all operations of peers, whose caller had no
/// connection, and accepted any refusal of a session that the highest level had ended.
#[tokio::test]
async fn every_operation_on_every_channel_follows_the_table_at_every_level() {
    let (test, peer) = TestSite::with_peer().await;
    let mut asked = BTreeMap::new();
    for level in LockdownLevel::ALL.map(Some).into_iter().chain([None]) {
        let name = level.map_or("root", LockdownLevel::as_str);
        let root = test.person(name, "admin").await;
        let of_peer = stays_open(peer.connect(&test.site, NOW).await.unwrap());
        if let Some(level) = level {
            lock_down(&test, level).await;
        }
        for entry in test.site.table().entries() {
            for channel in Channel::ALL {
                let caller = match channel {
                    Channel::Peer => of_peer.clone(),
                    _ => caller(channel, &root),
                };
                if entry.access().scope(&caller).is_none() {
                    continue;
                }
                *asked.entry(channel.as_str()).or_insert(0) += 1;
                let invalid = operation(entry.name(), &json!({ "no such field": 1 }));
                let outcome = test.site.run(&caller, &invalid, NOW).await;
                let permitted = Activity::Operation(entry.kind(), channel).is_permitted_at(level);
                let name = entry.name();
                assert_eq!(
                    outcome.code == Code::LOCKDOWN,
                    !permitted,
                    "{name} on {channel} at {level:?}: {outcome:?}"
                );
                assert_ne!(outcome.code, Code::NOT_PERMITTED, "{name} on {channel}");
            }
        }
        if level.is_some() {
            lift(&test).await;
        }
    }
    for channel in Channel::ALL {
        assert!(asked.contains_key(channel.as_str()), "{channel}: {asked:?}");
    }
    // Six operations of peers.
    assert_eq!(asked["peer"], 6 * 4, "{asked:?}");
}
