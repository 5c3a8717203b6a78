//! Connections on which devices call the REST API. They are no sessions, and last as long as their client
//! likes.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crate::access::{Caller, HttpCredential};
use crate::engine::Site;
use crate::id::{AccountId, DeviceId};
use crate::sessions::Activity;
use crate::timestamp::Timestamp;

/// A connection is remembered for so many seconds after its last request: the site ends one that is not
/// used for as long.
const REMEMBERED: u32 = 1_200;
/// The maximum number of remembered connections of a device. Those that were used last stay.
const MAX_OF_DEVICE: usize = 8;
/// The maximum number of devices whose connections are remembered. Those of further devices are not, until
/// others are forgotten.
const MAX_DEVICES: usize = 16_384;

/// The connections of each device.
#[derive(Default)]
pub(in crate::engine) struct DeviceRequests(Mutex<HashMap<DeviceId, Vec<Connection>>>);

struct Connection {
    account: AccountId,
    peer: SocketAddr,
    opened: Timestamp,
    active: Timestamp,
}

impl DeviceRequests {
    fn add(&self, device: DeviceId, used: Connection) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_DEVICES && !all.contains_key(&device) {
            return;
        }
        let own = all.entry(device).or_default();
        let is_same = |one: &&mut Connection| (one.peer, one.opened) == (used.peer, used.opened);
        if let Some(known) = own.iter_mut().find(is_same) {
            known.active = used.active;
            return;
        }
        own.push(used);
        if own.len() > MAX_OF_DEVICE {
            let oldest = own.iter().enumerate().min_by_key(|(_, one)| one.active);
            if let Some((place, _)) = oldest {
                own.swap_remove(place);
            }
        }
    }

    /// The connections of each device, after those that were not used for long have been forgotten.
    pub(super) fn activity(&self, now: Timestamp) -> BTreeMap<DeviceId, Vec<Activity>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, own| {
            own.retain(|one| now < one.active.plus_seconds(REMEMBERED));
            !own.is_empty()
        });
        let of = |one: &Connection| Activity {
            account: one.account,
            peer: one.peer.to_string(),
            opened: one.opened,
            active: one.active,
            is_session: false,
        };
        let all = all.iter();
        all.map(|(device, own)| (*device, own.iter().map(of).collect()))
            .collect()
    }
}

impl Site {
    pub(super) fn device_requests(&self) -> &DeviceRequests {
        &self.0.device_requests
    }

    /// Records a request of a device over HTTP on the connection from `peer` that was opened at `opened`:
    /// the device was seen, and its key is in use there. It costs no write. A caller that is no device is
    /// ignored.
    pub fn device_requested(
        &self,
        caller: &Caller,
        (peer, opened): (SocketAddr, Timestamp),
        now: Timestamp,
    ) {
        let grant = caller.grant.as_ref();
        let Some((grant, HttpCredential::Device(device))) =
            grant.map(|grant| (grant, grant.credential))
        else {
            return;
        };
        let account = grant.account;
        self.http_access().device_used(device, account, now);
        let used = Connection {
            account,
            peer,
            opened,
            active: now,
        };
        self.device_requests().add(device, used);
    }
}
