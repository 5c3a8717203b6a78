//! What a peer answers when a site asks it for a ticket, and what the consumer gets.

use countersign_proto::operation::Code;
use countersign_testkit::harness::{StubTransport, TestSite, run};
use serde_json::json;

use super::exchange;
use crate::corpus::Refused;

/// The result of `broker foreign_ticket`: the peer's refusal reaches the consumer. A ticket would have to
/// answer the nonce that the site has just chosen.
pub(super) fn ticket(bytes: &[u8]) -> Result<(), Refused> {
    let outcome = exchange::result(bytes)?;
    let (code, data) = exchange::runtime().block_on(async {
        let (test, _) = TestSite::with_peer().await;
        let peer = StubTransport::answering(outcome);
        test.site.connect_peers_with(peer);
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
