//! The differences between the editions of the ticket protocol, on the site's side.

use std::error::Error;
use std::sync::Mutex;

use countersign_crypto::entropy::Entropy;
use countersign_proto::broker::v2::message::AuthResponse;
use countersign_proto::name::Zone;
use countersign_proto::replay::{ReplayCache, ReplayError};
use serde::Serialize;

use super::{ForeignAsk, Registered, Replays, RequestDigest};
use crate::site_key::BrokerKeys;
use crate::timestamp::Timestamp;

/// Why a request gets no ticket, for reasons that all editions have a refusal for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The request is not authentic.
    NotVerified,
    /// The request was answered before.
    Replayed,
    /// The request is too old, or its time is in the future.
    Stale {
        /// The site's time, in milliseconds since 1970.
        clock: u64,
    },
    /// There is no such provider, or the consumer may not call it.
    NotAllowed,
    /// The provider is an application of a peer that does not answer.
    PeerUnreachable,
}

/// An edition of the ticket protocol. Times are in milliseconds since 1970.
pub trait TicketEdition: Sized + Send + Sync + 'static {
    /// A parsed request. Nothing of it is verified, and parsing took no public-key work.
    type Received: Send;
    /// An opened request, of which the claimed consumer is known.
    type Opened: Send + Sync;
    /// A request that its consumer signed recently.
    type Verified: Send + Sync;
    /// The response with the ticket, sealed for the consumer.
    type Sealed: Serialize + Send;
    /// The refusal that is sent instead of a response.
    type Refusal: Error + Send;

    /// Parses the text of a request.
    ///
    /// # Errors
    /// The refusal for [`Denial::NotVerified`].
    fn read(text: Vec<u8>) -> Result<Self::Received, Self::Refusal>;

    /// Returns a digest of what no other authentic request has.
    fn digest(received: &Self::Received) -> RequestDigest;

    /// Opens a request as far as necessary to find its consumer's id.
    ///
    /// # Errors
    /// The refusal for [`Denial::NotVerified`], and others of the edition.
    fn open(keys: &BrokerKeys, received: Self::Received) -> Result<Self::Opened, Self::Refusal>;

    /// Returns the id of the application that the request claims to come from.
    fn consumer(opened: &Self::Opened) -> &str;

    /// Verifies that the consumer made the request recently. `consumer` is the active application
    /// with the id [`Self::consumer`]. `None` takes the same amount of work and is refused.
    ///
    /// # Errors
    /// The refusals for [`Denial::NotVerified`] and [`Denial::Stale`], and others of the edition.
    fn verify(
        keys: &BrokerKeys,
        opened: Self::Opened,
        consumer: Option<&Registered>,
        now: u64,
    ) -> Result<Self::Verified, Self::Refusal>;

    /// Returns the id of the application for which the ticket is requested.
    fn provider(verified: &Self::Verified) -> &str;

    /// Makes the replay cache of a site that was started at this time.
    fn replay_cache(started: Timestamp) -> ReplayCache;

    /// Returns the replay cache of this edition.
    fn replays(replays: &Replays) -> &Mutex<ReplayCache>;

    /// Enters the request into the replay cache.
    ///
    /// # Errors
    /// Like [`ReplayCache::insert`].
    fn record_request(
        cache: &mut ReplayCache,
        verified: &Self::Verified,
        now: u64,
    ) -> Result<(), ReplayError>;

    /// Issues a ticket for the provider and seals the response for the consumer.
    ///
    /// # Errors
    /// The refusal of the edition if the two have no algorithm in common.
    fn seal(
        keys: &BrokerKeys,
        verified: Self::Verified,
        parties: (&Registered, &Registered),
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Self::Sealed, Self::Refusal>;

    /// Returns the request to a peer, if the ticket is for an application of another site. `own` is
    /// the zone of this site. The default is `None`, for an edition that has no tickets across sites.
    ///
    /// # Errors
    /// The refusal of the edition if tickets across sites use no algorithm that the consumer supports.
    fn foreign(
        _verified: &Self::Verified,
        _consumer: &Registered,
        _own: &Zone,
    ) -> Result<Option<ForeignAsk>, Self::Refusal> {
        Ok(None)
    }

    /// Seals the response of a peer for the consumer.
    ///
    /// # Errors
    /// The refusal for [`Denial::NotAllowed`], always in an edition without tickets across sites.
    fn relay(
        _keys: &BrokerKeys,
        _verified: &Self::Verified,
        _consumer: &Registered,
        _response: &AuthResponse,
        _entropy: &mut dyn Entropy,
    ) -> Result<Self::Sealed, Self::Refusal> {
        Err(Self::refusal(Denial::NotAllowed))
    }

    /// Returns the edition's refusal for this reason.
    fn refusal(denial: Denial) -> Self::Refusal;

    /// Returns the reason of a refusal that an authentic request gets each time that it is sent again:
    /// [`Denial::Replayed`] or [`Denial::Stale`].
    fn lasting_denial(refusal: &Self::Refusal) -> Option<Denial>;
}
