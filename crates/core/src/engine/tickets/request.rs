//! Ticket requests over HTTP: the operation `broker ticket`, called by the application that signed the
//! request (`docs/protocol/broker.md`). It passes the checks of every operation; the form of request and
//! answer is that of the edition.
//!
//! ```text
//! turn ─▶ verified ─▶ sealed? may an application? lockdown? ─▶ policy ─┬─▶ turn ─▶ not a replay ─▶ ticket
//!         the caller            `authorisation`                        └─▶ not a replay ─▶ peer ─▶ turn ─▶ ticket
//! ```
//!
//! Every refusal after the verification is counted in one place, as is every ticket.

use std::future::Future;
use std::sync::Arc;

use countersign_proto::operation::Code;

use super::foreign::NoTicket;
use crate::access::Caller;
use crate::engine::{Entry, Refusal, Site};
use crate::throttle::Rate;
use crate::tickets::{
    self, Allowed, AllowedForeign, Denial, Destination, IssueError, TicketEdition, Verified, denied,
};
use crate::timestamp::Timestamp;

/// What the program around the site does for a ticket request: it reads the clock and schedules
/// public-key work.
pub trait TicketWork: Sync {
    /// A turn at public-key work, which ends when it is dropped.
    type Turn: Send;

    /// Waits for a turn; `None` if too much work waits.
    fn turn(&self) -> impl Future<Output = Option<Self::Turn>> + Send;

    /// Returns the time.
    fn now(&self) -> Timestamp;

    /// The request is no replay: it was entered into the replay cache.
    fn recorded(&self);
}

/// The operation and its caller.
struct Asked<'a> {
    entry: &'a Entry,
    caller: Caller,
}

impl Site {
    /// Returns the refusal of a ticket request that was refused as replayed or stale before. This takes
    /// no public-key work: any client can send such a request again.
    #[must_use]
    pub fn refused_before<E: TicketEdition>(
        &self,
        received: &E::Received,
        now: Timestamp,
    ) -> Option<E::Refusal> {
        self.broker().refused_before::<E>(received, now)
    }

    /// Opens and verifies a ticket request: public-key work. A request of an unregistered application
    /// takes the same amount of it.
    ///
    /// # Errors
    /// [`IssueError::Refused`] with the refusals of [`TicketEdition::open`] and [`TicketEdition::verify`],
    /// [`IssueError::Sealed`], [`IssueError::Store`].
    pub async fn verify_request<E: TicketEdition>(
        &self,
        received: E::Received,
        now: Timestamp,
    ) -> Result<Verified<E>, IssueError<E::Refusal>> {
        let keys = self.unsealed_keys().ok_or(IssueError::Sealed)?;
        let keys = Arc::clone(&keys.broker);
        let broker = self.broker();
        broker.verify(self.store(), keys, received, now).await
    }

    /// Calls `broker ticket` for the application that made a verified request, and returns the
    /// response, sealed for it. A refusal waits for no turn, so that its time does not depend on its
    /// reason. Tickets and refusals are counted for the audit log.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn request_ticket<E: TicketEdition>(
        &self,
        verified: Verified<E>,
        work: &impl TicketWork,
    ) -> Result<E::Sealed, IssueError<E::Refusal>> {
        let consumer = Arc::clone(&verified.consumer);
        let provider = verified.provider().to_owned();
        let entry = self.table().find("broker", "ticket");
        let asked = Asked {
            entry: entry.ok_or_else(|| denied::<E>(Denial::NotAllowed))?,
            caller: Caller::application(&consumer.application.id),
        };
        let now = work.now();
        let may = self
            .expect_authorised(asked.entry, &asked.caller, now)
            .await;
        may.map_err(|refusal| unauthorised::<E>(&refusal))?;
        let (peer, answer) = match self.destination(verified, now).await {
            Err(error) => (None, Err(error)),
            Ok(Destination::Own(allowed)) => (None, self.issue(allowed, &asked, work).await),
            Ok(Destination::Peer(allowed)) => {
                let path = (allowed.ask.request.provider.clone(), allowed.peer);
                (Some(path), self.relay(allowed, &asked, work).await)
            }
        };
        let peer = peer.as_ref().map(|(provider, peer)| (provider, *peer));
        let arrival = asked.caller.arrival();
        if let Some(counted) = tickets::requested(&consumer, arrival, &provider, peer, &answer) {
            self.count(counted, work.now());
        }
        answer
    }

    /// Finds out which site has the provider of a verified request, and applies this site's policy.
    async fn destination<E: TicketEdition>(
        &self,
        verified: Verified<E>,
        now: Timestamp,
    ) -> Result<Destination<E>, IssueError<E::Refusal>> {
        let ask = verified.foreign(&self.zone());
        let consumer = &verified.consumer;
        let Some(ask) = ask.map_err(IssueError::Refused)? else {
            let provider = self.provider(consumer, verified.provider(), now).await?;
            let provider = provider.ok_or_else(|| denied::<E>(Denial::NotAllowed))?;
            return Ok(Destination::Own(verified.allowed(provider)));
        };
        let provider = &ask.request.provider;
        let peer = self.may_ask(&consumer.application, provider).await?;
        let peer = peer.map_err(|_| denied::<E>(Denial::NotAllowed))?;
        Ok(Destination::Peer(AllowedForeign {
            verified,
            ask,
            peer,
        }))
    }

    /// Issues a ticket for a provider of this site. Policy is applied again, because applications may
    /// have changed while the request waited for its turn.
    async fn issue<E: TicketEdition>(
        &self,
        allowed: Allowed<E>,
        asked: &Asked<'_>,
        work: &impl TicketWork,
    ) -> Result<E::Sealed, IssueError<E::Refusal>> {
        let _turn = work.turn().await.ok_or(IssueError::Busy)?;
        let now = work.now();
        self.expect_still::<E>(asked, now)?;
        self.record_request(&allowed.verified, work)?;
        let consumer = Arc::clone(&allowed.verified.consumer);
        let provider = Arc::clone(&allowed.provider);
        let (broker, entropy) = (self.broker(), &mut self.entropy());
        let sealed = broker.issue(self.store(), allowed, now, entropy).await?;
        // Checked after the ticket was made: a lockdown meanwhile either finds it given, and its
        // providers are told, or is noticed here.
        self.expect_still::<E>(asked, now)?;
        match self.permits_call(&consumer, &provider) {
            true => Ok(sealed),
            false => Err(denied::<E>(Denial::NotAllowed)),
        }
    }

    /// Asks the peer for a ticket for its provider, and seals the answer for the consumer. It takes as
    /// long as the peer, at most the time that the transport gives it, and holds no turn meanwhile.
    /// Policy is applied again then.
    async fn relay<E: TicketEdition>(
        &self,
        allowed: AllowedForeign<E>,
        asked: &Asked<'_>,
        work: &impl TicketWork,
    ) -> Result<E::Sealed, IssueError<E::Refusal>> {
        let (consumer, ask, peer) = (&allowed.verified.consumer, &allowed.ask, allowed.peer);
        self.record_request(&allowed.verified, work)?;
        let now = work.now();
        let response = self.ask_for_ticket(consumer, ask, peer, now).await;
        let response = response.map_err(|failure| match failure {
            NoTicket::Refused => denied::<E>(Denial::NotAllowed),
            NoTicket::Unreachable => IssueError::PeerUnreachable,
            NoTicket::Busy => IssueError::Busy,
            NoTicket::Store(error) => IssueError::Store(error),
        })?;
        let _turn = work.turn().await.ok_or(IssueError::Busy)?;
        let now = work.now();
        self.expect_still::<E>(asked, now)?;
        let still = self.may_still_ask(consumer, &ask.request.provider, peer, now);
        still.await?.map_err(denied::<E>)?;
        self.expect_still::<E>(asked, now)?;
        let sealed = allowed.relay(&response, &mut self.entropy());
        sealed.map_err(IssueError::Refused)
    }

    /// Enters the request into the replay cache and counts it for its consumer. A replay does not
    /// count: an attacker who records requests must not use up the rate of their consumer.
    fn record_request<E: TicketEdition>(
        &self,
        verified: &Verified<E>,
        work: &impl TicketWork,
    ) -> Result<(), IssueError<E::Refusal>> {
        let now = work.now();
        self.broker().record(verified, now)?;
        work.recorded();
        let rate = Rate::TicketRequests(verified.consumer.rated());
        let counted = self.throttle().rates().take(rate, now);
        counted.map_err(|_| IssueError::Busy)
    }

    /// Asks again, after a wait, what was asked before the policy.
    fn expect_still<E: TicketEdition>(
        &self,
        asked: &Asked<'_>,
        now: Timestamp,
    ) -> Result<(), IssueError<E::Refusal>> {
        let authorised = self.authorised(asked.entry, &asked.caller, now);
        let authorised = authorised.map_err(|refusal| unauthorised::<E>(&refusal));
        authorised.map(|_| ())
    }
}

/// Returns the refusal of an operation as that of a ticket request.
fn unauthorised<E: TicketEdition>(refusal: &Refusal) -> IssueError<E::Refusal> {
    match refusal.kind() {
        Code::SEALED => IssueError::Sealed,
        Code::LOCKDOWN => IssueError::Lockdown,
        _ => denied::<E>(Denial::NotAllowed),
    }
}
