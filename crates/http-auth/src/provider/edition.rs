//! What an edition of the broker's dialog does in its own way on the provider's side.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign_proto::broker::v2::message::Nonce;
use http::HeaderMap;
use http::request::Parts;

use super::Shared;
use super::reply::{Rejection, Reply};
use super::tickets::{OpenedTicket, RequestName};
use crate::content::Content;
use crate::edition::Edition;

/// A request that was verified, and is let through unless it is a replay.
pub struct Verified {
    /// Its content.
    pub(crate) content: Bytes,
    /// Names it in the ticket store.
    pub(crate) name: RequestName,
    /// Until when its signature is good, in milliseconds since 1970.
    pub(crate) until: u64,
    /// When it was verified.
    pub(crate) now: u64,
}

/// The provider's part of an edition.
pub trait ProviderEdition: Edition {
    /// Its state machine in `proto`: ids and keys of application and site.
    type Parties: Send + Sync;
    /// What its builder needs besides.
    type Parts;
    /// What it remembers beside tickets, and how it knows the time.
    type State: Send + Sync;
    /// How it rejects presentations and requests.
    type Rejection: Rejection;
    /// The signature of a request, not verified yet.
    type Signature: Send + Sync;
    /// The scheme of its challenges. A challenge of that scheme from another service, passed on by this one, would
    /// be taken for the provider's own.
    const SCHEME: &'static str;

    /// The parties, and what else the builder needs.
    fn parties(application: Self::Application, site: Self::Site) -> (Self::Parties, Self::Parts);

    /// The id of this application.
    fn id(parties: &Self::Parties) -> &str;

    /// Takes the presentation in `body`: the acknowledgement, as JSON. The ticket is remembered before this returns.
    fn take(
        provider: &Arc<Shared<Self>>,
        body: Bytes,
        source: Option<IpAddr>,
    ) -> impl Future<Output = Result<String, Reply<Self::Rejection>>> + Send;

    /// The signature in the fields of a request; `None` if it has none.
    fn signature(headers: &HeaderMap) -> Result<Option<Self::Signature>, Self::Rejection>;

    /// What the ticket of a signature is remembered by.
    fn ticket(signature: &Self::Signature) -> Nonce;

    /// Verifies a request under a ticket, and reads its content.
    fn verify<B: Content>(
        provider: &Shared<Self>,
        signature: Self::Signature,
        ticket: &OpenedTicket,
        parts: &Parts,
        body: B,
    ) -> impl Future<Output = Result<Verified, Reply<Self::Rejection>>> + Send;
}
