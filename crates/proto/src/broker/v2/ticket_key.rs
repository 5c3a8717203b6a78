//! The keys that tickets of the fast path are sealed under, and how a provider gets them: sealed to its own key
//! and signed by the site, so that the session that carries them is not enough to read or to make one.
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
use super::sealed::Kind;
use super::site::{Application, Site};
use super::{Refusal, SealedMessage, limits};

/// The bytes of a ticket key's name.
const NAME: usize = 8;

/// A key that the site shares with one provider, for the tickets of one [`limits::TICKET_KEY`].
#[derive(Clone)]
pub struct TicketKey {
    name: [u8; NAME],
    secret: Secret<32>,
    from: u64,
    until: u64,
}

impl TicketKey {
    /// The key of this secret, for tickets that are made at `from` and before `until`, in milliseconds since
    /// 1970 by the site's clock.
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

    /// Tells keys apart, and says nothing of the key itself.
    #[must_use]
    pub fn name(&self) -> [u8; NAME] {
        self.name
    }

    /// Until when tickets are made under it, by the site's clock.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.until
    }

    /// Whether tickets are made under it then.
    #[must_use]
    pub fn is_of(&self, site_time: u64) -> bool {
        (self.from..self.until).contains(&site_time)
    }

    /// Whether all tickets under it are over.
    #[must_use]
    pub fn is_over(&self, site_time: u64) -> bool {
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

/// What the site tells a provider.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    keys: Vec<ToldKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldKey {
    #[serde(with = "secret")]
    key: Secret<32>,
    from: u64,
    until: u64,
}

impl Site {
    /// Seals ticket keys to one key of their provider.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] when there is no key of the site, or nothing can be sealed to that key.
    pub fn hand_over(
        &self,
        keys: &[TicketKey],
        provider: &Application,
        to: &PartyPublic,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedMessage, Refusal> {
        let own = self.keys.first().ok_or(Refusal::NotAllowed)?;
        let told = keys.iter().map(|key| ToldKey {
            key: key.secret.clone(),
            from: key.from,
            until: key.until,
        });
        let told = Told {
            keys: told.collect(),
        };
        let (from, to) = ((self.id.as_str(), own), (provider.id.as_str(), to));
        let kind = (Kind::TicketKeys, None);
        SealedMessage::seal(kind, from, to, provider.suite, &told, entropy)
            .ok_or(Refusal::NotAllowed)
    }
}

impl Provider {
    /// Reads ticket keys that the site sealed to any key of this provider.
    ///
    /// # Errors
    /// [`Refusal::NotVerified`].
    pub fn ticket_keys(&self, message: &SealedMessage) -> Result<Vec<TicketKey>, Refusal> {
        let from = (self.site.as_str(), self.site_keys.as_slice());
        let to = (self.id.as_str(), self.keys.as_slice());
        let believed = message.believe::<Told>(Kind::TicketKeys, from, to);
        let told = believed.map_err(|_| Refusal::NotVerified)?.message.keys;
        let keys = told
            .into_iter()
            .map(|told| TicketKey::new(told.key, told.from, told.until));
        Ok(keys.collect())
    }
}
