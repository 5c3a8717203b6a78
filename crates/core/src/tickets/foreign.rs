//! Tickets across sites: what a site asks a peer for, and what it answers a peer.

use countersign_crypto::entropy::Entropy;
use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::foreign::{
    ForeignConsumer, ForeignName, ForeignRequest, grant_foreign,
};
use countersign_proto::broker::v2::limits::MAX_FOREIGN_TICKET;
use countersign_proto::broker::v2::message::{AuthResponse, Nonce};
use countersign_proto::site_identity::SiteId;
use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Allowed, Registered, TicketEdition, Verified, millis};
use crate::site_key::BrokerKeys;
use crate::timestamp::Timestamp;

/// A request to a peer.
#[derive(Debug, Clone)]
pub struct ForeignAsk {
    /// The two applications, and the nonce of the consumer's request.
    pub(crate) request: ForeignRequest,
    /// The key with which the consumer authenticated; `None` for a session.
    pub(crate) key: Option<[u8; 32]>,
}

/// Which site has the provider of a verified request. This site's policy allows the call.
pub(crate) enum Destination<E: TicketEdition> {
    /// This site.
    Own(Allowed<E>),
    /// A peer.
    Peer(AllowedForeign<E>),
}

/// A verified request for a provider of a peer that its consumer may call, as far as this site
/// decides.
pub(crate) struct AllowedForeign<E: TicketEdition> {
    pub(crate) verified: Verified<E>,
    pub(crate) ask: ForeignAsk,
    /// The peer that has the zone of the provider.
    pub(crate) peer: SiteId,
}

impl<E: TicketEdition> AllowedForeign<E> {
    /// Seals the response of the peer for the consumer.
    pub(crate) fn relay(
        &self,
        response: &AuthResponse,
        entropy: &mut dyn Entropy,
    ) -> Result<E::Sealed, E::Refusal> {
        let verified = &self.verified;
        E::relay(
            &verified.keys,
            &verified.request,
            &verified.consumer,
            response,
            entropy,
        )
    }
}

/// A request of a peer for a ticket.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForeignTicketParams {
    /// The consumer: its id at the peer, `@` and the zone of the peer.
    #[schemars(with = "String")]
    pub(crate) consumer: ForeignName,
    /// The provider: its id at this site, `@` and the zone of this site.
    #[schemars(with = "String")]
    pub(crate) provider: ForeignName,
    /// The nonce of the consumer's request: 16 bytes in base64url.
    #[schemars(with = "String")]
    pub(crate) nonce: Nonce,
    /// The SHA-256 of the public keys with which the consumer authenticated at the peer, in
    /// hexadecimal; `null` if it authenticated with a session.
    pub(crate) key: Option<String>,
    /// The longest lifetime that the peer accepts, in milliseconds.
    pub(crate) lasts: u64,
}

impl ForeignTicketParams {
    pub(crate) fn of(ask: &ForeignAsk) -> Self {
        let ForeignRequest {
            consumer,
            provider,
            nonce,
        } = ask.request.clone();
        Self {
            consumer,
            provider,
            nonce,
            key: ask.key.map(|key| HEXLOWER.encode(&key)),
            lasts: MAX_FOREIGN_TICKET,
        }
    }

    /// The key; `None` if it is not 32 bytes in hexadecimal.
    pub(crate) fn parsed_key(&self) -> Option<Option<[u8; 32]>> {
        let Some(key) = &self.key else {
            return Some(None);
        };
        let bytes = HEXLOWER.decode(key.as_bytes()).ok()?;
        bytes.try_into().ok().map(Some)
    }
}

/// Makes a ticket for a provider of this site and a consumer of a peer, which policy allows.
///
/// # Errors
/// [`Refusal::NotAllowed`] if the provider has no key, or a name is too long.
pub(crate) fn answer(
    keys: &BrokerKeys,
    consumer: &ForeignConsumer,
    provider: &Registered,
    lasts: u64,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> Result<AuthResponse, Refusal> {
    let provider = provider.v2.as_ref().ok_or(Refusal::NotAllowed)?;
    grant_foreign(&keys.site, consumer, provider, lasts, millis(now), entropy)
}
