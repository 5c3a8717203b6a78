//! What peers tell this site of themselves: their state, and why they ended the last connection; and
//! what this site tells them.

use std::collections::HashMap;

use countersign_proto::peer::PeerEnd;
use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Site, lock};
use crate::lockdown::LockdownLevel;
use crate::peers::PeerState;
use crate::sessions::CloseReason;
use crate::store::StoreError;
use crate::timestamp::Timestamp;

/// The most characters of a version that a peer tells.
const MAX_VERSION: usize = 32;

/// The state of a site, as it tells a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerStatus {
    /// The time of the site.
    pub time: Timestamp,
    /// The version of its program; absent if the site does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The level of the lockdown of the site; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockdown: Option<LockdownLevel>,
}

/// What a peer told since the site was started.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerTold {
    /// Its state, and when it told.
    pub(crate) status: Option<(PeerStatus, Timestamp)>,
    /// Why it ended the last connection that it ended, and when.
    pub(crate) end: Option<(PeerEnd, Timestamp)>,
}

/// What the peers told. There are as many as peers at most.
#[derive(Default)]
pub(crate) struct ToldByPeers(HashMap<SiteId, PeerTold>);

impl Site {
    /// The state of this site, for a peer.
    pub(crate) fn status_for_peers(&self, now: Timestamp) -> PeerStatus {
        PeerStatus {
            time: now,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            lockdown: self.lockdowns().level(),
        }
    }

    /// A peer is asked for its state after each head that was sent to it.
    #[must_use]
    pub fn asks_for_status(&self, site: SiteId, now: Timestamp) -> bool {
        lock(&self.peering().heads).asks_for_status(site, now)
    }

    /// Takes the state of a peer; `None` if it did not tell, or cannot be read.
    pub fn peer_told_status(&self, site: SiteId, status: Option<PeerStatus>, now: Timestamp) {
        lock(&self.peering().heads).asked_for_status(site);
        let Some(status) = status else {
            return;
        };
        let version = status.version.filter(|version| is_version(version));
        let status = PeerStatus { version, ..status };
        let mut told = lock(&self.peering().told);
        told.0.entry(site).or_default().status = Some((status, now));
    }

    /// A peer ended a connection for this reason.
    pub fn peer_ended(&self, site: SiteId, end: PeerEnd, now: Timestamp) {
        let mut told = lock(&self.peering().told);
        told.0.entry(site).or_default().end = Some((end, now));
    }

    /// The last line of a connection with a peer that this site ends for this reason; `None` if
    /// nothing is said.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn end_for_peer(
        &self,
        site: SiteId,
        reason: CloseReason,
    ) -> Result<Option<PeerEnd>, StoreError> {
        Ok(Some(match reason {
            CloseReason::Idle => PeerEnd::Idle,
            CloseReason::SiteStopping => PeerEnd::Stopping,
            CloseReason::SiteSealed => PeerEnd::Sealed,
            CloseReason::Lockdown => PeerEnd::Lockdown,
            CloseReason::KeyRevoked => PeerEnd::NewKey,
            CloseReason::ProtocolFault => PeerEnd::Protocol,
            CloseReason::Cut => match self.store().peer(site).await?.map(|peer| peer.state) {
                Some(PeerState::Suspended { .. }) => PeerEnd::Suspended,
                Some(PeerState::Removed { .. }) | None => PeerEnd::Removed,
                Some(PeerState::Active) => PeerEnd::ServerStopped,
            },
            // The connection is gone, or is not needed any more. The others are of sessions.
            CloseReason::Goodbye
            | CloseReason::ConnectionLost
            | CloseReason::Expired
            | CloseReason::Replaced
            | CloseReason::AccountLocked
            | CloseReason::AccountDeleted
            | CloseReason::AccountChanged
            | CloseReason::PassphraseChanged
            | CloseReason::TokenRevoked
            | CloseReason::OptionDisabled
            | CloseReason::NotProved => return Ok(None),
        }))
    }

    /// What a peer told.
    pub(crate) fn told_by(&self, site: SiteId) -> PeerTold {
        let told = lock(&self.peering().told);
        told.0.get(&site).cloned().unwrap_or_default()
    }

    /// A peer was forgotten.
    pub(crate) fn forget_told(&self, site: SiteId) {
        lock(&self.peering().told).0.remove(&site);
        self.peer_waits_no_more(site);
    }
}

/// The text is shown to admins.
fn is_version(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".+-".contains(c);
    text.len() <= MAX_VERSION && text.chars().all(is_allowed)
}
