//! The policy of each of the two sites.

use std::fmt;

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::site_identity::SiteId;

use crate::access::Channel;
use crate::accounts::State;
use crate::applications::{Application, ApplicationId, Edition};
use crate::engine::Site;
use crate::lockdown::{Activity, OperationKind};
use crate::peers::{Peer, PeerPermission, PeerState};
use crate::store::StoreError;
use crate::text::argument;

/// Why a site allows no ticket across sites. An admin sees it, and no application does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForeignDenial {
    /// An application of this site is in lockdown.
    Lockdown(ApplicationId),
    /// An application of this site is not active.
    State(ApplicationId, State),
    /// An application of this site has an edition without tickets across sites.
    Edition(ApplicationId),
    /// No peer has the zone.
    NoPeer(ForeignName),
    /// The peer is suspended or removed.
    PeerState(ForeignName, &'static str),
    /// The peer is in lockdown, or the site is.
    PeerLockdown(ForeignName),
    /// The peer may not ask for tickets.
    PeerPermission(ForeignName),
    /// This site does not allow its consumer to call the provider.
    Consumer(ApplicationId, ForeignName),
    /// This site does not allow the consumer of the peer to call its provider.
    Provider(ForeignName, ApplicationId),
}

impl fmt::Display for ForeignDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lockdown(id) => write!(f, "{id} is in lockdown"),
            Self::State(id, state) => write!(f, "{id} is {}", state.as_str()),
            Self::Edition(id) => {
                write!(f, "{id} does not speak v2, which tickets across sites need")
            }
            Self::NoPeer(name) => write!(
                f,
                "no peer has the zone {}; `peer list` shows the peers",
                name.zone()
            ),
            Self::PeerState(name, state) => write!(
                f,
                "the peer {} is {state}; `peer show {}` shows why",
                name.zone(),
                name.zone()
            ),
            Self::PeerLockdown(name) => write!(
                f,
                "the peer {} or this site is in lockdown; `lockdown status` shows why",
                name.zone()
            ),
            Self::PeerPermission(name) => write!(
                f,
                "the peer {} may not ask for tickets; `peer show {}` shows what it may ask for",
                name.zone(),
                name.zone()
            ),
            Self::Consumer(consumer, provider) => write!(
                f,
                "policy does not allow the call; `app update {} --allow {}` allows it",
                argument(consumer.as_str()),
                argument(&provider.to_string())
            ),
            Self::Provider(consumer, provider) => write!(
                f,
                "policy does not allow the call; `app update {} --allow-caller {}` allows it",
                argument(provider.as_str()),
                argument(&consumer.to_string())
            ),
        }
    }
}

impl Site {
    /// Returns the peer that an application of this site may ask for a ticket for this provider, or
    /// why it may not.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn may_ask(
        &self,
        consumer: &Application,
        provider: &ForeignName,
    ) -> Result<Result<SiteId, ForeignDenial>, StoreError> {
        let peer = match self.able(consumer, provider).await? {
            Ok(peer) => peer.site(),
            Err(denial) => return Ok(Err(denial)),
        };
        Ok(match consumer.may_call_foreign(provider, peer) {
            true => Ok(peer),
            false => {
                let (id, provider) = (consumer.id.clone(), provider.clone());
                Err(ForeignDenial::Consumer(id, provider))
            }
        })
    }

    /// Returns the peer for whose consumer this site makes a ticket for an application of its own,
    /// or why it makes none.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn may_answer(
        &self,
        consumer: &ForeignName,
        provider: &Application,
    ) -> Result<Result<Peer, ForeignDenial>, StoreError> {
        let peer = match self.able(provider, consumer).await? {
            Ok(peer) => peer,
            Err(denial) => return Ok(Err(denial)),
        };
        let name = consumer.clone();
        Ok(if !peer.allows.contains(&PeerPermission::Tickets) {
            Err(ForeignDenial::PeerPermission(name))
        } else if !provider.admits(consumer, peer.site()) {
            Err(ForeignDenial::Provider(name, provider.id.clone()))
        } else {
            Ok(peer)
        })
    }

    /// Returns the peer of an application, if nothing but policy can refuse a ticket.
    async fn able(
        &self,
        own: &Application,
        other: &ForeignName,
    ) -> Result<Result<Peer, ForeignDenial>, StoreError> {
        let id = || own.id.clone();
        if !self.permits_application(own) {
            return Ok(Err(ForeignDenial::Lockdown(id())));
        }
        if own.state != State::Active {
            return Ok(Err(ForeignDenial::State(id(), own.state)));
        }
        if own.edition != Edition::V2 || own.id.has_zone() {
            return Ok(Err(ForeignDenial::Edition(id())));
        }
        let Some(peer) = self.store().peer_of_zone(other.zone()).await? else {
            return Ok(Err(ForeignDenial::NoPeer(other.clone())));
        };
        let issues = Activity::Operation(OperationKind::IssuesTickets, Channel::Peer);
        Ok(match &peer.state {
            PeerState::Active if !self.permits_peer(issues, peer.site()) => {
                Err(ForeignDenial::PeerLockdown(other.clone()))
            }
            PeerState::Active => Ok(peer),
            state => Err(ForeignDenial::PeerState(other.clone(), state.as_str())),
        })
    }
}
