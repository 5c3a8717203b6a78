//! The site: verifies a consumer's request, and seals the ticket and the response.
//!
//! ```text
//! UnverifiedRequest::read ── verify ── VerifiedRequest ── (policy, replay cache) ── answer
//!   ── SealedMessage
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_crypto::secret::Secret;
use serde_json::value::RawValue;

use super::foreign::{ForeignName, ForeignRequest};
use super::message::{
    AuthRequest, AuthResponse, CIPHER, HASH, Nonce, OneTimeCredentials, SealedTicket, Ticket,
};
use super::sealed::{Endpoint, Kind, TicketHeader};
use super::{Refusal, SealedMessage, limits};
use crate::json;
use crate::name::Zone;

/// The site as a party.
pub struct Site {
    /// The site's id.
    pub id: String,
    /// The site's keys, newest first. A request may be sealed to any. The oldest signs tickets.
    pub keys: Vec<PartyKey>,
}

/// A registered application.
#[derive(Debug, Clone)]
pub struct Application {
    /// The application's id.
    pub id: String,
    /// The application's public keys, newest first. It may sign with any.
    pub keys: Vec<PartyPublic>,
    /// The suite that messages to it are sealed with.
    pub suite: SealingSuite,
    /// The lifetime of tickets for it, in milliseconds.
    pub keys_last: u64,
    /// The site's data about it for providers, as JSON.
    pub auth_data: Option<Box<RawValue>>,
}

/// A request that was parsed and not verified.
#[derive(Debug)]
pub struct UnverifiedRequest(SealedMessage);

/// A recent request with a verified signature of its consumer.
#[derive(Debug)]
pub struct VerifiedRequest {
    request: AuthRequest,
    key: usize,
    signer: usize,
}

impl UnverifiedRequest {
    /// Parses the JSON text of a request.
    ///
    /// # Errors
    /// [`Refusal::NotVerified`].
    pub fn read(text: &[u8]) -> Result<Self, Refusal> {
        if text.len() > limits::SEALED {
            return Err(Refusal::NotVerified);
        }
        let sealed: SealedMessage = json::read(text).map_err(|_| Refusal::NotVerified)?;
        let named = !sealed.from.is_empty() && sealed.from.len() <= limits::ID;
        named.then_some(Self(sealed)).ok_or(Refusal::NotVerified)
    }

    /// The id of the consumer that the request claims to be from; not verified.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.0.from
    }

    /// The signature of the consumer; not verified. No other authentic request has the same one.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.0.signature
    }

    /// Verifies the consumer's signature, the recipient and the time. If the consumer is not
    /// registered, the same work is done with `decoy_key`, a key that no party has, so that both
    /// take the same time. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Refusal::NotVerified`]; after verification, [`Refusal::Clock`].
    pub fn verify(
        self,
        site: &Site,
        requester: Option<&Application>,
        decoy_key: &PartyPublic,
        now: u64,
    ) -> Result<VerifiedRequest, Refusal> {
        let requester = requester.filter(|known| known.id == self.0.from);
        let keys = requester.map_or(std::slice::from_ref(decoy_key), |known| &known.keys);
        let from = Endpoint::new(&self.0.from, keys);
        let to = Endpoint::new(&site.id, site.keys.as_slice());
        let verified = self
            .0
            .verify_and_open::<AuthRequest>(Kind::Request, from, to);
        let (Ok(verified), Some(_)) = (verified, requester) else {
            return Err(Refusal::NotVerified);
        };
        let request = verified.message;
        if request.requester != self.0.from {
            return Err(Refusal::NotVerified);
        }
        let (ago, ahead) = (
            now.saturating_sub(request.ts),
            request.ts.saturating_sub(now),
        );
        if ago > limits::TOLERANCE || ahead > limits::AHEAD {
            return Err(Refusal::Clock);
        }
        Ok(VerifiedRequest {
            request,
            key: verified.key,
            signer: verified.signer,
        })
    }
}

impl VerifiedRequest {
    /// The id of the provider that the ticket is for.
    #[must_use]
    pub fn requested(&self) -> &str {
        &self.request.requested
    }

    /// When the request was made, in milliseconds since 1970, by the consumer's estimate of the
    /// site's clock.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.request.ts
    }

    /// The consumer and its nonce, which identify this request in the replay cache. Remember it for
    /// [`limits::TOLERANCE`] plus [`limits::AHEAD`].
    #[must_use]
    pub fn replay_key(&self) -> (&str, Nonce) {
        (&self.request.requester, self.request.nonce)
    }

    /// Seals a ticket for the provider, and the response for the consumer. `requested` is `None` if
    /// the provider does not exist or the consumer may not call it. `now` is in milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`], [`Refusal::NothingInCommon`].
    pub fn answer(
        self,
        site: &Site,
        requester: &Application,
        requested: Option<&Application>,
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedMessage, Refusal> {
        let requested = requested.ok_or(Refusal::NotAllowed)?;
        self.check_algorithms()?;
        let parties = (requester, requested);
        let ticket = Ticket::new(parties, self.request.nonce, now, entropy)?;
        let sealed = site.seal_ticket(requested, &ticket, entropy)?;
        let answer = ticket.answer(SealedTicket::Signed(sealed));
        self.seal_response(site, requester, &answer, entropy)
    }

    /// The request to the site of the provider, if `own` is this site's zone and the provider is an
    /// application of another site.
    #[must_use]
    pub fn foreign(&self, own: &Zone) -> Option<ForeignRequest> {
        let provider: ForeignName = self.request.requested.parse().ok()?;
        let consumer = ForeignName::new(&self.request.requester, own).ok()?;
        (provider.zone() != own).then_some(ForeignRequest {
            consumer,
            provider,
            nonce: self.request.nonce,
        })
    }

    /// The index of the consumer's key that signed the request.
    #[must_use]
    pub fn signer(&self) -> usize {
        self.signer
    }

    /// Checks that the consumer supports what tickets of this edition use.
    ///
    /// # Errors
    /// [`Refusal::NothingInCommon`].
    pub fn check_algorithms(&self) -> Result<(), Refusal> {
        let knows = |known: &[String], name: &str| known.iter().any(|known| known == name);
        let (ciphers, hashes) = (
            &self.request.supported_ciphers,
            &self.request.supported_hashes,
        );
        // The preferred algorithm must be one that the consumer supports.
        match knows(ciphers, CIPHER) && knows(hashes, HASH) && knows(hashes, &self.request.hash) {
            true => Ok(()),
            false => Err(Refusal::NothingInCommon),
        }
    }

    /// Seals a response for the consumer: its own answer, or that of a peer, of which the caller has
    /// checked that it answers the request ([`ForeignRequest::is_answered_by`]).
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] if it cannot be sealed, [`Refusal::NotVerified`] without the keys.
    pub fn seal_response(
        &self,
        site: &Site,
        requester: &Application,
        response: &AuthResponse,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedMessage, Refusal> {
        let own = site.keys.get(self.key).ok_or(Refusal::NotVerified)?;
        let consumer = requester.keys.get(self.signer);
        let consumer = consumer.ok_or(Refusal::NotVerified)?;
        SealedMessage::seal(
            Kind::Response,
            None,
            Endpoint::new(&site.id, own),
            Endpoint::new(&requester.id, consumer),
            requester.suite,
            response,
            entropy,
        )
        .ok_or(Refusal::NotAllowed)
    }
}

impl Site {
    /// Seals a ticket to the newest key of its provider. It is signed with the oldest key of the
    /// site: the provider may not know the newest yet.
    pub(super) fn seal_ticket(
        &self,
        requested: &Application,
        ticket: &Ticket,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedMessage, Refusal> {
        let signing = self.keys.last().ok_or(Refusal::NotVerified)?;
        let provider = requested.keys.first().ok_or(Refusal::NotAllowed)?;
        let sealed = SealedMessage::seal(
            Kind::Ticket,
            Some(ticket.header()),
            Endpoint::new(&self.id, signing),
            Endpoint::new(&requested.id, provider),
            requested.suite,
            ticket,
            entropy,
        );
        sealed.ok_or(Refusal::NotAllowed)
    }
}

impl Ticket {
    /// Makes a ticket at the time `now`.
    pub(super) fn new(
        (requester, requested): (&Application, &Application),
        requester_nonce: Nonce,
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Refusal> {
        let lasts = requested.keys_last.min(limits::MAX_TICKET);
        let nothing = || RawValue::from_string("null".to_owned()).map_err(|_| Refusal::NotAllowed);
        Ok(Self {
            requester: requester.id.clone(),
            requested: requested.id.clone(),
            server_nonce: Nonce::fresh(entropy),
            requester_nonce,
            id: Nonce::fresh(entropy),
            secret: Secret::generate(entropy),
            one_time_credentials: OneTimeCredentials {
                key: Secret::generate(entropy),
                iv: Nonce::fresh(entropy),
                cipher: CIPHER.to_owned(),
                hash: HASH.to_owned(),
            },
            hash: HASH.to_owned(),
            ts: now,
            expires: now.saturating_add(lasts),
            auth_data: requester.auth_data.clone().map_or_else(nothing, Ok)?,
        })
    }

    /// The plaintext header of the sealed ticket.
    pub(super) fn header(&self) -> TicketHeader {
        TicketHeader {
            id: self.id,
            expires: self.expires,
        }
    }

    /// The response to the consumer, with the sealed ticket.
    pub(super) fn answer(self, sealed: SealedTicket) -> AuthResponse {
        AuthResponse {
            requester: self.requester,
            requested: self.requested,
            server_nonce: self.server_nonce,
            requester_nonce: self.requester_nonce,
            id: self.id,
            secret: self.secret,
            ts: self.ts,
            one_time_credentials: self.one_time_credentials,
            hash: self.hash,
            expires: self.expires,
            ticket: sealed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_crypto::entropy::SystemEntropy;
    use countersign_crypto::identity::{Identity, IdentitySeed};

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    /// A request must not prefer an algorithm that it does not list as supported.
    // [BRK-70]
    #[test]
    fn a_request_gets_a_ticket_for_what_it_supports_and_asks_for() {
        let party = |byte| {
            let seed = IdentitySeed(Secret::from_bytes([byte; 32]));
            PartyKey::new(Arc::new(Identity::from_seed(seed)))
        };
        let application = |id: &str, key: &PartyKey| Application {
            id: id.to_owned(),
            keys: vec![key.public().clone()],
            suite: SealingSuite::XWing,
            keys_last: 1_000,
            auth_data: None,
        };
        let (own, billing) = (party(1), party(2));
        let first = application("billing", &billing);
        let second = application("ledger", &party(3));
        let site = Site {
            id: "example.org".to_owned(),
            keys: vec![own.clone()],
        };
        let other = "hmac-sha512";
        for (hash, hashes, cipher, refused) in [
            (HASH, vec![HASH], CIPHER, None),
            (other, vec![other, HASH], CIPHER, None),
            (other, vec![HASH], CIPHER, Some(Refusal::NothingInCommon)),
            (other, vec![other], CIPHER, Some(Refusal::NothingInCommon)),
            (HASH, vec![], CIPHER, Some(Refusal::NothingInCommon)),
            (HASH, vec![HASH], "rot13", Some(Refusal::NothingInCommon)),
        ] {
            let entropy = &mut SystemEntropy;
            let request = AuthRequest {
                requester: "billing".to_owned(),
                requested: "ledger".to_owned(),
                nonce: Nonce::fresh(entropy),
                ts: NOW,
                hash: hash.to_owned(),
                supported_hashes: hashes.iter().map(|name| (*name).to_owned()).collect(),
                supported_ciphers: vec![cipher.to_owned()],
            };
            let sealed = SealedMessage::seal(
                Kind::Request,
                None,
                Endpoint::new("billing", &billing),
                Endpoint::new(&site.id, own.public()),
                SealingSuite::XWing,
                &request,
                entropy,
            );
            let request = UnverifiedRequest::read(&serde_json::to_vec(&sealed.unwrap()).unwrap());
            let verified = request
                .unwrap()
                .verify(&site, Some(&first), own.public(), NOW);
            let answer = verified
                .unwrap()
                .answer(&site, &first, Some(&second), NOW, entropy);
            assert_eq!(answer.err(), refused, "{hash} {hashes:?} {cipher}");
        }
    }
}
