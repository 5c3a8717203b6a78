//! A request for a ticket, from its text to its response. Each application is looked up once, and
//! again only if an application changed in the meantime.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_proto::name::Zone;
use countersign_proto::replay::ReplayError;

use super::{Broker, Denial, ForeignAsk, Registered, RequestDigest, TicketEdition, millis};
use crate::accounts::State;
use crate::site_key::BrokerKeys;
use crate::store::{Store, StoreError};
use crate::timestamp::Timestamp;

/// Why a request got no ticket. `R` is the refusal of the edition.
#[derive(Debug, thiserror::Error)]
pub enum IssueError<R: Error> {
    /// The request is refused.
    #[error(transparent)]
    Refused(R),
    /// The provider is an application of a peer that does not answer.
    #[error("the site of the provider does not answer")]
    PeerUnreachable,
    /// The site is sealed.
    #[error("the site is sealed")]
    Sealed,
    /// The site is in lockdown.
    #[error("the site is in lockdown")]
    Lockdown,
    /// There is too much to do: the replay cache is full, too much public-key work waits, or the
    /// consumer requests too many tickets. A new request can be made later.
    #[error("there are too many ticket requests")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A verified request and its consumer.
pub struct Verified<E: TicketEdition> {
    pub(super) request: E::Verified,
    pub(crate) consumer: Arc<Registered>,
    /// The keys with which it was opened.
    pub(super) keys: Arc<BrokerKeys>,
    /// The number of changes of applications before the consumer was looked up.
    changes: u64,
    digest: RequestDigest,
}

/// A verified request for a provider that its consumer may call.
pub(crate) struct Allowed<E: TicketEdition> {
    pub(crate) verified: Verified<E>,
    pub(crate) provider: Arc<Registered>,
}

impl<E: TicketEdition> Verified<E> {
    /// Returns the id of the application for which the ticket is requested.
    #[must_use]
    pub fn provider(&self) -> &str {
        E::provider(&self.request)
    }

    /// Returns the request to a peer, if the ticket is for an application of another site than this
    /// one with the zone `own`.
    ///
    /// # Errors
    /// As [`TicketEdition::foreign`].
    pub(crate) fn foreign(&self, own: &Zone) -> Result<Option<ForeignAsk>, E::Refusal> {
        E::foreign(&self.request, &self.consumer, own)
    }

    /// Returns the request with the provider that [`Broker::provider`] found.
    pub(crate) fn allowed(self, provider: Arc<Registered>) -> Allowed<E> {
        Allowed {
            verified: self,
            provider,
        }
    }
}

impl<E: TicketEdition> fmt::Debug for Verified<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let consumer = &self.consumer.application.id;
        write!(f, "Verified({consumer} for {:?})", self.provider())
    }
}

impl Broker {
    /// Returns the refusal of a request that was refused as replayed or stale before.
    pub(crate) fn refused_before<E: TicketEdition>(
        &self,
        received: &E::Received,
        now: Timestamp,
    ) -> Option<E::Refusal> {
        let denial = match self.refused().find(&E::digest(received))? {
            Denial::Stale { .. } => Denial::Stale { clock: millis(now) },
            denial => denial,
        };
        Some(E::refusal(denial))
    }

    /// Remembers an authentic request that is refused as replayed or stale.
    fn refuse<E: TicketEdition>(&self, digest: RequestDigest, refusal: &E::Refusal) {
        if let Some(denial) = E::lasting_denial(refusal) {
            self.refused().insert(digest, denial);
        }
    }

    /// Opens and verifies a request. A request of an unregistered application takes the same amount
    /// of work.
    ///
    /// # Errors
    /// [`IssueError::Refused`] with the refusals of [`TicketEdition::open`] and [`TicketEdition::verify`],
    /// [`IssueError::Store`].
    pub(crate) async fn verify<E: TicketEdition>(
        &self,
        store: &dyn Store,
        keys: Arc<BrokerKeys>,
        received: E::Received,
        now: Timestamp,
    ) -> Result<Verified<E>, IssueError<E::Refusal>> {
        let digest = E::digest(&received);
        let opened = E::open(&keys, received).map_err(IssueError::Refused)?;
        let changes = self.cache.changes();
        let consumer = self.cache.get(store, E::consumer(&opened), now).await?;
        let consumer = consumer.filter(|known| known.application.state == State::Active);
        let request = E::verify(&keys, opened, consumer.as_deref(), millis(now));
        let request = request.inspect_err(|refusal| self.refuse::<E>(digest, refusal));
        Ok(Verified {
            request: request.map_err(IssueError::Refused)?,
            consumer: consumer.ok_or_else(|| denied::<E>(Denial::NotVerified))?,
            keys,
            changes,
            digest,
        })
    }

    /// Enters the request into the replay cache.
    ///
    /// # Errors
    /// [`IssueError::Refused`] if it was answered before or is too old, [`IssueError::Busy`].
    pub(crate) fn record<E: TicketEdition>(
        &self,
        verified: &Verified<E>,
        now: Timestamp,
    ) -> Result<(), IssueError<E::Refusal>> {
        let clock = millis(now);
        let recorded = E::record_request(&mut self.replays::<E>(), &verified.request, clock);
        recorded.map_err(|error| {
            let refusal = E::refusal(match error {
                ReplayError::Replayed => Denial::Replayed,
                ReplayError::Stale => Denial::Stale { clock },
                ReplayError::Full => return IssueError::Busy,
            });
            self.refuse::<E>(verified.digest, &refusal);
            IssueError::Refused(refusal)
        })
    }

    /// Issues the ticket if policy still allows it. [`Self::record`] has entered the request into the
    /// replay cache.
    ///
    /// # Errors
    /// [`IssueError`].
    pub(crate) async fn issue<E: TicketEdition>(
        &self,
        store: &dyn Store,
        allowed: Allowed<E>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<E::Sealed, IssueError<E::Refusal>> {
        let Allowed { verified, provider } = allowed;
        let consumer = &verified.consumer;
        let unchanged = self.cache.changes() == verified.changes && provider.is_current(now);
        let provider = match unchanged {
            true => provider,
            false => {
                let id = consumer.application.id.as_str();
                let again = self.cache.get(store, id, now).await?;
                again
                    .filter(|again| again.is_same_revision(consumer))
                    .ok_or_else(|| denied::<E>(Denial::NotVerified))?;
                let provider = self.provider(store, consumer, verified.provider(), now);
                let provider = provider.await?;
                provider.ok_or_else(|| denied::<E>(Denial::NotAllowed))?
            }
        };
        let parties = (&*verified.consumer, &*provider);
        let sealed = E::seal(
            &verified.keys,
            verified.request,
            parties,
            millis(now),
            entropy,
        );
        sealed.map_err(IssueError::Refused)
    }

    /// Returns the provider with this id if the consumer may call it now.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn provider(
        &self,
        store: &dyn Store,
        consumer: &Registered,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Registered>>, StoreError> {
        let provider = self.cache.get(store, id, now).await?;
        Ok(provider.filter(|provider| consumer.application.may_call(&provider.application)))
    }
}

pub(crate) fn denied<E: TicketEdition>(denial: Denial) -> IssueError<E::Refusal> {
    IssueError::Refused(E::refusal(denial))
}
