//! A connection without sockets, for the simulation of two peers.

use async_trait::async_trait;
use countersign_core::engine::{
    AskError, OperationName, OwnSide, PeerServerState, PeerTransport, Site, TransportError,
};
use countersign_proto::enrolment::Exporter;
use countersign_proto::operation::Outcome;
use countersign_proto::peer::{JoinRequest, JoinedSite, Joining, PeerTicket};
use countersign_proto::site_identity::{KnownSite, SiteId};
use countersign_testkit::harness::{NOW, PEER_SOURCE};
use serde_json::value::RawValue;

const EXPORTER: Exporter = Exporter([3; 32]);

/// A connection without sockets to the only other site.
pub(crate) struct Direct {
    pub(crate) own: Site,
    pub(crate) other: Site,
}

#[async_trait]
impl PeerTransport for Direct {
    async fn join(&self, ticket: &PeerTicket, own: &OwnSide) -> Result<JoinedSite, TransportError> {
        let events = self.own.key_events();
        let joining = Joining {
            id: &own.id,
            host: &own.host,
            port: own.port,
            events: &events,
        };
        let keys = self.own.unsealed_keys().unwrap();
        let token = ticket.token().clone();
        let request = JoinRequest::new(token, &joining, &keys.key, ticket.site(), &EXPORTER);
        let request = request.unwrap();
        let proof = async { request.verify(&EXPORTER, &self.other.public_key()).ok() };
        let accepted = self.other.accept_peer(&request, proof, PEER_SOURCE, NOW);
        accepted.await.unwrap();
        let events = self.other.key_events().to_vec();
        Ok(JoinedSite {
            known: KnownSite::whole(&events).unwrap(),
            events,
        })
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
