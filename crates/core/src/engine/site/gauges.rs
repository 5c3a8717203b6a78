//! Numbers of a running site for its operator: counts alone, without ids and names.

use crate::access::Channel;
use crate::engine::Site;
use crate::store::StoreError;
use crate::timestamp::Timestamp;

/// Numbers of what a site has in memory, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Open sessions of the session protocol.
    pub sessions: usize,
    /// Suspended sessions.
    pub suspended: usize,
    /// Open connections of devices.
    pub devices: usize,
    /// Open connections with peers.
    pub peers: usize,
    /// Accounts, applications and peers in lockdown.
    pub locked_down: usize,
    /// Sources and networks with a penalty.
    pub penalties: usize,
}

/// Numbers of what a site has in its store, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredGauges {
    /// Entries of the audit log.
    pub audit_entries: u64,
    /// Alarms, with those that are over.
    pub alarms: u64,
    /// Messages about alarms that wait, at most
    /// [`MAX_COUNTED_DELIVERIES`](crate::store::MAX_COUNTED_DELIVERIES).
    pub deliveries_waiting: u64,
    /// Messages about alarms that were given up, at most as many.
    pub deliveries_dead: u64,
}

impl Site {
    /// Counts what is in memory at `now`.
    #[must_use]
    pub fn gauges(&self, now: Timestamp) -> Gauges {
        let [sessions, devices] =
            [Channel::Session, Channel::Device].map(|channel| self.sessions().open_on(channel));
        Gauges {
            sessions,
            suspended: self.sessions().suspended(),
            devices,
            peers: self.open_peer_connections(),
            locked_down: self.lockdowns().targets().len(),
            penalties: self.throttle().penalties().list(now).len(),
        }
    }

    /// Counts what is in the store. It costs three reads of indexes.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn stored_gauges(&self) -> Result<StoredGauges, StoreError> {
        let store = self.store();
        let outbox = store.outbox_state().await?;
        Ok(StoredGauges {
            audit_entries: store.audit_head().await?.seq,
            alarms: store.alarm_counts(None).await?.stored,
            deliveries_waiting: outbox.waiting,
            deliveries_dead: outbox.dead,
        })
    }
}
