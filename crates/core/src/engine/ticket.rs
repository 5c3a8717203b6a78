//! Service tickets, as the site issues them: with its store and its entropy, counted for the audit log.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_proto::broker::v2::symmetric::TicketResult;
use countersign_proto::broker::v2::{Refusal, SealedMessage};

use super::Site;
use crate::access::Channel;
use crate::site_key::BrokerKeys;
use crate::store::StoreError;
use crate::tickets::{self, Allowed, Broker, Denial, Edition, IssueError, Registered, Verified};
use crate::timestamp::Timestamp;

impl Site {
    /// What the broker remembers.
    pub(crate) fn broker(&self) -> &Broker {
        &self.0.broker
    }

    /// From `now` on requests for tickets are answered. Nothing that was made before is: the run before may
    /// have answered it. Until this was called nothing is answered at all.
    pub fn begin_to_answer(&self, now: Timestamp) {
        self.broker().begin(now);
    }

    /// The application of that id, with its keys read; whether it is active is for
    /// [`Application::may_call`](crate::applications::Application::may_call) to say. `None` when there is none, or
    /// the text is no id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn registered(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Registered>>, StoreError> {
        self.broker().cache().get(self.store(), id, now).await
    }

    /// The provider of that id, if the consumer may call it now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn provider(
        &self,
        consumer: &Registered,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Registered>>, StoreError> {
        let broker = self.broker();
        broker.provider(self.store(), consumer, id, now).await
    }

    /// Opens and verifies a request for a ticket. One of an application that is not registered costs as much.
    ///
    /// # Errors
    /// [`IssueError::Refused`] with what [`Edition::open`] and [`Edition::verify`] refuse, [`IssueError::Store`].
    pub async fn verify_request<E: Edition>(
        &self,
        keys: &BrokerKeys,
        received: E::Received,
        now: Timestamp,
    ) -> Result<Verified<E>, IssueError<E::Refusal>> {
        let broker = self.broker();
        broker.verify(self.store(), keys, received, now).await
    }

    /// Whether a verified request may have its ticket now. Asked before anything costly is done and before a turn
    /// is waited for, so that a refusal takes as long for a provider that does not exist as for one that may not be
    /// called. A refusal is counted here, and its request is not remembered.
    ///
    /// # Errors
    /// [`IssueError::Refused`] as not allowed, [`IssueError::Store`].
    pub async fn allow<E: Edition>(
        &self,
        verified: Verified<E>,
        now: Timestamp,
    ) -> Result<Allowed<E>, IssueError<E::Refusal>> {
        let provider = self.provider(&verified.consumer, verified.provider(), now);
        if let Some(provider) = provider.await? {
            return Ok(verified.allowed(provider));
        }
        let refused = tickets::refused(&verified.consumer, Channel::Http, verified.provider(), 1);
        self.count(refused, now);
        Err(IssueError::Refused(E::refusal(Denial::NotAllowed)))
    }

    /// Seals a ticket, if its request was not answered before and policy still allows it: what was changed since it
    /// was verified counts.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn ticket<E: Edition>(
        &self,
        keys: &BrokerKeys,
        allowed: Allowed<E>,
        now: Timestamp,
    ) -> Result<E::Sealed, IssueError<E::Refusal>> {
        let consumer = allowed.verified.consumer.clone();
        let provider = allowed.verified.provider().to_owned();
        let (broker, entropy) = (self.broker(), &mut self.entropy());
        let response = broker.issue(self.store(), keys, allowed, now, entropy);
        let response = response.await;
        if let Some(occurrence) = tickets::response(&consumer, &provider, &response) {
            self.count(occurrence, now);
        }
        response
    }

    /// A ticket for each of these providers that the consumer may call, and a refusal for each other, by the symmetric
    /// ticket path. The caller knows who asks.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn symmetric_tickets(
        &self,
        keys: &BrokerKeys,
        consumer: &Registered,
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
        let providers = found.filter_map(|(id, found)| Some((id, found?))).collect();
        let (answers, occurrences) =
            tickets::tickets(keys, consumer, requested, &providers, now, self.entropy());
        for occurrence in occurrences {
            self.count(occurrence, now);
        }
        Ok(answers)
    }

    /// The ticket keys of a provider, sealed to each of its keys that is accepted: those of the day before, of this
    /// one and of the next.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] when the provider is locked, or is not of edition v2.
    pub fn ticket_keys(
        &self,
        keys: &BrokerKeys,
        provider: &Registered,
        now: Timestamp,
    ) -> Result<Vec<SealedMessage>, Refusal> {
        tickets::ticket_keys(keys, provider, now, &mut self.entropy())
    }
}
