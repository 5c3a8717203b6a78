//! A connection without sockets, for the simulation of two peers.

use async_trait::async_trait;
use countersign_core::engine::{
    AskError, OperationName, OwnSide, PeerServerState, PeerTransport, Site, TransportError,
};
use countersign_proto::operation::Outcome;
use countersign_proto::peer::{JoinedSite, PeerTicket};
use countersign_proto::site_identity::SiteId;
use countersign_testkit::harness::{NOW, joins_directly};
use serde_json::value::RawValue;

/// A connection without sockets to the only other site.
pub(crate) struct Direct {
    pub(crate) own: Site,
    pub(crate) other: Site,
}

#[async_trait]
impl PeerTransport for Direct {
    async fn join(&self, ticket: &PeerTicket, own: &OwnSide) -> Result<JoinedSite, TransportError> {
        joins_directly(&self.own, &self.other, ticket, own, NOW).await
    }

    async fn ask(
        &self,
        _: SiteId,
        _: OperationName,
        _: Box<RawValue>,
    ) -> Result<Outcome, AskError> {
        Err(AskError::Unreachable("it answers messages only".to_owned()))
    }

    fn wake(&self) {}

    async fn settle(&self, _: bool) {}

    fn state(&self) -> PeerServerState {
        PeerServerState::Running
    }
}
