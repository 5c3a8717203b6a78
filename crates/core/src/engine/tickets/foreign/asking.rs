//! The site of the consumer: asks the site of the provider.

use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::foreign::{ForeignName, ForeignRequest};
use countersign_proto::broker::v2::message::{AuthResponse, Nonce};
use countersign_proto::broker::v2::symmetric::TicketResult;
use countersign_proto::json;
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::site_identity::SiteId;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::value::to_raw_value;

use crate::access::Arrival;
use crate::engine::{AskError, OperationName, PeerBreach, Site};
use crate::store::StoreError;
use crate::throttle::Rate;
use crate::tickets::{self, Denial, ForeignAsk, ForeignTicketParams, Registered};
use crate::timestamp::Timestamp;

/// Why a peer gave no ticket.
pub(in crate::engine) enum NoTicket {
    /// Its policy does not allow it.
    Refused,
    /// It or this site has too much to do.
    Busy,
    /// It does not answer.
    Unreachable,
    Store(StoreError),
}

impl From<StoreError> for NoTicket {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The result of `broker foreign_ticket`.
#[derive(Deserialize)]
struct Answered {
    ticket: TicketResult,
}

impl Site {
    /// Answers a list of providers of peers on the symmetric ticket path, all at once. The caller
    /// has authenticated the consumer, which asks by `arrival`.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn foreign_tickets(
        &self,
        consumer: &Registered,
        arrival: Arrival,
        providers: Vec<ForeignName>,
        now: Timestamp,
    ) -> Result<Vec<TicketResult>, StoreError> {
        let asked = providers
            .into_iter()
            .map(|provider| self.foreign_ticket(consumer, arrival, provider, now));
        join_all(asked).await.into_iter().collect()
    }

    async fn foreign_ticket(
        &self,
        consumer: &Registered,
        arrival: Arrival,
        provider: ForeignName,
        now: Timestamp,
    ) -> Result<TicketResult, StoreError> {
        let refused = |refusal: Refusal| Ok(TicketResult::Refused(refusal.code().to_owned()));
        let application = &consumer.application;
        let count = |provider, peer, was_granted| {
            let asked = tickets::foreign_asked(consumer, arrival, provider, peer, was_granted);
            self.count(asked, now);
        };
        let name = ForeignName::new(application.id.as_str(), &self.zone());
        let (Ok(peer), Ok(name)) = (self.may_ask(application, &provider).await?, name) else {
            let provider = provider.to_string();
            self.count(tickets::refused(consumer, arrival, &provider, 1), now);
            return refused(Refusal::NotAllowed);
        };
        let nonce = Nonce(countersign_crypto::entropy::fresh(&mut self.entropy()));
        let ask = ForeignAsk {
            request: ForeignRequest {
                consumer: name,
                provider: provider.clone(),
                nonce,
            },
            key: None,
        };
        let response = match self.ask_for_ticket(consumer, &ask, peer, now).await {
            Ok(response) => Some(response),
            Err(NoTicket::Refused) => None,
            Err(NoTicket::Busy | NoTicket::Unreachable) => {
                return refused(Refusal::PeerUnreachable);
            }
            Err(NoTicket::Store(error)) => return Err(error),
        };
        let still = self.may_still_ask(consumer, &provider, peer, now).await?;
        let granted = response.filter(|_| still.is_ok());
        count(&provider, peer, granted.is_some());
        match granted {
            Some(response) => Ok(TicketResult::Granted(Box::new(response))),
            None => refused(Refusal::NotAllowed),
        }
    }

    /// Asks policy again after a peer answered, which may take as long as the transport gives it: whether
    /// the consumer is registered as it was when it asked, and may ask this peer for this provider.
    pub(in crate::engine) async fn may_still_ask(
        &self,
        consumer: &Registered,
        provider: &ForeignName,
        peer: SiteId,
        now: Timestamp,
    ) -> Result<Result<(), Denial>, StoreError> {
        let application = &consumer.application;
        let again = self.registered(application.id.as_str(), now).await?;
        if !again.is_some_and(|again| again.is_same_revision(consumer)) {
            return Ok(Err(Denial::NotVerified));
        }
        let still = self.may_ask(application, provider).await? == Ok(peer);
        Ok(still.then_some(()).ok_or(Denial::NotAllowed))
    }

    /// Asks a peer for a ticket. A consumer that asks too often does not use up what the site may
    /// ask its peer: a peer counts what is above its rate as a breach of the protocol.
    pub(in crate::engine) async fn ask_for_ticket(
        &self,
        consumer: &Registered,
        ask: &ForeignAsk,
        peer: SiteId,
        now: Timestamp,
    ) -> Result<AuthResponse, NoTicket> {
        self.may_ask_now(Rate::ForeignConsumer(consumer.rated()), now)?;
        // Notices of void tickets have neither limit: consumers in a loop must not hold them up.
        if self.is_peer_resting(peer, now) {
            return Err(NoTicket::Busy);
        }
        self.may_ask_now(Rate::AskedOfPeer(peer), now)?;
        let outcome = self
            .ask_peer(peer, "foreign_ticket", &ForeignTicketParams::of(ask), now)
            .await?;
        let answered = json::read::<Answered>(outcome.data.get().as_bytes());
        match answered.map(|answered| answered.ticket) {
            Ok(TicketResult::Granted(response)) if ask.request.is_answered_by(&response) => {
                Ok(*response)
            }
            Ok(TicketResult::Refused(_)) => Err(NoTicket::Refused),
            Ok(TicketResult::Granted(_)) | Err(_) => {
                self.peer_fault(peer, PeerBreach::Line, now).await?;
                Err(NoTicket::Unreachable)
            }
        }
    }

    fn may_ask_now(&self, rate: Rate, now: Timestamp) -> Result<(), NoTicket> {
        let counted = self.throttle().rates().take(rate, now);
        counted.map_err(|_| NoTicket::Busy)
    }

    /// Calls an operation of the group `broker` at a peer. Returns its successful outcome.
    async fn ask_peer(
        &self,
        peer: SiteId,
        command: &'static str,
        params: &(impl serde::Serialize + Sync),
        now: Timestamp,
    ) -> Result<Outcome, NoTicket> {
        let transport = self.peer_transport().ok_or(NoTicket::Unreachable)?;
        let params = to_raw_value(params).map_err(|_| NoTicket::Unreachable)?;
        let operation = OperationName {
            group: "broker",
            command,
        };
        let outcome = match transport.ask(peer, operation, params).await {
            Ok(outcome) => outcome,
            Err(AskError::Busy) => return Err(NoTicket::Busy),
            Err(AskError::Unreachable(_)) => return Err(NoTicket::Unreachable),
        };
        match outcome.code {
            Code::SUCCESS => Ok(outcome),
            Code::BUSY => {
                self.let_peer_rest(peer, now);
                Err(NoTicket::Busy)
            }
            Code::SEALED | Code::LOCKDOWN | Code::INTERNAL => Err(NoTicket::Unreachable),
            _ => Err(NoTicket::Refused),
        }
    }

    /// Tells a peer which tickets are void. Returns whether it was told.
    pub(super) async fn tell(
        &self,
        peer: SiteId,
        params: &(impl serde::Serialize + Sync),
        now: Timestamp,
    ) -> bool {
        let told = self.ask_peer(peer, "foreign_void", params, now).await;
        told.is_ok()
    }
}
