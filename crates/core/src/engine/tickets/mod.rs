//! Service tickets, with the site's store and entropy, and the audit log's counters: here those of
//! the symmetric ticket path, in `request` those that an application signs for, in `foreign` those
//! across sites.

mod foreign;
mod request;

use std::collections::HashMap;
use std::sync::Arc;

use countersign_proto::broker::v2::symmetric::TicketResult;
use countersign_proto::broker::v2::{Refusal, SealedMessage};

use super::Site;
use crate::access::Arrival;
use crate::site_key::BrokerKeys;
use crate::store::StoreError;
use crate::tickets::{self, Broker, Registered};
use crate::timestamp::Timestamp;

pub(crate) use foreign::MAX_VOID_NAMES;
pub(super) use foreign::Voids;
pub use request::TicketWork;

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
    pub(super) fn permits_call(&self, consumer: &Registered, provider: &Registered) -> bool {
        let lockdowns = self.lockdowns();
        let both = [consumer, provider];
        both.iter()
            .all(|one| lockdowns.permits_application(&one.application))
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
        consumer: &Registered,
        arrival: Arrival,
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
            let entropy = self.entropy();
            tickets::tickets(keys, consumer, arrival, requested, providers, now, entropy)
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
