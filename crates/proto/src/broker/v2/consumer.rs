//! The application that calls: gets a ticket and presents it.
//!
//! ```text
//! Consumer::ask ── Asked ── granted ── Granted ── present ── Presenting ── acknowledged ── Credentials
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_crypto::sealing::hybrid::HybridKey;

use super::message::{
    AcknowledgedNonces, Acknowledgement, AuthRequest, AuthResponse, CIPHER, HASH, IdObject, Nonce,
    Presentation, write,
};
use super::presentation::{associated_data, of_acknowledgement, of_id_object, shared_secret};
use super::sealed::Kind;
use super::{Credentials, SealedMessage, limits};

/// An application's own keys, and the site's.
#[derive(Clone)]
pub struct Consumer {
    /// Its id.
    pub id: String,
    /// Its keys, the newest first: it signs with that, and opens what is sealed to any.
    pub keys: Vec<PartyKey>,
    /// The site's id.
    pub site: String,
    /// The site's keys, the newest first: it seals to that, and believes what any signed.
    pub site_keys: Vec<PartyPublic>,
    /// How things are sealed to the site.
    pub suite: SealingSuite,
}

/// Why a consumer has no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConsumerError {
    /// There is no key, or none that anything can be sealed to.
    #[error("nothing can be said with these keys")]
    CannotAsk,
    /// The answer is not the site's or the provider's, or not to this question, or makes no sense.
    #[error("the answer is not to be believed")]
    FailedVerification,
}

/// Asked, and not answered yet.
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

/// Presented, and not acknowledged yet.
#[derive(Debug)]
pub struct PendingPresentation {
    response: AuthResponse,
    final_nonce: Nonce,
    iv: Nonce,
    ephemeral: HybridKey,
    said: [u8; 32],
    /// When it was presented, by the site's clock as far as it is known.
    at: u64,
}

impl Consumer {
    /// Asks for a ticket for `requested`; `site_time` is in milliseconds since 1970, by the site's clock as far
    /// as it is known (see [`super::clock`]). What is sent is the JSON of the sealed message.
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
            (Kind::Request, None),
            (&self.id, own),
            (&self.site, site),
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

    /// Reads the site's answer to the question.
    ///
    /// # Errors
    /// [`ConsumerError::FailedVerification`].
    pub fn granted(
        &self,
        asked: PendingRequest,
        body: &[u8],
    ) -> Result<IssuedTicket, ConsumerError> {
        let PendingRequest { requested, nonce } = asked;
        let distrust = ConsumerError::FailedVerification;
        if body.len() > limits::SEALED {
            return Err(distrust);
        }
        let sealed: SealedMessage = serde_json::from_slice(body).map_err(|_| distrust)?;
        let from = (self.site.as_str(), self.site_keys.as_slice());
        let to = (self.id.as_str(), self.keys.as_slice());
        let believed = sealed.believe::<AuthResponse>(Kind::Response, from, to);
        let response = believed.map_err(|_| distrust)?.message;
        match response.requester_nonce == nonce {
            true => self.granted_in_session(&requested, response),
            false => Err(distrust),
        }
    }

    /// Takes what the site answered over a session of this application's: nobody else could have answered there,
    /// nor to another question.
    ///
    /// # Errors
    /// [`ConsumerError::FailedVerification`] when it is a ticket of somebody else's or for somebody else.
    pub fn granted_in_session(
        &self,
        requested: &str,
        response: AuthResponse,
    ) -> Result<IssuedTicket, ConsumerError> {
        let once = &response.one_time_credentials;
        let ours = response.requester == self.id
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

impl IssuedTicket {
    /// The site's answer. Its time was right when it answered.
    #[must_use]
    pub fn response(&self) -> &AuthResponse {
        &self.response
    }

    /// Presents the ticket: the JSON body for the provider.
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
        let id = of_id_object(&response.one_time_credentials)
            .seal(&associated_data(&response.ticket, &[]), text.expose());
        let said = associated_data(&response.ticket, &id);
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
            said,
            at: site_time,
        };
        Ok((presenting, body))
    }
}

impl PendingPresentation {
    /// Reads what the provider answered.
    ///
    /// # Errors
    /// [`ConsumerError::FailedVerification`] when it could not read the ticket, or says to have done so at a time at which
    /// it must have refused it.
    pub fn acknowledged(self, body: &[u8]) -> Result<Credentials, ConsumerError> {
        self.read(body).ok_or(ConsumerError::FailedVerification)
    }

    fn read(self, body: &[u8]) -> Option<Credentials> {
        if body.len() > limits::SEALED {
            return None;
        }
        let acknowledgement: Acknowledgement = serde_json::from_slice(body).ok()?;
        let key = of_acknowledgement(&self.response.one_time_credentials, self.iv);
        let text = key.open(&self.said, &acknowledgement.message).ok()?;
        let nonces: AcknowledgedNonces = serde_json::from_slice(text.expose()).ok()?;
        let response = self.response;
        let said = (nonces.server_nonce, nonces.requester_nonce);
        let expected = (response.server_nonce, response.requester_nonce);
        let late = nonces.ts.abs_diff(self.at) > limits::TOLERANCE;
        if said != expected || nonces.final_nonce != self.final_nonce || late {
            return None;
        }
        let ephemeral = self.ephemeral.decapsulate(&nonces.encapsulated).ok()?;
        Some(Credentials {
            secret: shared_secret(
                &response.secret,
                &ephemeral,
                &self.said,
                &acknowledgement.message,
            ),
            application: response.requested,
            id: response.id,
            expires: response.expires,
        })
    }
}
