//! An account, application or peer that is put in lockdown or released from it.

use std::fmt;

use countersign_proto::name::{AccountName, Zone};
use countersign_proto::site_identity::SiteId;

use crate::accounts::{Account, Kind};
use crate::applications::ApplicationId;
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::lockdown::{Imposed, ImposedOn, LockdownTarget};
use crate::operations::account;
use crate::operations::app::{void_tickets, void_tickets_of_account};
use crate::operations::peer::PeerRef;
use crate::store::Notice;

/// An account, application or peer that exists.
pub(super) struct Found {
    pub(super) target: LockdownTarget,
    kind: &'static str,
    pub(super) name: String,
    /// The zone of a peer.
    zone: Option<Zone>,
}

impl Found {
    pub(super) async fn account(
        context: &Context,
        kind: Kind,
        name: &AccountName,
    ) -> Result<Self, Refusal> {
        let account = account::find(context, kind, name).await?;
        context.expect_tag(&account)?;
        Ok(Self::of(&account))
    }

    /// Finds an account by its id.
    pub(super) async fn account_of(context: &Context, id: AccountId) -> Result<Self, Refusal> {
        let found = context.site().store().account(id).await?;
        let not_found = || Refusal::not_found("account", id).of_field("account");
        found.as_ref().map(Self::of).ok_or_else(not_found)
    }

    fn of(account: &Account) -> Self {
        Self {
            target: LockdownTarget::Account(account.id),
            kind: account.kind.as_str(),
            name: account.name.to_string(),
            zone: None,
        }
    }

    pub(super) async fn application(
        context: &Context,
        id: &ApplicationId,
    ) -> Result<Self, Refusal> {
        let found = context.site().store().application(id).await?;
        let found = found.ok_or_else(|| Refusal::not_found("application", id).of_field("id"))?;
        context.expect_tag(&found)?;
        Ok(Self {
            target: LockdownTarget::of_application(&found),
            kind: "app",
            name: id.to_string(),
            zone: None,
        })
    }

    pub(super) async fn peer(context: &Context, named: &PeerRef) -> Result<Self, Refusal> {
        let peer = named.find(context).await?;
        Ok(Self::site(peer.site(), Some(peer.zone)))
    }

    /// Finds a peer whose lockdown is lifted. An admin may have forgotten the peer since: its site
    /// is in lockdown all the same.
    pub(super) async fn peer_to_lift(context: &Context, named: &PeerRef) -> Result<Self, Refusal> {
        let lockdowns = context.site().lockdowns();
        let in_lockdown = |site: &SiteId| lockdowns.of(&LockdownTarget::Peer(*site)).is_some();
        match (Self::peer(context, named).await, named.site_id()) {
            (Err(refusal), Some(site)) if in_lockdown(&site) && refusal.is_not_found() => {
                Ok(Self::site(site, None))
            }
            (found, _) => found,
        }
    }

    fn site(site: SiteId, zone: Option<Zone>) -> Self {
        Self {
            target: LockdownTarget::Peer(site),
            kind: "peer",
            name: site.to_string(),
            zone,
        }
    }

    pub(super) fn imposed(&self, imposed: Imposed) -> ImposedOn {
        ImposedOn {
            name: self.to_string(),
            imposed,
        }
    }

    /// Returns the notices that tell providers that the tickets of the application, of those of the
    /// account, or of those of the peer, are void.
    pub(super) async fn void_tickets(&self, context: &Context) -> Result<Vec<Notice>, Refusal> {
        let (site, now) = (context.site(), context.now());
        match &self.target {
            LockdownTarget::Application { id, .. } => {
                let found = site.store().application(id).await?;
                // It may have been deleted since, or replaced with another one.
                match found.filter(|now| LockdownTarget::of_application(now) == self.target) {
                    Some(application) => void_tickets(context, &application).await,
                    None => Ok(Vec::new()),
                }
            }
            LockdownTarget::Peer(peer) => Ok(site.foreign_tickets_void(*peer, None, now).await?),
            LockdownTarget::Account(account) => void_tickets_of_account(context, *account).await,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        match &self.zone {
            Some(zone) => write!(f, " ({zone})"),
            None => Ok(()),
        }
    }
}
