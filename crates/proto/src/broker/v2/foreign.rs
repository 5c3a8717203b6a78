//! Tickets across sites: a consumer of one site calls a provider of a peer
//! (`docs/protocol/broker.md`, section "Tickets across sites").
//!
//! ```text
//! consumer ── auth request for `ledger@b.example` ──▶ site A ── over the peer connection ──▶ site B
//!    ▲                                                  │                                      │
//!    └── auth response of A, with the ticket of B ──────┴──────── ticket of B, its secrets ────┘
//! ```
//!
//! The ticket has the format of every signed ticket. Its `requester` is the consumer's name with the
//! zone of its site, and its `authData` is the [`TicketPath`].

use std::fmt;
use std::str::FromStr;

use countersign_crypto::entropy::Entropy;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::message::{AuthResponse, CIPHER, HASH, Nonce, SealedTicket, Ticket};
use super::sealed::{Kind, TicketHeader};
use super::site::{Application, Site};
use super::{Refusal, limits};
use crate::json;
use crate::name::Zone;
use crate::site_identity::SiteId;

/// The id of an application with the zone of its site, as in `ledger@b.example`: at most
/// [`limits::ID`] bytes, the zone in lower case, and neither a blank nor another `@` before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ForeignName {
    id: String,
    zone: Zone,
}

/// The text is not the id of an application with the zone of its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an application of a peer is named as in ledger@b.example: its id without blanks, `@`, and the zone of \
     its site in lower case; at most {} bytes",
    limits::ID
)]
pub struct BadForeignName;

impl ForeignName {
    /// The name of the application `id` of the site with this zone.
    ///
    /// # Errors
    /// [`BadForeignName`].
    pub fn new(id: &str, zone: &Zone) -> Result<Self, BadForeignName> {
        let plain = |character: char| {
            !character.is_whitespace() && !character.is_control() && !"@,".contains(character)
        };
        let length = id.len() + 1 + zone.as_str().len();
        let fits = !id.is_empty() && length <= limits::ID && id.chars().all(plain);
        fits.then(|| Self {
            id: id.to_owned(),
            zone: zone.clone(),
        })
        .ok_or(BadForeignName)
    }

    /// The application's id at its site.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The zone of its site.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

impl fmt::Display for ForeignName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.zone)
    }
}

impl FromStr for ForeignName {
    type Err = BadForeignName;

    /// Accepts the one spelling that [`fmt::Display`] gives.
    fn from_str(text: &str) -> Result<Self, BadForeignName> {
        let (id, zone) = text.split_once('@').ok_or(BadForeignName)?;
        let parsed: Zone = zone.parse().map_err(|_| BadForeignName)?;
        match parsed.as_str() == zone {
            true => Self::new(id, &parsed),
            false => Err(BadForeignName),
        }
    }
}

impl TryFrom<String> for ForeignName {
    type Error = BadForeignName;

    fn try_from(text: String) -> Result<Self, BadForeignName> {
        text.parse()
    }
}

impl From<ForeignName> for String {
    fn from(name: ForeignName) -> Self {
        name.to_string()
    }
}

/// The path by which a ticket across sites was requested: the `authData` of such a ticket. The
/// provider's site states it; `consumer` and `key` are what the consumer's site claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketPath {
    /// The consumer and its site.
    pub via: Via,
}

/// The consumer of a ticket across sites, and the site that authenticated it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// The site id of the consumer's site, which never changes.
    pub site: SiteId,
    /// The zone of that site.
    pub zone: String,
    /// The consumer's id at that site.
    pub consumer: String,
    /// The SHA-256 of the public keys with which the consumer authenticated there, in hexadecimal;
    /// `null` if it authenticated with a session.
    pub key: Option<String>,
}

impl TicketPath {
    /// The path of the ticket of a consumer, from the consumer's id and the `authData` of the
    /// ticket; `None` if the consumer is an application of the provider's own site. Both must agree:
    /// data that a site has registered for an application of its own is no path.
    #[must_use]
    pub fn of(requester: &str, auth_data: &RawValue) -> Option<Self> {
        let name: ForeignName = requester.parse().ok()?;
        let path: Self = json::read(auth_data.get().as_bytes()).ok()?;
        let via = &path.via;
        (via.zone == name.zone.as_str() && via.consumer == name.id).then_some(path)
    }
}

/// A consumer of a peer, for which the provider's site makes a ticket.
#[derive(Debug, Clone)]
pub struct ForeignConsumer {
    /// Its name. The zone is that of the peer.
    pub name: ForeignName,
    /// The peer.
    pub site: SiteId,
    /// The key with which it authenticated at the peer, as the peer claims; `None` for a session.
    pub key: Option<[u8; 32]>,
    /// The nonce of its request.
    pub nonce: Nonce,
}

/// Makes a ticket for a provider of this site and a consumer of a peer, which policy allows. `lasts`
/// is the longest lifetime that the peer asks for, in milliseconds; the ticket lasts at most
/// [`limits::MAX_FOREIGN_TICKET`]. The response names the provider with the zone of this site.
///
/// # Errors
/// [`Refusal::NotAllowed`] if nothing can be sealed to the provider, or a name is too long.
pub fn grant_foreign(
    site: &Site,
    consumer: &ForeignConsumer,
    provider: &Application,
    lasts: u64,
    now: u64,
    entropy: &mut dyn Entropy,
) -> Result<AuthResponse, Refusal> {
    let not_allowed = Refusal::NotAllowed;
    let zone: Zone = site.id.parse().map_err(|_| not_allowed)?;
    let asked_for = ForeignName::new(&provider.id, &zone).map_err(|_| not_allowed)?;
    let path = TicketPath {
        via: Via {
            site: consumer.site,
            zone: consumer.name.zone.to_string(),
            consumer: consumer.name.id.clone(),
            key: consumer.key.map(|key| data_encoding::HEXLOWER.encode(&key)),
        },
    };
    let path = serde_json::value::to_raw_value(&path).map_err(|_| not_allowed)?;
    let requester = Application {
        id: consumer.name.to_string(),
        keys: Vec::new(),
        suite: provider.suite,
        keys_last: 0,
        auth_data: Some(path),
    };
    let longest = lasts.min(limits::MAX_FOREIGN_TICKET);
    let requested = Application {
        keys_last: provider.keys_last.min(longest),
        ..provider.clone()
    };
    let ticket = Ticket::new((&requester, &requested), consumer.nonce, now, entropy)?;
    let sealed = site.seal_ticket(&requested, &ticket, entropy)?;
    let mut response = ticket.answer(SealedTicket::Signed(sealed));
    response.requested = asked_for.to_string();
    Ok(response)
}

/// What a site asks a peer for: a ticket for this provider of the peer and this consumer of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignRequest {
    /// The consumer, with the zone of the site that asks.
    pub consumer: ForeignName,
    /// The provider, with the zone of the peer.
    pub provider: ForeignName,
    /// The nonce of the consumer's request.
    pub nonce: Nonce,
}

impl ForeignRequest {
    /// Whether a response of the peer answers this request: it names both applications and the
    /// nonce, its ticket is one of that peer for that provider, and it lasts at most
    /// [`limits::MAX_FOREIGN_TICKET`]. The signature on the ticket is for the provider to verify.
    #[must_use]
    pub fn is_answered_by(&self, response: &AuthResponse) -> bool {
        let once = &response.one_time_credentials;
        let header = TicketHeader {
            id: response.id,
            expires: response.expires,
        };
        let SealedTicket::Signed(ticket) = &response.ticket else {
            return false;
        };
        let lasts = response.expires.checked_sub(response.ts);
        response.requester == self.consumer.to_string()
            && response.requested == self.provider.to_string()
            && response.requester_nonce == self.nonce
            && once.cipher == CIPHER
            && (once.hash.as_str(), response.hash.as_str()) == (HASH, HASH)
            && lasts.is_some_and(|lasts| (1..=limits::MAX_FOREIGN_TICKET).contains(&lasts))
            && ticket.kind == Kind::Ticket
            && ticket.from == self.provider.zone.as_str()
            && ticket.to == self.provider.id
            && ticket.header == Some(header)
            && ticket.sealed.len() <= limits::SEALED_TICKET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [BRK-90]
    #[test]
    fn a_name_with_a_zone_has_one_spelling() {
        let longest = format!("{}@b.example", "a".repeat(limits::ID - 10));
        for text in ["ledger@b.example", "Ledger_1@local", &longest] {
            let name: ForeignName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
        }
        let longer = format!("a{longest}");
        for text in [
            "",
            "ledger",
            "@b.example",
            "ledger@",
            "ledger@B.example",
            "ledger@b..example",
            "led ger@b.example",
            "ledger @b.example",
            "a@b@b.example",
            "a,b@b.example",
            "ledger@b.example ",
            &longer,
        ] {
            assert_eq!(text.parse::<ForeignName>(), Err(BadForeignName), "{text}");
        }
    }

    // [BRK-92]
    #[test]
    fn data_that_does_not_fit_the_name_of_the_consumer_is_no_path() {
        let via = |zone: &str, consumer: &str| {
            let site = SiteId([7; 32]);
            let key = None;
            let (zone, consumer) = (zone.to_owned(), consumer.to_owned());
            let via = Via {
                site,
                zone,
                consumer,
                key,
            };
            serde_json::value::to_raw_value(&TicketPath { via }).unwrap()
        };
        let data = via("a.example", "billing");
        let path = TicketPath::of("billing@a.example", &data).unwrap();
        assert_eq!(path.via.site, SiteId([7; 32]));
        // An application of the provider's own site, for which an admin registered such data.
        assert_eq!(TicketPath::of("billing", &data), None);
        for data in [
            via("c.example", "billing"),
            via("a.example", "archive"),
            serde_json::value::to_raw_value(&serde_json::Value::Null).unwrap(),
        ] {
            assert_eq!(TicketPath::of("billing@a.example", &data), None);
        }
    }
}
