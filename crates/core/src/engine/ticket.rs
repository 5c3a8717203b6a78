//! Issuing service tickets, with the site's store and entropy, and the audit log's counters.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_proto::broker::v2::symmetric::TicketResult;
use countersign_proto::broker::v2::{Refusal, SealedMessage};

use super::Site;
use crate::access::Arrival;
use crate::site_key::BrokerKeys;
use crate::store::StoreError;
use crate::tickets::{
    self, Allowed, Broker, Denial, IssueError, Registered, TicketEdition, Verified,
};
use crate::timestamp::Timestamp;

impl Site {
    /// Returns the broker's state.
    pub(crate) fn broker(&self) -> &Broker {
        &self.0.broker
    }

    /// Starts issuing tickets. Before this call every request is refused. A previous run of the
    /// site may have answered requests that were made before `now`: edition v2 refuses these as
    /// stale, edition v1 answers them again (see `TicketEdition::replay_cache`).
    pub fn start_issuing(&self, now: Timestamp) {
        self.broker().start(now);
    }

    /// Returns the application with this id and its parsed keys; `None` if there is none or the id
    /// is not valid. The application may be locked, which
    /// [`Application::may_call`](crate::applications::Application::may_call) checks.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn registered(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Registered>>, StoreError> {
        self.broker().cache().get(self.store(), id, now).await
    }

    /// Returns the provider with this id if the consumer may call it now.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn provider(
        &self,
        consumer: &Registered,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Registered>>, StoreError> {
        let broker = self.broker();
        let provider = broker.provider(self.store(), consumer, id, now).await?;
        Ok(provider.filter(|provider| self.permits_call(consumer, provider)))
    }

    /// Returns whether neither application is in lockdown.
    fn permits_call(&self, consumer: &Registered, provider: &Registered) -> bool {
        let lockdowns = self.lockdowns();
        let both = [consumer, provider];
        both.iter()
            .all(|one| lockdowns.permits_application(&one.application))
    }

    /// Opens and verifies a request for a ticket. A request of an unregistered application takes
    /// the same amount of work.
    ///
    /// # Errors
    /// [`IssueError::Refused`] with the refusals of [`TicketEdition::open`] and [`TicketEdition::verify`],
    /// [`IssueError::Store`].
    pub async fn verify_request<E: TicketEdition>(
        &self,
        keys: &BrokerKeys,
        received: E::Received,
        now: Timestamp,
    ) -> Result<Verified<E>, IssueError<E::Refusal>> {
        let broker = self.broker();
        broker.verify(self.store(), keys, received, now).await
    }

    /// Checks whether policy allows the ticket of a verified request. This runs before costly work
    /// and before waiting for a turn, so that a refusal takes the same time for a provider that
    /// does not exist and for one that may not be called. A refusal is counted for the audit log,
    /// and its request does not enter the replay cache.
    ///
    /// # Errors
    /// [`IssueError::Refused`] as not allowed, [`IssueError::Store`].
    pub async fn allow<E: TicketEdition>(
        &self,
        verified: Verified<E>,
        now: Timestamp,
    ) -> Result<Allowed<E>, IssueError<E::Refusal>> {
        let provider = self.provider(&verified.consumer, verified.provider(), now);
        if let Some(provider) = provider.await? {
            return Ok(verified.allowed(provider));
        }
        let arrival = Arrival::TICKET_REQUEST;
        let refused = tickets::refused(&verified.consumer, arrival, verified.provider(), 1);
        self.count(refused, now);
        Err(IssueError::Refused(E::refusal(Denial::NotAllowed)))
    }

    /// Issues a ticket, if the request is not a replay and policy still allows it. Policy is
    /// checked again because applications may have changed since [`Site::allow`].
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn ticket<E: TicketEdition>(
        &self,
        keys: &BrokerKeys,
        allowed: Allowed<E>,
        now: Timestamp,
    ) -> Result<E::Sealed, IssueError<E::Refusal>> {
        let consumer = allowed.verified.consumer.clone();
        let called = Arc::clone(&allowed.provider);
        let provider = allowed.verified.provider().to_owned();
        let (broker, entropy) = (self.broker(), &mut self.entropy());
        let response = broker.issue(self.store(), keys, allowed, now, entropy);
        // Checked after the ticket was made: a lockdown meanwhile either finds it given, and its
        // providers are told, or is noticed here.
        let response = match response.await {
            Ok(_) if !self.permits(E::ACTIVITY) || !self.permits_call(&consumer, &called) => {
                Err(IssueError::Refused(E::refusal(Denial::NotAllowed)))
            }
            response => response,
        };
        if let Some(occurrence) = tickets::response(&consumer, &provider, &response) {
            self.count(occurrence, now);
        }
        response
    }

    /// Answers a list of provider ids on the symmetric ticket path: with a ticket if the consumer
    /// may call the provider, and with a refusal otherwise. The caller has authenticated the
    /// consumer, which asks by `arrival`.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn symmetric_tickets(
        &self,
        keys: &BrokerKeys,
        (consumer, arrival): (&Registered, Arrival),
        requested: &[String],
        now: Timestamp,
    ) -> Result<Vec<TicketResult>, StoreError> {
        let mut found: HashMap<&str, Option<Arc<Registered>>> = HashMap::new();
        for id in requested {
            if !found.contains_key(id.as_str()) {
                found.insert(id, self.provider(consumer, id, now).await?);
            }
        }
        let found = found.into_iter();
        let mut providers: HashMap<&str, Arc<Registered>> =
            found.filter_map(|(id, found)| Some((id, found?))).collect();
        let issue = |providers: &_| {
            let consumer = (consumer, arrival);
            tickets::tickets(keys, consumer, requested, providers, now, self.entropy())
        };
        let (mut answers, mut occurrences) = issue(&providers);
        // A lockdown while the tickets were made either finds them given, and the providers are
        // told, or is noticed here.
        let kept = providers.len();
        providers.retain(|_, provider| self.permits_call(consumer, provider));
        if providers.len() != kept {
            (answers, occurrences) = issue(&providers);
        }
        for occurrence in occurrences {
            self.count(occurrence, now);
        }
        Ok(answers)
    }

    /// Returns the ticket keys of a provider for the previous, the current and the next day, sealed
    /// to each of the provider's valid keys.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] when the provider is locked or in lockdown, or is not of edition v2.
    pub fn ticket_keys(
        &self,
        keys: &BrokerKeys,
        provider: &Registered,
        now: Timestamp,
    ) -> Result<Vec<SealedMessage>, Refusal> {
        if !self.permits_application(&provider.application) {
            return Err(Refusal::NotAllowed);
        }
        tickets::ticket_keys(keys, provider, now, &mut self.entropy())
    }
}
