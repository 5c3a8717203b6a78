//! The edition-specific part of a provider.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign_proto::broker::v2::message::Nonce;
use http::HeaderMap;
use http::request::Parts;

use super::SharedProvider;
use super::reply::{Rejection, Reply};
use super::tickets::{OpenedTicket, RequestName};
use crate::content::Content;
use crate::edition::Edition;

/// A request with a valid signature. It is passed on unless it is a replay.
pub struct Verified {
    /// The request's content.
    pub(crate) content: Bytes,
    /// Identifies the request in the ticket store.
    pub(crate) name: RequestName,
    /// When its signature expires, in milliseconds since 1970.
    pub(crate) until: u64,
    /// When it was verified, in milliseconds since 1970.
    pub(crate) now: u64,
}

/// The edition-specific part of a provider.
pub trait ProviderEdition: Edition {
    /// The state machine of `proto`: ids and keys of application and site.
    type Parties: Send + Sync;
    /// Further values that only the builder needs.
    type Parts;
    /// State of a running provider other than tickets: caches and clock.
    type State: Send + Sync;
    /// Why it rejects presentations and requests.
    type Rejection: Rejection;
    /// The parsed signature of a request, not verified yet.
    type Signature: Send + Sync;
    /// The authentication scheme of its challenges.
    const SCHEME: &'static str;

    /// Splits application and site into the parties and what else the builder needs.
    fn parties(application: Self::Application, site: Self::Site) -> (Self::Parties, Self::Parts);

    /// This application's id.
    fn id(parties: &Self::Parties) -> &str;

    /// Handles the presentation in `body` and returns the acknowledgement as JSON. The ticket is
    /// stored before this returns.
    fn take(
        provider: &Arc<SharedProvider<Self>>,
        body: Bytes,
        source: Option<IpAddr>,
    ) -> impl Future<Output = Result<String, Reply<Self::Rejection>>> + Send;

    /// Parses the signature in the headers of a request; `None` if there is none.
    fn signature(headers: &HeaderMap) -> Result<Option<Self::Signature>, Self::Rejection>;

    /// The id of the ticket that a signature names.
    fn ticket(signature: &Self::Signature) -> Nonce;

    /// Verifies a request with the secret of `ticket`, and reads its content.
    fn verify<B: Content>(
        provider: &Arc<SharedProvider<Self>>,
        signature: Self::Signature,
        ticket: &OpenedTicket,
        parts: &Parts,
        body: B,
    ) -> impl Future<Output = Result<Verified, Reply<Self::Rejection>>> + Send;
}
