//! The consumer: gets a ticket from the site and presents it to a provider.
//!
//! ```text
//! Consumer::ask ── PendingRequest ── read_response ── IssuedTicket ── present
//!   ── PendingPresentation ── read_acknowledgement ── Credentials
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_crypto::sealing::hybrid::HybridKey;

use super::foreign::ForeignName;
use super::message::{
    AcknowledgedNonces, Acknowledgement, AuthRequest, AuthResponse, CIPHER, HASH, IdObject, Nonce,
    Presentation, write,
};
use super::presentation::{acknowledgement_key, associated_data, id_object_key, shared_secret};
use super::sealed::{Endpoint, Kind};
use super::{Credentials, SealedMessage, limits};
use crate::json;

/// The consumer's keys and the site's public keys.
#[derive(Clone)]
pub struct Consumer {
    /// The consumer's id.
    pub id: String,
    /// The consumer's keys, newest first. It signs with the first and decrypts with any.
    pub keys: Vec<PartyKey>,
    /// The site's id.
    pub site: String,
    /// The site's public keys, newest first. The consumer seals to the first and accepts signatures
    /// by any.
    pub site_keys: Vec<PartyPublic>,
    /// The suite that requests are sealed with.
    pub suite: SealingSuite,
}

/// Why a consumer got no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConsumerError {
    /// The consumer or the site has no key, or nothing can be sealed to the site's key.
    #[error(
        "cannot make a request: a key of this application or of the site is missing or unusable"
    )]
    CannotAsk,
    /// The response is not signed by the expected party, does not answer this request, or is
    /// malformed.
    #[error("the response failed verification")]
    FailedVerification,
}

/// A request that was sent and has no response yet.
#[derive(Debug)]
pub struct PendingRequest {
    requested: String,
    nonce: Nonce,
}

/// A ticket that was not presented yet.
#[derive(Debug)]
pub struct IssuedTicket {
    response: AuthResponse,
}

/// A presentation that was sent and has no acknowledgement yet.
#[derive(Debug)]
pub struct PendingPresentation {
    response: AuthResponse,
    final_nonce: Nonce,
    iv: Nonce,
    ephemeral: HybridKey,
    transcript_hash: [u8; 32],
    /// When it was presented, in milliseconds since 1970 by the site's clock.
    presented_at: u64,
}

impl Consumer {
    /// Requests a ticket for the provider `requested`. `site_time` is the site's time in
    /// milliseconds since 1970 (see [`super::clock`]). Send the returned message as JSON.
    ///
    /// # Errors
    /// [`ConsumerError::CannotAsk`].
    pub fn ask(
        &self,
        requested: &str,
        site_time: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<(PendingRequest, SealedMessage), ConsumerError> {
        let (Some(own), Some(site)) = (self.keys.first(), self.site_keys.first()) else {
            return Err(ConsumerError::CannotAsk);
        };
        let nonce = Nonce::fresh(entropy);
        let request = AuthRequest {
            requester: self.id.clone(),
            requested: requested.to_owned(),
            nonce,
            ts: site_time,
            hash: HASH.to_owned(),
            supported_hashes: vec![HASH.to_owned()],
            supported_ciphers: vec![CIPHER.to_owned()],
        };
        let sealed = SealedMessage::seal(
            Kind::Request,
            None,
            Endpoint::new(&self.id, own),
            Endpoint::new(&self.site, site),
            self.suite,
            &request,
            entropy,
        );
        let asked = PendingRequest {
            requested: requested.to_owned(),
            nonce,
        };
        sealed
            .map(|sealed| (asked, sealed))
            .ok_or(ConsumerError::CannotAsk)
    }

    /// Verifies and reads the site's response.
    ///
    /// # Errors
    /// [`ConsumerError::FailedVerification`].
    pub fn read_response(
        &self,
        asked: PendingRequest,
        body: &[u8],
    ) -> Result<IssuedTicket, ConsumerError> {
        let PendingRequest { requested, nonce } = asked;
        let failed = ConsumerError::FailedVerification;
        if body.len() > limits::SEALED {
            return Err(failed);
        }
        let sealed: SealedMessage = json::read(body).map_err(|_| failed)?;
        let from = Endpoint::new(&self.site, self.site_keys.as_slice());
        let to = Endpoint::new(&self.id, self.keys.as_slice());
        let verified = sealed.verify_and_open::<AuthResponse>(Kind::Response, from, to);
        let response = verified.map_err(|_| failed)?.message;
        match response.requester_nonce == nonce {
            true => self.read_session_response(&requested, response),
            false => Err(failed),
        }
    }

    /// Reads a response that arrived over this application's session with the site. The session
    /// authenticates the site and matches the response to its request.
    ///
    /// # Errors
    /// [`ConsumerError::FailedVerification`] if the ticket names another consumer or another
    /// provider.
    pub fn read_session_response(
        &self,
        requested: &str,
        response: AuthResponse,
    ) -> Result<IssuedTicket, ConsumerError> {
        let once = &response.one_time_credentials;
        let ours = self.is_named(&response.requester, requested)
            && response.requested == requested
            && once.cipher == CIPHER
            && (once.hash.as_str(), response.hash.as_str()) == (HASH, HASH)
            && response.expires > response.ts;
        match ours {
            true => Ok(IssuedTicket { response }),
            false => Err(ConsumerError::FailedVerification),
        }
    }
}

impl Consumer {
    /// Whether `requester` is this application, in a response about the provider `requested`. A
    /// provider of another site knows it by its id with the zone of its own site.
    fn is_named(&self, requester: &str, requested: &str) -> bool {
        let foreign = |name: &ForeignName| name.zone().as_str() != self.site;
        match requested.parse().ok().filter(foreign) {
            Some(_) => requester == format!("{}@{}", self.id, self.site),
            None => requester == self.id,
        }
    }
}

impl IssuedTicket {
    /// The site's response. Its `ts` is the site's time when it answered.
    #[must_use]
    pub fn response(&self) -> &AuthResponse {
        &self.response
    }

    /// Presents the ticket. Returns the JSON body to send to the provider.
    ///
    /// # Errors
    /// [`ConsumerError::CannotAsk`].
    pub fn present(
        self,
        site_time: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<(PendingPresentation, String), ConsumerError> {
        let response = self.response;
        let ephemeral = HybridKey::generate(entropy);
        let (final_nonce, iv) = (Nonce::fresh(entropy), Nonce::fresh(entropy));
        let object = IdObject {
            id: response.requester.clone(),
            server_nonce: response.server_nonce,
            requester_nonce: response.requester_nonce,
            final_nonce,
            iv,
            ts: site_time,
            ephemeral: ephemeral.public().as_bytes().to_vec(),
        };
        let text = write(&object).ok_or(ConsumerError::CannotAsk)?;
        let id = id_object_key(&response.one_time_credentials)
            .seal(&associated_data(&response.ticket, &[]), text.expose());
        let transcript_hash = associated_data(&response.ticket, &id);
        let presentation = Presentation {
            id,
            ticket: response.ticket.clone(),
        };
        let body = serde_json::to_string(&presentation).map_err(|_| ConsumerError::CannotAsk)?;
        let presenting = PendingPresentation {
            response,
            final_nonce,
            iv,
            ephemeral,
            transcript_hash,
            presented_at: site_time,
        };
        Ok((presenting, body))
    }
}

impl PendingPresentation {
    /// Verifies the provider's acknowledgement.
    ///
    /// # Errors
    /// [`ConsumerError::FailedVerification`] if the acknowledgement does not prove that the
    /// provider decrypted the ticket, or if its time is more than [`limits::TOLERANCE`] from the
    /// presentation.
    pub fn read_acknowledgement(self, body: &[u8]) -> Result<Credentials, ConsumerError> {
        self.read(body).ok_or(ConsumerError::FailedVerification)
    }

    fn read(self, body: &[u8]) -> Option<Credentials> {
        if body.len() > limits::SEALED {
            return None;
        }
        let acknowledgement: Acknowledgement = json::read(body).ok()?;
        let key = acknowledgement_key(&self.response.one_time_credentials, self.iv);
        let text = key
            .open(&self.transcript_hash, &acknowledgement.message)
            .ok()?;
        let nonces: AcknowledgedNonces = json::read(text.expose()).ok()?;
        let response = self.response;
        let received = (nonces.server_nonce, nonces.requester_nonce);
        let expected = (response.server_nonce, response.requester_nonce);
        let late = nonces.ts.abs_diff(self.presented_at) > limits::TOLERANCE;
        if received != expected || nonces.final_nonce != self.final_nonce || late {
            return None;
        }
        let ephemeral = self.ephemeral.decapsulate(&nonces.encapsulated).ok()?;
        Some(Credentials {
            secret: shared_secret(
                &response.secret,
                &ephemeral,
                &self.transcript_hash,
                &acknowledgement.message,
            ),
            application: response.requested,
            id: response.id,
            expires: response.expires,
        })
    }
}
