//! What peers tell this site of themselves: their state, why they ended the last connection, and
//! their new addresses; and what this site tells them.

use std::collections::HashMap;

use countersign_proto::peer::PeerEnd;
use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Site, lock};
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::lockdown::LockdownLevel;
use crate::peers::PeerState;
use crate::sessions::CloseReason;
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
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

/// Where peers reach a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerAddressNotice {
    /// A DNS name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port there.
    #[schemars(range(min = 1))]
    pub port: u16,
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
    pub fn asks_for_status(&self, site: SiteId) -> bool {
        lock(&self.peering().heads).asks_for_status(site)
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

    /// The address of this site, if it is another one than the peer was told.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn address_for(&self, site: SiteId) -> Result<Option<PeerAddressNotice>, StoreError> {
        let Some(own) = self.endpoints().peer else {
            return Ok(None);
        };
        let peer = self.store().peer(site).await?;
        let is_new = peer.is_some_and(|peer| peer.told_address != Some(own.to_string()));
        Ok(is_new.then_some(PeerAddressNotice {
            host: own.host,
            port: own.port,
        }))
    }

    /// The peer stored the address of this site.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn address_told(
        &self,
        site: SiteId,
        address: &PeerAddressNotice,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let is = format!("{}:{}", address.host, address.port);
        let peer = self.store().peer(site).await?;
        // Two connections may have told it, if the first one was lost while this was stored.
        let peer = peer.filter(|peer| peer.is_active() && peer.told_address.as_ref() != Some(&is));
        let Some(peer) = peer else {
            return Ok(());
        };
        let details = json!({ "zone": peer.zone, "was": peer.told_address, "is": is });
        let peer = peer.revised(|peer| peer.told_address = Some(is));
        let audit = AuditDraft {
            target: Some(site.to_string()),
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.address_told", now)
        };
        let change = Change::Peer(PeerChange::Update(Box::new(peer)));
        match self
            .store()
            .commit(ChangeSet::new(vec![change], audit))
            .await
        {
            // An admin changed the peer at the same time. The next connection tells it again.
            Ok(_) | Err(StoreError::Stale { .. } | StoreError::NotFound { .. }) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }
}

/// The text is shown to admins.
fn is_version(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".+-".contains(c);
    text.len() <= MAX_VERSION && text.chars().all(is_allowed)
}
