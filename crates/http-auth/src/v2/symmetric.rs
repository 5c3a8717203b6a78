//! Tickets over a session with the site: the symmetric ticket path.

use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::consumer::{Consumer as Parties, IssuedTicket};
use countersign_proto::broker::v2::symmetric::TicketResult;
use serde::Deserialize;
use serde_json::json;

use super::V2;
use crate::consumer::{ConsumerError, Responder, SharedConsumer, Target};
use crate::refusal;
use crate::session::SiteSession;

/// The result of the operation `broker ticket`.
#[derive(Deserialize)]
struct Tickets {
    tickets: Vec<TicketResult>,
}

impl SharedConsumer<V2> {
    /// Requests a ticket for the target. The result contains the time of the provider's
    /// site, which sets the clock.
    pub(super) async fn in_session(
        &self,
        parties: &Parties,
        target: &Target<V2>,
        session: &dyn SiteSession,
    ) -> Result<IssuedTicket, ConsumerError> {
        let params = json!({ "app": parties.id, "providers": [target.id] });
        let answer = session.call("broker", "ticket", &params);
        let answer = tokio::time::timeout(self.timeout, answer).await;
        let failed_verification = ConsumerError::FailedVerification(Responder::Site);
        let answer = answer.map_err(|_| ConsumerError::Timeout(Responder::Site))?;
        let answer = answer.map_err(|error| ConsumerError::Session(error.to_string()))?;
        // The parser's error could contain parts of a secret, so it is not reported.
        let answer: Tickets =
            serde_json::from_str(answer.get()).map_err(|_| failed_verification.clone())?;
        let mut tickets = answer.tickets;
        match (tickets.pop(), tickets.is_empty()) {
            (Some(TicketResult::Granted(response)), true) => {
                target
                    .clock
                    .as_ref()
                    .unwrap_or(&self.clock)
                    .set(response.ts);
                let granted = parties.read_session_response(&target.id, *response);
                granted.map_err(|_| failed_verification)
            }
            (Some(TicketResult::Refused(code)), true) => {
                let refusal = refusal::from_code(&code);
                Err(ConsumerError::Refused {
                    responder: Responder::Site,
                    status: refusal.map_or(403, Refusal::status),
                    refusal,
                })
            }
            _ => Err(failed_verification),
        }
    }
}
