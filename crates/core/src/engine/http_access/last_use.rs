//! When access tokens were used last, and when devices called last over HTTP.

use serde_json::{Map, Value};

use super::HttpAccess;
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::engine::Site;
use crate::id::{AccessTokenId, AccountId, DeviceId};
use crate::store::{AccessTokenChange, Change, ChangeSet, StoreError};
use crate::timestamp::Timestamp;

/// How often last uses are written, in milliseconds: one audit entry in five minutes for all
/// tokens, and one for all devices.
const WRITE_INTERVAL: u64 = 300_000;
/// The maximum number of last uses in one change set. It bounds the audit entry.
const MAX_WRITTEN: usize = 256;
/// The maximum number of tokens and devices whose last use waits to be written. The use of further ones is
/// not recorded until then.
const MAX_WAITING: usize = 65_536;

/// A credential whose last use is written from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Used {
    Token(AccessTokenId),
    Device(DeviceId, AccountId),
}

/// The last use of a credential, with the number of uses.
type LastUse = (Used, (Timestamp, u64));

impl HttpAccess {
    /// Returns when a token was used last, if that was not written yet.
    pub(crate) fn last_used(&self, token: AccessTokenId) -> Option<Timestamp> {
        let entries = self.entries();
        entries.used.get(&Used::Token(token)).map(|(at, _)| *at)
    }

    /// Returns when a device of an account called last, if that was not written yet.
    pub(crate) fn device_last_seen(
        &self,
        device: DeviceId,
        account: AccountId,
    ) -> Option<Timestamp> {
        let entries = self.entries();
        let used = entries.used.get(&Used::Device(device, account));
        used.map(|(at, _)| *at)
    }

    /// A device called.
    pub(in crate::engine) fn device_used(
        &self,
        device: DeviceId,
        account: AccountId,
        now: Timestamp,
    ) {
        self.use_of(Used::Device(device, account), now);
    }

    /// A device was seen on another channel: an earlier use is not written after that.
    pub(in crate::engine) fn device_seen(
        &self,
        device: DeviceId,
        account: AccountId,
        seen: Timestamp,
    ) {
        let mut entries = self.entries();
        if let Some((at, _)) = entries.used.get_mut(&Used::Device(device, account)) {
            *at = seen.max(*at);
        }
    }

    pub(super) fn use_of(&self, used: Used, now: Timestamp) {
        let mut entries = self.entries();
        if entries.used.len() < MAX_WAITING || entries.used.contains_key(&used) {
            let (at, times) = entries.used.entry(used).or_insert((now, 0));
            *at = now.max(*at);
            *times += 1;
        }
    }

    /// Takes last uses to write: those that are due at `now`, or all.
    fn take_used(&self, now: Option<Timestamp>) -> Vec<LastUse> {
        let mut entries = self.entries();
        let is_due = match (now, entries.written) {
            (Some(now), Some(written)) => {
                written.plus_millis(WRITE_INTERVAL) <= now || now < written
            }
            (None, _) | (_, None) => true,
        };
        if entries.used.is_empty() || !is_due {
            return Vec::new();
        }
        let taken: Vec<Used> = entries.used.keys().take(MAX_WRITTEN).copied().collect();
        if taken.len() == entries.used.len() {
            entries.written = now;
        }
        let taken = taken.into_iter();
        taken
            .filter_map(|id| entries.used.remove_entry(&id))
            .collect()
    }

    fn put_back(&self, used: Vec<LastUse>) {
        let mut entries = self.entries();
        for (id, (at, times)) in used {
            let (latest, total) = entries.used.entry(id).or_insert((at, 0));
            *latest = at.max(*latest);
            *total += times;
        }
    }
}

impl Site {
    /// Returns when a device of an account called last over HTTP, if that was not written yet.
    pub(crate) fn device_last_seen(
        &self,
        device: DeviceId,
        account: AccountId,
    ) -> Option<Timestamp> {
        self.http_access().device_last_seen(device, account)
    }

    /// Returns when an access token was used last, if that was not written yet.
    pub(crate) fn token_last_used(&self, token: AccessTokenId) -> Option<Timestamp> {
        self.0.http_access.last_used(token)
    }

    /// Writes when access tokens were used last, and when devices called last over HTTP, if that is due
    /// at `now`; without `now`, at once.
    pub(in crate::engine) async fn write_credential_use(
        &self,
        now: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        loop {
            let used = self.http_access().take_used(now);
            if used.is_empty() {
                return Ok(());
            }
            let is_token = |(used, _): &LastUse| matches!(used, Used::Token(_));
            let (tokens, devices): (Vec<_>, Vec<_>) = used.into_iter().partition(is_token);
            let written = self.write_use(&tokens, now).await;
            if let Err(error) = written {
                self.http_access().put_back([tokens, devices].concat());
                return Err(error);
            }
            if let Err(error) = self.write_use(&devices, now).await {
                self.http_access().put_back(devices);
                return Err(error);
            }
        }
    }

    /// Writes the last uses of credentials of one kind, with one audit entry.
    async fn write_use(&self, used: &[LastUse], now: Option<Timestamp>) -> Result<(), StoreError> {
        let Some(last) = used.iter().map(|(_, (at, _))| *at).max() else {
            return Ok(());
        };
        let (mut tokens, mut changes, mut counts) = (Vec::new(), Vec::new(), Map::new());
        for (credential, (at, times)) in used {
            let id = match *credential {
                Used::Token(id) => {
                    tokens.push((id, *at));
                    id.to_string()
                }
                Used::Device(id, account) => {
                    let at = *at;
                    changes.push(Change::SeeDevice { id, account, at });
                    id.to_string()
                }
            };
            counts.insert(id, (*times).into());
        }
        let (event, name) = match tokens.is_empty() {
            false => ("token.used", "tokens"),
            true => ("device.used", "devices"),
        };
        if !tokens.is_empty() {
            changes.push(Change::AccessToken(AccessTokenChange::Used(tokens)));
        }
        let details = Map::from_iter([(name.to_owned(), Value::Object(counts))]);
        let audit = AuditDraft {
            details: Value::Object(details).to_string(),
            ..AuditDraft::done(&Caller::site(), event, now.unwrap_or(last))
        };
        let committed = self.store().commit(ChangeSet::new(changes, audit)).await;
        committed.map(drop)
    }
}
