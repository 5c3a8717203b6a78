//! What the editions of the ticket dialog differ in, on the site's side.

use std::error::Error;
use std::sync::Mutex;

use countersign_crypto::entropy::Entropy;
use countersign_proto::replay::{ReplayCache, ReplayError};
use serde::Serialize;

use super::{Registered, Replays};
use crate::site_key::BrokerKeys;
use crate::timestamp::Timestamp;

/// Why a request gets no ticket, where every edition has a refusal for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It is not known to be of its consumer.
    NotVerified,
    /// It was answered before.
    Replayed,
    /// It was made too long ago, or in the future, by this clock: milliseconds since 1970.
    Stale {
        /// What the clock shows here.
        clock: u64,
    },
    /// There is no such provider, or the consumer may not call it.
    NotAllowed,
}

/// An edition of the ticket dialog. Times are in milliseconds since 1970.
pub trait Edition: Sized + Send + Sync + 'static {
    /// A request that was read. Nothing of it is verified, and reading it took no public-key work.
    type Received: Send;
    /// A request of which it is known whose it says to be.
    type Opened: Send + Sync;
    /// A request that its consumer signed, lately.
    type Verified: Send + Sync;
    /// The response with the ticket, sealed for the consumer.
    type Sealed: Serialize + Send;
    /// What is sent in place of it.
    type Refusal: Error + Send;

    /// Reads the text of a request.
    ///
    /// # Errors
    /// That of [`Denial::NotVerified`].
    fn read(text: Vec<u8>) -> Result<Self::Received, Self::Refusal>;

    /// Opens a request as far as its consumer's name needs it.
    ///
    /// # Errors
    /// That of [`Denial::NotVerified`], and others of the edition.
    fn open(keys: &BrokerKeys, received: Self::Received) -> Result<Self::Opened, Self::Refusal>;

    /// The id of the application that the request says to be of.
    fn consumer(opened: &Self::Opened) -> &str;

    /// Verifies that the consumer made it, lately. `consumer` is what is registered and active under the id of
    /// [`Self::consumer`]; `None` costs as much, and is refused.
    ///
    /// # Errors
    /// Those of [`Denial::NotVerified`] and [`Denial::Stale`], and others of the edition.
    fn verify(
        keys: &BrokerKeys,
        opened: Self::Opened,
        consumer: Option<&Registered>,
        now: u64,
    ) -> Result<Self::Verified, Self::Refusal>;

    /// The id of the application that the ticket is wanted for.
    fn provider(verified: &Self::Verified) -> &str;

    /// A cache for a site that was started at that time.
    fn replay_cache(started: Timestamp) -> ReplayCache;

    /// The cache of this edition.
    fn replays(replays: &Replays) -> &Mutex<ReplayCache>;

    /// Remembers the request.
    ///
    /// # Errors
    /// As [`ReplayCache::insert`].
    fn remember(
        cache: &mut ReplayCache,
        verified: &Self::Verified,
        now: u64,
    ) -> Result<(), ReplayError>;

    /// Seals a ticket for the provider, and the response with it for the consumer.
    ///
    /// # Errors
    /// What the edition refuses when the two have nothing in common.
    fn seal(
        keys: &BrokerKeys,
        verified: Self::Verified,
        parties: (&Registered, &Registered),
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Self::Sealed, Self::Refusal>;

    /// The refusal that says so.
    fn refusal(denial: Denial) -> Self::Refusal;
}
