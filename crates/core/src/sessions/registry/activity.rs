//! When the connections of devices were used last.

use std::collections::{BTreeMap, HashSet};

use super::SessionRegistry;
use crate::id::{AccountId, DeviceId, SessionId};
use crate::sessions::{CloseReason, Proof, SessionInfo};
use crate::timestamp::Timestamp;

/// A connection of a device and its last sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) account: AccountId,
    /// The peer's address and port.
    pub(crate) peer: String,
    pub(crate) opened: Timestamp,
    /// When its last line or request came.
    pub(crate) active: Timestamp,
    /// Whether it is a session, which is open.
    pub(crate) is_session: bool,
}

impl SessionRegistry {
    /// Cuts the oldest connections of a session's device, except that session, until at most `max`
    /// are left with it. They count as lost.
    pub(crate) fn cut_oldest(&self, info: &SessionInfo, max: usize) -> usize {
        self.cut_all(CloseReason::ConnectionLost, |all| {
            let own = all.accounts.get(&info.account);
            let own = own.map_or(&[][..], |own| own.ids.as_slice());
            let own = own.iter().filter_map(|id| all.live.get(id));
            let others = own.filter(|other| {
                other.is_live() && other.info.proof == info.proof && other.info.id != info.id
            });
            let others: Vec<SessionId> = others.map(|other| other.info.id).collect();
            let surplus = (others.len() + 1).saturating_sub(max.max(1));
            others.into_iter().take(surplus).collect()
        })
    }

    /// Notes that a line of a device came.
    pub fn line_came(&self, id: SessionId, now: Timestamp) {
        if let Some(session) = self.all().live.get_mut(&id) {
            session.active = now;
        }
    }

    /// The connections of each device that has two or more, with those that are `known` already.
    pub(crate) fn activity_of_devices(
        &self,
        known: BTreeMap<DeviceId, Vec<Activity>>,
    ) -> BTreeMap<DeviceId, Vec<Activity>> {
        let accounts = known.values().flatten().map(|one| one.account);
        let accounts: HashSet<AccountId> = accounts.collect();
        let mut found = known;
        let all = self.all();
        let own = all.accounts.iter();
        let own = own.filter(|(account, own)| own.ids.len() > 1 || accounts.contains(account));
        for (_, own) in own {
            let sessions = own.ids.iter().filter_map(|id| all.live.get(id));
            for session in sessions.filter(|session| session.is_live()) {
                let info = &session.info;
                if let Proof::Device(device) = info.proof {
                    found.entry(device).or_default().push(Activity {
                        account: info.account,
                        peer: info.peer.clone(),
                        opened: info.opened,
                        active: session.active,
                        is_session: true,
                    });
                }
            }
        }
        drop(all);
        found.retain(|_, connections| connections.len() > 1);
        found
    }
}
