//! The symmetric ticket path: tickets without a public-key operation, for a consumer that has an
//! open session with the site. The session authenticates the consumer and protects the response. A
//! [`TicketKey`] seals the provider's part.
//!
//! ```text
//! info   = "countersign broker 2 fast ticket" 00 | lp(from) | lp(to) | name of the ticket key (8) | salt (16)
//! sealed = AES-256-GCM(KDF(ticket key, "broker fast ticket", salt), AAD = info, ticket)
//! lp(x)  = length of x in bytes (2, big-endian) | x
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::kdf::derive;
use countersign_crypto::one_time::OneTimeKey;
use serde::{Deserialize, Serialize};

use super::message::{AuthResponse, Nonce, SealedTicket, Ticket, bytes, write_within};
use super::provider::{Provider, UnverifiedPresentation};
use super::sealed::lp;
use super::site::Application;
use super::ticket_key::TicketKey;
use super::{Refusal, limits};
use crate::json;

/// The maximum length in bytes of a ticket without its names and `auth_data`: keys, nonces and
/// times.
const FIXED: usize = 1_024;

/// A ticket sealed under a key that the site and the provider share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymmetricTicket {
    /// The site's id.
    pub from: String,
    /// The provider's id.
    pub to: String,
    /// The name of the ticket key.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
    /// The salt that this ticket's key is derived with.
    pub salt: Nonce,
    /// The encrypted [`Ticket`], for the provider.
    #[serde(with = "bytes")]
    pub sealed: Vec<u8>,
}

/// The site's result for one entry of a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketResult {
    /// The ticket was issued.
    Granted(Box<AuthResponse>),
    /// The code of a [`Refusal`].
    Refused(String),
}

impl SymmetricTicket {
    /// The associated data of the ciphertext: all other fields.
    pub(super) fn info(&self) -> Vec<u8> {
        let mut info = b"countersign broker 2 fast ticket\0".to_vec();
        lp(&mut info, &self.from);
        lp(&mut info, &self.to);
        info.extend_from_slice(&self.key);
        info.extend_from_slice(&self.salt.0);
        info
    }

    fn one_time(&self, key: &TicketKey) -> OneTimeKey {
        let key = derive(key.secret().expose(), "broker fast ticket", &self.salt.0);
        OneTimeKey::new(&key)
    }

    fn seal(site: &str, key: &TicketKey, ticket: &Ticket, salt: Nonce) -> Option<Self> {
        let mut sealed = Self {
            from: site.to_owned(),
            to: ticket.requested.clone(),
            key: key.name().to_vec(),
            salt,
            sealed: Vec::new(),
        };
        // JSON needs at most six bytes for a character of a name.
        let names = 6 * (ticket.requester.len() + ticket.requested.len());
        let text = write_within(ticket, FIXED + names + ticket.auth_data.get().len())?;
        let one_time = sealed.one_time(key);
        sealed.sealed = one_time.seal(&sealed.info(), text.expose());
        Some(sealed)
    }
}

/// Issues a ticket to a consumer that the session authenticated and that policy allows to call the
/// provider. `key` must be the ticket key for tickets made `now`, in milliseconds since 1970.
///
/// # Errors
/// [`Refusal::NotAllowed`] when the ticket cannot be written.
pub fn grant(
    site: &str,
    key: &TicketKey,
    (requester, requested): (&Application, &Application),
    now: u64,
    entropy: &mut dyn Entropy,
) -> Result<AuthResponse, Refusal> {
    let nonce = Nonce::fresh(entropy);
    let ticket = Ticket::new((requester, requested), nonce, now, entropy)?;
    let sealed = SymmetricTicket::seal(site, key, &ticket, Nonce::fresh(entropy));
    let sealed = sealed.ok_or(Refusal::NotAllowed)?;
    Ok(ticket.answer(SealedTicket::Symmetric(sealed)))
}

impl Provider {
    /// Whether the presented ticket names a ticket key that this provider does not have. The name
    /// is not authenticated: any client can send any name.
    #[must_use]
    pub fn lacks_ticket_key(&self, read: &UnverifiedPresentation) -> bool {
        match &read.0.ticket {
            SealedTicket::Symmetric(ticket) => self.ticket_key(ticket).is_none(),
            SealedTicket::Signed(_) => false,
        }
    }

    fn ticket_key(&self, ticket: &SymmetricTicket) -> Option<&TicketKey> {
        let named = |key: &&TicketKey| key.name().as_slice() == ticket.key;
        self.ticket_keys.iter().find(named)
    }

    /// Decrypts a ticket that was made for this provider within the period of its ticket key.
    pub(super) fn open(&self, ticket: &SymmetricTicket) -> Option<Ticket> {
        if ticket.from != self.site || ticket.to != self.id {
            return None;
        }
        let key = self.ticket_key(ticket)?;
        let text = ticket.one_time(key).open(&ticket.info(), &ticket.sealed);
        let ticket: Ticket = json::read(text.ok()?.expose()).ok()?;
        let lasts = ticket.expires.checked_sub(ticket.ts)?;
        (key.covers(ticket.ts) && lasts <= limits::MAX_TICKET).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;
    use countersign_crypto::party::SealingSuite;
    use countersign_crypto::secret::Secret;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    // [BRK-51] A party that has the ticket key cannot exceed the maximum lifetime either.
    #[test]
    fn a_ticket_with_a_lifetime_over_a_day_is_rejected() {
        let key = TicketKey::new(Secret::from_bytes([7; 32]), NOW, NOW + 1);
        let application = |id: &str| Application {
            id: id.to_owned(),
            keys: Vec::new(),
            suite: SealingSuite::XWing,
            keys_last: limits::MAX_TICKET,
            auth_data: None,
        };
        let (first, second) = (application("billing"), application("ledger"));
        let provider = Provider {
            id: "ledger".to_owned(),
            keys: Vec::new(),
            site: "example.org".to_owned(),
            site_keys: Vec::new(),
            ticket_keys: vec![key.clone()],
        };
        let (entropy, nonce) = (&mut SystemEntropy, Nonce([0; 16]));
        for (more, opens) in [(0, true), (1, false)] {
            let mut ticket = Ticket::new((&first, &second), nonce, NOW, entropy).unwrap();
            ticket.expires += more;
            let sealed = SymmetricTicket::seal("example.org", &key, &ticket, nonce).unwrap();
            assert_eq!(provider.open(&sealed).is_some(), opens, "{more}");
        }
        let mut ticket = Ticket::new((&first, &second), nonce, NOW, entropy).unwrap();
        ticket.expires = ticket.ts - 1;
        let sealed = SymmetricTicket::seal("example.org", &key, &ticket, nonce).unwrap();
        assert!(provider.open(&sealed).is_none());
    }
}
