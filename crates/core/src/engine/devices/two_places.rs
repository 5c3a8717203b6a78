//! Finds devices whose key is in use at two places at once.
//!
//! ```text
//! older connection  ●─────────●───────────────●  a line, a minute or more after the other was opened
//! newer connection                 ●──────────────▶       from another network
//! ```
//!
//! A phone that changes its network opens a new connection, and the site keeps the lost one until it
//! is idle. A lost connection has no further lines. Two connections also are at two places if both
//! are open for longer than a lost one can be. On a connection to the REST API, a request is a line;
//! it is not known how long it is open.

use std::net::SocketAddr;

use crate::alarms::SystemAlarm;
use crate::engine::{Refusal, Site};
use crate::id::AccountId;
use crate::sessions::Activity;
use crate::throttle::Source;
use crate::timestamp::Timestamp;

/// A device may use its previous network for so many seconds after it has opened a connection from
/// another one.
const HANDOVER: u32 = 60;

impl Site {
    /// Reports devices with connections from two networks of one kind: over IPv4 and IPv6 one network
    /// has two addresses. `idle_timeout` is in milliseconds; with 0 a lost connection is never closed,
    /// and only lines tell that one is in use.
    pub(in crate::engine) async fn report_two_places(
        &self,
        idle_timeout: u64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let over_http = self.device_requests().activity(now);
        let by_device = self.sessions().activity_of_devices(over_http);
        for (device, connections) in by_device {
            let Some((account, networks)) = in_two_places(&connections, idle_timeout, now) else {
                continue;
            };
            let owner = self.store().account(account).await?;
            if let (Some(found), Some(owner)) = (self.store().device(device).await?, owner) {
                self.report(SystemAlarm::TwoPlaces {
                    device,
                    account,
                    person: owner.name.to_string(),
                    name: found.name.to_string(),
                    networks: networks.map(|network| network.to_string()),
                });
            }
        }
        Ok(())
    }
}

/// The account and the networks of two connections of one device that are in use at once.
fn in_two_places(
    connections: &[Activity],
    idle_timeout: u64,
    now: Timestamp,
) -> Option<(AccountId, [Source; 2])> {
    let lasts = |one: &Activity| {
        let is_limited = one.is_session && idle_timeout > 0;
        is_limited && now > one.opened.plus_millis(idle_timeout.saturating_mul(2))
    };
    let mut placed: Vec<(Source, &Activity)> = connections
        .iter()
        .filter_map(|one| Some((network(&one.peer)?, one)))
        .collect();
    placed.sort_by_key(|(_, one)| one.opened);
    // At most as many as a device may have connections.
    let pairs = placed.iter().enumerate().flat_map(|(place, older)| {
        let newer = placed.iter().skip(place + 1);
        newer.map(move |newer| (older, newer))
    });
    for ((first, older), (second, newer)) in pairs {
        let one_kind = matches!(first, Source::V4(_)) == matches!(second, Source::V4(_));
        if first == second || !one_kind {
            continue;
        }
        let took_turns = older.active > newer.opened.plus_seconds(HANDOVER);
        if took_turns || (lasts(older) && lasts(newer)) {
            let mut networks = [*first, *second];
            networks.sort_unstable();
            return Some((older.account, networks));
        }
    }
    None
}

fn network(peer: &str) -> Option<Source> {
    let peer: SocketAddr = peer.parse().ok()?;
    Some(Source::from(peer.ip()).network())
}
