//! What a peer answers when a site asks it for a ticket, and what the consumer gets.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::engine::{
    AskError, OperationName, OwnSide, PeerServerState, PeerTransport, TransportError,
};
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::peer::{JoinedSite, PeerTicket};
use countersign_proto::site_identity::SiteId;
use countersign_testkit::harness::{TestSite, run};
use serde_json::json;
use serde_json::value::RawValue;

use super::exchange;
use crate::corpus::Refused;

/// A peer that answers every operation with this.
struct Answers(Outcome);

#[async_trait]
impl PeerTransport for Answers {
    async fn join(&self, _: &PeerTicket, _: &OwnSide) -> Result<JoinedSite, TransportError> {
        Err(TransportError::Refused("it takes no ticket".to_owned()))
    }

    async fn ask(
        &self,
        _: SiteId,
        _: OperationName,
        _: Box<RawValue>,
    ) -> Result<Outcome, AskError> {
        Ok(self.0.clone())
    }

    fn wake(&self) {}

    async fn settle(&self, _: bool) {}

    fn state(&self) -> PeerServerState {
        PeerServerState::Running
    }
}

/// The result of `broker foreign_ticket`: the peer's refusal reaches the consumer. A ticket would have to
/// answer the nonce that the site has just chosen.
pub(super) fn ticket(bytes: &[u8]) -> Result<(), Refused> {
    let outcome = exchange::result(bytes)?;
    let (code, data) = exchange::runtime().block_on(async {
        let test = TestSite::new().await;
        test.takes_enrolments();
        test.admin("person.create", json!({ "name": "ada" })).await;
        test.site.connect_peers_with(Arc::new(Answers(outcome)));
        test.admin("peer.start", json!({})).await;
        test.peer("ada").await;
        let (session, _) = test.service("robot").await;
        let settings = json!({ "service": "robot" });
        test.create_application("billing", settings).await;
        let allow = json!({ "id": "billing", "allow": [{ "foreign": "ledger@b.example" }] });
        test.admin("app.update", allow).await;
        let params = json!({ "app": "billing", "providers": ["ledger@b.example"] });
        run(&test.site, &session.caller, "broker.ticket", params).await
    });
    assert_eq!(code, Code::SUCCESS, "{data}");
    match data["tickets"][0]["refused"].as_str() {
        Some("not-allowed") => Ok(()),
        refused => Err(("not_taken", refused.unwrap_or_default().to_owned())),
    }
}
