//! The provider: verifies and accepts tickets.
//!
//! ```text
//! UnverifiedPresentation::read ── (cheap checks of the header) ── Provider::verify
//!   ── VerifiedPresentation ── (the replay cache has not seen the ticket) ── acknowledge
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_crypto::sealing::hybrid::HybridPublic;
use serde_json::value::RawValue;

use super::message::{
    AcknowledgedNonces, Acknowledgement, CIPHER, HASH, IdObject, Nonce, Presentation, SealedTicket,
    Ticket, write,
};
use super::presentation::{acknowledgement_key, associated_data, id_object_key, shared_secret};
use super::sealed::{Endpoint, Kind, TicketHeader};
use super::{Credentials, Refusal, TicketKey, limits};
use crate::json;

/// The provider's keys and the site's public keys.
#[derive(Clone)]
pub struct Provider {
    /// The provider's id.
    pub id: String,
    /// The provider's keys, newest first. A ticket may be sealed to any.
    pub keys: Vec<PartyKey>,
    /// The site's id.
    pub site: String,
    /// The site's public keys. One of them must have signed the ticket.
    pub site_keys: Vec<PartyPublic>,
    /// Keys of symmetric tickets. Empty if this provider requested none from the site.
    pub ticket_keys: Vec<TicketKey>,
}

/// A presentation that was parsed and not verified. Parsing does no public-key operation.
#[derive(Debug)]
pub struct UnverifiedPresentation(pub(super) Presentation);

impl UnverifiedPresentation {
    /// Parses the JSON body of the request.
    ///
    /// # Errors
    /// [`Refusal::NotVerified`].
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > limits::SEALED {
            return Err(Refusal::NotVerified);
        }
        let presentation = json::read(body);
        presentation.map(Self).map_err(|_| Refusal::NotVerified)
    }

    /// The plaintext header of a signed ticket. `None` for a symmetric ticket, which is decrypted
    /// without a public-key operation.
    #[must_use]
    pub fn header(&self) -> Option<TicketHeader> {
        match &self.0.ticket {
            SealedTicket::Signed(ticket) => ticket.header,
            SealedTicket::Symmetric(_) => None,
        }
    }

    /// Whether verification needs public-key operations.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        matches!(self.0.ticket, SealedTicket::Signed(_))
    }
}

/// A verified ticket for this provider, presented by its consumer. The caller must still check that
/// it was not presented before.
#[derive(Debug)]
pub struct VerifiedPresentation {
    ticket: Ticket,
    object: IdObject,
    ephemeral: HybridPublic,
    transcript_hash: [u8; 32],
}

/// A consumer that was authenticated, and the secret that it shares with this provider.
#[derive(Debug)]
pub struct Accepted {
    /// The consumer's id, and the secret that signs its requests.
    pub credentials: Credentials,
    /// The site's data about the consumer, as JSON.
    pub auth_data: Box<RawValue>,
    /// When the site issued the ticket, in milliseconds since 1970 by its clock.
    pub issued: u64,
    /// The response to the consumer, as JSON.
    pub answer: String,
}

impl Provider {
    /// [`UnverifiedPresentation::read`] and [`Self::verify`].
    ///
    /// # Errors
    /// As these.
    pub fn accept(&self, body: &[u8], site_time: u64) -> Result<VerifiedPresentation, Refusal> {
        self.verify(&UnverifiedPresentation::read(body)?, site_time)
    }

    /// Verifies a presentation. `site_time` is the site's time in milliseconds since 1970 (see
    /// [`super::clock`]).
    ///
    /// # Errors
    /// [`Refusal::Expired`] for a ticket whose plaintext header is expired, before anything is
    /// verified; [`Refusal::NotVerified`]; after verification, [`Refusal::Clock`] and
    /// [`Refusal::Expired`].
    pub fn verify(
        &self,
        read: &UnverifiedPresentation,
        site_time: u64,
    ) -> Result<VerifiedPresentation, Refusal> {
        let not_verified = Refusal::NotVerified;
        let (presentation, header) = (&read.0, read.header());
        if header.is_some_and(|header| site_time > header.expires) {
            return Err(Refusal::Expired);
        }
        let ticket = self.read(&presentation.ticket).ok_or(not_verified)?;
        if header.is_some_and(|header| header != ticket.header()) {
            return Err(not_verified);
        }
        let once = &ticket.one_time_credentials;
        let known = once.cipher == CIPHER
            && (once.hash.as_str(), ticket.hash.as_str()) == (HASH, HASH)
            && ticket.requested == self.id;
        if !known {
            return Err(not_verified);
        }
        let text = id_object_key(once)
            .open(
                &associated_data(&presentation.ticket, &[]),
                &presentation.id,
            )
            .map_err(|_| not_verified)?;
        let object: IdObject = json::read(text.expose()).map_err(|_| not_verified)?;
        let nonces = (object.server_nonce, object.requester_nonce);
        let expected = (ticket.server_nonce, ticket.requester_nonce);
        if nonces != expected || object.id != ticket.requester {
            return Err(not_verified);
        }
        let ephemeral = HybridPublic::from_bytes(&object.ephemeral).map_err(|_| not_verified)?;
        if site_time > ticket.expires {
            return Err(Refusal::Expired);
        }
        // The site dates no ticket in the future and exceeds no maximum lifetime.
        let lasts = ticket.expires.saturating_sub(ticket.ts);
        let early = ticket.ts.saturating_sub(site_time) > limits::TOLERANCE;
        if early || lasts > limits::MAX_TICKET {
            return Err(Refusal::Clock);
        }
        if object.ts.abs_diff(site_time) > limits::TOLERANCE {
            return Err(Refusal::Clock);
        }
        Ok(VerifiedPresentation {
            transcript_hash: associated_data(&presentation.ticket, &presentation.id),
            ticket,
            object,
            ephemeral,
        })
    }

    fn read(&self, ticket: &SealedTicket) -> Option<Ticket> {
        let from = Endpoint::new(&self.site, self.site_keys.as_slice());
        let to = Endpoint::new(&self.id, self.keys.as_slice());
        match ticket {
            SealedTicket::Signed(ticket) => ticket
                .verify_and_open(Kind::Ticket, from, to)
                .ok()
                .map(|verified| verified.message),
            SealedTicket::Symmetric(ticket) => self.open(ticket),
        }
    }
}

impl VerifiedPresentation {
    /// The id of the ticket. A ticket may be accepted once. Remember the id until
    /// [`Self::expires`], plus [`limits::TOLERANCE`] for a clock that is set back.
    #[must_use]
    pub fn id(&self) -> Nonce {
        self.ticket.id
    }

    /// The end of the ticket's lifetime, in milliseconds since 1970 by the site's clock.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.ticket.expires
    }

    /// When the site issued the ticket, in milliseconds since 1970 by its clock.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.ticket.ts
    }

    /// The consumer's id.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.ticket.requester
    }

    /// Accepts the ticket. The caller has checked that it was not presented before.
    ///
    /// # Errors
    /// [`Refusal::NotVerified`] if nothing can be encapsulated to the ephemeral key.
    pub fn acknowledge(
        self,
        site_time: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Accepted, Refusal> {
        let not_verified = Refusal::NotVerified;
        let (encapsulated, ephemeral) = self
            .ephemeral
            .encapsulate(entropy)
            .map_err(|_| not_verified)?;
        let nonces = AcknowledgedNonces {
            server_nonce: self.object.server_nonce,
            requester_nonce: self.object.requester_nonce,
            final_nonce: self.object.final_nonce,
            ts: site_time,
            encapsulated,
        };
        let text = write(&nonces).ok_or(not_verified)?;
        let message = acknowledgement_key(&self.ticket.one_time_credentials, self.object.iv)
            .seal(&self.transcript_hash, text.expose());
        let secret = shared_secret(
            &self.ticket.secret,
            &ephemeral,
            &self.transcript_hash,
            &message,
        );
        let answer =
            serde_json::to_string(&Acknowledgement { message }).map_err(|_| not_verified)?;
        Ok(Accepted {
            credentials: Credentials {
                application: self.ticket.requester,
                id: self.ticket.id,
                secret,
                expires: self.ticket.expires,
            },
            auth_data: self.ticket.auth_data,
            issued: self.ticket.ts,
            answer,
        })
    }
}
