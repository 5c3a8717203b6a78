//! The keys of symmetric tickets. The site seals them to the provider's public key and signs them,
//! so that reading the session that carries them does not reveal a key, and writing to it cannot
//! insert one.
//!
//! ```text
//! name of a ticket key = KDF(ticket key, "broker ticket key name", "")
//! ```

use std::fmt;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::kdf::derive;
use countersign_crypto::party::PartyPublic;
use countersign_crypto::secret::Secret;
use serde::{Deserialize, Serialize};

use super::message::secret;
use super::provider::Provider;
use super::sealed::{Endpoint, Kind};
use super::site::{Application, Site};
use super::{Refusal, SealedMessage, limits};

/// The length of a ticket key's name in bytes.
const NAME: usize = 8;

/// A key that the site shares with one provider, for the tickets of one period of
/// [`limits::TICKET_KEY`].
#[derive(Clone)]
pub struct TicketKey {
    name: [u8; NAME],
    secret: Secret<32>,
    from: u64,
    until: u64,
}

impl TicketKey {
    /// A ticket key with this secret, for tickets made at or after `from` and before `until`, in
    /// milliseconds since 1970 by the site's clock.
    #[must_use]
    pub fn new(secret: Secret<32>, from: u64, until: u64) -> Self {
        let name: Secret<NAME> = derive(secret.expose(), "broker ticket key name", &[]);
        Self {
            name: *name.expose(),
            secret,
            from,
            until,
        }
    }

    /// Identifies the key without revealing it.
    #[must_use]
    pub fn name(&self) -> [u8; NAME] {
        self.name
    }

    /// The end of the period in which tickets are made under it, by the site's clock.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.until
    }

    /// Whether tickets made at `site_time` use this key.
    #[must_use]
    pub fn covers(&self, site_time: u64) -> bool {
        (self.from..self.until).contains(&site_time)
    }

    /// Whether every ticket under this key has expired.
    #[must_use]
    pub fn is_expired(&self, site_time: u64) -> bool {
        site_time > self.until.saturating_add(limits::MAX_TICKET)
    }

    pub(super) fn secret(&self) -> &Secret<32> {
        &self.secret
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKey({}..{})", self.from, self.until)
    }
}

/// The message with which the site gives ticket keys to a provider.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTicketKeys {
    keys: Vec<WireTicketKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTicketKey {
    #[serde(with = "secret")]
    key: Secret<32>,
    from: u64,
    until: u64,
}

impl Site {
    /// Seals ticket keys to one public key of their provider.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] if the site has no key, or nothing can be sealed to that public key.
    pub fn seal_ticket_keys(
        &self,
        keys: &[TicketKey],
        provider: &Application,
        to: &PartyPublic,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedMessage, Refusal> {
        // The oldest key, as for tickets.
        let own = self.keys.last().ok_or(Refusal::NotAllowed)?;
        let wire_keys = keys.iter().map(|key| WireTicketKey {
            key: key.secret.clone(),
            from: key.from,
            until: key.until,
        });
        let wire_keys = WireTicketKeys {
            keys: wire_keys.collect(),
        };
        let sealed = SealedMessage::seal(
            Kind::TicketKeys,
            None,
            Endpoint::new(&self.id, own),
            Endpoint::new(&provider.id, to),
            provider.suite,
            &wire_keys,
            entropy,
        );
        sealed.ok_or(Refusal::NotAllowed)
    }
}

impl Provider {
    /// Verifies and decrypts ticket keys that the site sealed to any key of this provider.
    ///
    /// # Errors
    /// [`Refusal::NotVerified`].
    pub fn ticket_keys(&self, message: &SealedMessage) -> Result<Vec<TicketKey>, Refusal> {
        let from = Endpoint::new(&self.site, self.site_keys.as_slice());
        let to = Endpoint::new(&self.id, self.keys.as_slice());
        let verified = message.verify_and_open::<WireTicketKeys>(Kind::TicketKeys, from, to);
        let received = verified.map_err(|_| Refusal::NotVerified)?.message.keys;
        let keys = received
            .into_iter()
            .map(|received| TicketKey::new(received.key, received.from, received.until));
        Ok(keys.collect())
    }
}
