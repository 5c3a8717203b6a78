//! The consumer: gets a ticket from the site and presents it to a provider.
//!
//! ```text
//! V1Consumer::ask ── V1PendingRequest ── read_response ── V1IssuedTicket ── present
//!                        └── Again: a new request with what the site supports
//!   ── V1PendingPresentation ── read_acknowledgement ── V1Credentials
//! ```

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::legacy::{Cipher, IV_LENGTH};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::SecretBytes;
use data_encoding::BASE64;
use serde::Deserialize;

use super::message::{
    V1AcknowledgedNonces, V1Acknowledgement, V1AuthRequest, V1AuthResponse, V1IdObject, V1Nonce,
    V1Presentation, fresh_nonce,
};
use super::sealed::{read, write};
use super::site::V1Credentials;
use super::{V1Refusal, V1SealedMessage, limits};
use crate::json;

/// The maximum number of retries with another cipher or hash: one for each.
pub const MAX_RETRIES: u8 = 2;

/// The consumer's keys and the site's public keys.
pub struct V1Consumer {
    /// The consumer's id.
    pub id: String,
    /// The consumer's keys, newest first. It signs with the first and decrypts with any.
    pub keys: Vec<RsaKey>,
    /// The site's public keys, newest first. The consumer seals to the first and accepts signatures
    /// by any.
    pub site_keys: Vec<RsaPublicKey>,
    /// The ciphers that the consumer accepts, best first.
    pub ciphers: Vec<Cipher>,
    /// The hashes that the consumer accepts, best first.
    pub hashes: Vec<RsaHash>,
}

/// Why a consumer got no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum V1ConsumerError {
    /// The lists of ciphers, hashes or keys are empty or contain nothing usable.
    #[error("cannot make a request: no usable key, cipher or hash is configured")]
    CannotAsk,
    /// The other party refused, with this HTTP status.
    #[error("the request was refused with status {0}")]
    Refused(u16),
    /// The parties support no common cipher or hash.
    #[error("the parties have no cipher or hash in common")]
    NothingInCommon,
    /// The response is not signed by the site, does not answer this request, or is malformed.
    #[error("the response failed verification")]
    FailedVerification,
    /// The response's time differs too much from the local clock.
    #[error("the response is too old or in the future; compare the clocks")]
    Stale,
}

/// A request that was sent and has no response yet.
#[derive(Debug)]
pub struct V1PendingRequest {
    request: V1AuthRequest,
    cipher: Cipher,
    hash: RsaHash,
    retries: u8,
}

/// What the consumer does after a response.
#[derive(Debug)]
pub enum ResponseAction {
    /// The site issued a ticket: present it.
    Granted(Box<V1IssuedTicket>),
    /// Send this new request.
    Again(Box<V1PendingRequest>, V1SealedMessage),
}

/// A ticket that was not presented yet.
#[derive(Debug)]
pub struct V1IssuedTicket {
    response: V1AuthResponse,
    cipher: Cipher,
    hash: RsaHash,
}

/// A presentation that was sent and has no acknowledgement yet.
#[derive(Debug)]
pub struct V1PendingPresentation {
    granted: V1IssuedTicket,
    final_nonce: V1Nonce,
    iv: [u8; IV_LENGTH],
    /// When it was presented, in milliseconds since 1970.
    presented_at: u64,
}

#[derive(Deserialize)]
struct Unsupported {
    #[serde(rename = "additionalInformation")]
    more: Supported,
}

#[derive(Deserialize)]
struct Supported {
    supported: Vec<String>,
}

impl V1Consumer {
    /// Requests a ticket for the provider `requested`. `now` is in milliseconds since 1970. Send
    /// the returned message as JSON in the query parameter `authRequest`.
    ///
    /// # Errors
    /// [`V1ConsumerError::CannotAsk`].
    pub fn ask(
        &self,
        requested: &str,
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<(V1PendingRequest, V1SealedMessage), V1ConsumerError> {
        let cipher = self.ciphers.first().ok_or(V1ConsumerError::CannotAsk)?;
        let hash = self.hashes.iter().find(|hash| hash.signs());
        let hash = hash.ok_or(V1ConsumerError::CannotAsk)?;
        self.ask_with(requested, (*cipher, *hash), 0, now, entropy)
    }

    fn ask_with(
        &self,
        requested: &str,
        (cipher, hash): (Cipher, RsaHash),
        retries: u8,
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<(V1PendingRequest, V1SealedMessage), V1ConsumerError> {
        let request = V1AuthRequest {
            requester: self.id.clone(),
            requested: requested.to_owned(),
            nonce: fresh_nonce(entropy),
            ts: now,
            hash: hash.name().to_owned(),
            supported_hashes: Some(names(&self.hashes, RsaHash::name)),
            supported_ciphers: Some(names(&self.ciphers, Cipher::name)),
        };
        let (Some(own), Some(to)) = (self.keys.first(), self.site_keys.first()) else {
            return Err(V1ConsumerError::CannotAsk);
        };
        let sealed = write(&request)
            .and_then(|text| V1SealedMessage::seal(&text, (cipher, hash), to, own, entropy))
            .map_err(|_| V1ConsumerError::CannotAsk)?;
        let asked = V1PendingRequest {
            request,
            cipher,
            hash,
            retries,
        };
        Ok((asked, sealed))
    }

    /// Reads the site's response. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`V1ConsumerError`]. After status 409 or 490 the consumer retries, at most [`MAX_RETRIES`]
    /// times. Such a response is not signed: an attacker who forges it can only select a cipher or
    /// hash that the consumer accepts anyway.
    pub fn read_response(
        &self,
        asked: V1PendingRequest,
        status: u16,
        body: &[u8],
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<ResponseAction, V1ConsumerError> {
        match status {
            200 => self.granted(&asked, body, now).map(ResponseAction::Granted),
            409 | 490 if asked.retries < MAX_RETRIES => {
                let unsupported: Unsupported =
                    json::read(body).map_err(|_| V1ConsumerError::Refused(status))?;
                let supported = &unsupported.more.supported;
                let knows = |name: &str| supported.iter().any(|known| known == name);
                let (mut cipher, mut hash) = (asked.cipher, asked.hash);
                if status == 409 {
                    let known = self.ciphers.iter().find(|cipher| knows(cipher.name()));
                    cipher = *known.ok_or(V1ConsumerError::NothingInCommon)?;
                } else {
                    let known = self
                        .hashes
                        .iter()
                        .find(|hash| hash.signs() && knows(hash.name()));
                    hash = *known.ok_or(V1ConsumerError::NothingInCommon)?;
                }
                if (cipher, hash) == (asked.cipher, asked.hash) {
                    // The site objects to something that a retry would not change.
                    return Err(V1ConsumerError::NothingInCommon);
                }
                let (retries, requested) = (asked.retries + 1, asked.request.requested);
                let again = self.ask_with(&requested, (cipher, hash), retries, now, entropy);
                again.map(|(asked, sealed)| ResponseAction::Again(Box::new(asked), sealed))
            }
            500 if V1Refusal::is_nothing_in_common(body) => Err(V1ConsumerError::NothingInCommon),
            status => Err(V1ConsumerError::Refused(status)),
        }
    }

    fn granted(
        &self,
        asked: &V1PendingRequest,
        body: &[u8],
        now: u64,
    ) -> Result<Box<V1IssuedTicket>, V1ConsumerError> {
        let failed = V1ConsumerError::FailedVerification;
        let sealed: V1SealedMessage = json::read(body).map_err(|_| failed.clone())?;
        let signed = |hash: &&RsaHash| sealed.signed_by(**hash, &self.site_keys).is_some();
        let hash = *self.hashes.iter().find(signed).ok_or(failed.clone())?;
        let opened = sealed.open(&self.keys, &self.ciphers);
        let opened = opened.map_err(|_| failed.clone())?;
        let response: V1AuthResponse = read(&opened.text).ok_or(failed.clone())?;
        let request = &asked.request;
        let ours = response.hash == hash.name()
            && response.requester_nonce == request.nonce
            && response.requester == request.requester
            && response.requested == request.requested;
        if !ours {
            return Err(failed);
        }
        if response.ts.abs_diff(now) > limits::TOLERANCE || now > response.expires {
            return Err(V1ConsumerError::Stale);
        }
        let once = &response.one_time_credentials;
        let cipher = once.cipher.parse().ok();
        let cipher = cipher.filter(|cipher| self.ciphers.contains(cipher));
        // Both applications use this hash afterwards.
        let hash = once.hash.parse().ok();
        let hash = hash.filter(|hash| self.hashes.contains(hash));
        let (Some(cipher), Some(hash)) = (cipher, hash) else {
            return Err(failed);
        };
        Ok(Box::new(V1IssuedTicket {
            response,
            cipher,
            hash,
        }))
    }
}

fn names<T: Copy>(list: &[T], name: impl Fn(T) -> &'static str) -> Vec<String> {
    list.iter().map(|item| name(*item).to_owned()).collect()
}

impl V1IssuedTicket {
    /// The site's response.
    #[must_use]
    pub fn response(&self) -> &V1AuthResponse {
        &self.response
    }

    /// Presents the ticket. Returns the JSON body to send to the provider. `now` is in milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// [`V1ConsumerError::FailedVerification`] if the site's one-time credentials are unusable.
    pub fn present(
        self,
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<(V1PendingPresentation, String), V1ConsumerError> {
        let response = &self.response;
        let (final_nonce, iv) = (fresh_nonce(entropy), fresh(entropy));
        let object = V1IdObject {
            id: response.requester.clone(),
            server_nonce: response.server_nonce,
            requester_nonce: response.requester_nonce,
            final_nonce,
            iv: BASE64.encode(&iv),
            ts: now,
        };
        let failed = V1ConsumerError::FailedVerification;
        let text = write(&object).map_err(|_| failed.clone())?;
        let (key, first) = self.once()?;
        let enciphered = self.cipher.encrypt(key.expose(), &first, text.expose());
        let presentation = V1Presentation {
            id: BASE64.encode(&enciphered.map_err(|_| failed.clone())?),
            ticket: response.ticket.clone(),
        };
        let body = serde_json::to_string(&presentation).map_err(|_| failed)?;
        let presenting = V1PendingPresentation {
            granted: self,
            final_nonce,
            iv,
            presented_at: now,
        };
        Ok((presenting, body))
    }

    fn once(&self) -> Result<(SecretBytes, Vec<u8>), V1ConsumerError> {
        let once = &self.response.one_time_credentials;
        let decode = |text: &str| {
            let decoded = BASE64.decode(text.as_bytes());
            decoded.map_err(|_| V1ConsumerError::FailedVerification)
        };
        Ok((decode(once.key.expose())?.into(), decode(&once.iv)?))
    }
}

impl V1PendingPresentation {
    /// Verifies the provider's acknowledgement.
    ///
    /// # Errors
    /// [`V1ConsumerError::Refused`]; [`V1ConsumerError::FailedVerification`] if it does not prove
    /// that the provider decrypted the ticket; [`V1ConsumerError::Stale`] if its time is too far
    /// from the presentation.
    pub fn read_acknowledgement(
        self,
        status: u16,
        body: &[u8],
    ) -> Result<V1Credentials, V1ConsumerError> {
        if status != 200 {
            return Err(V1ConsumerError::Refused(status));
        }
        let nonces = self
            .nonces(body)
            .ok_or(V1ConsumerError::FailedVerification)?;
        let response = self.granted.response;
        let received = (nonces.server_nonce, nonces.requester_nonce);
        let expected = (response.server_nonce, response.requester_nonce);
        if received != expected || nonces.final_nonce != self.final_nonce {
            return Err(V1ConsumerError::FailedVerification);
        }
        if nonces.ts.abs_diff(self.presented_at) > limits::TOLERANCE {
            return Err(V1ConsumerError::Stale);
        }
        Ok(V1Credentials {
            application: response.requested,
            id: response.id,
            key: response.secret,
            hash: self.granted.hash,
            expires: response.expires,
        })
    }

    fn nonces(&self, body: &[u8]) -> Option<V1AcknowledgedNonces> {
        let acknowledgement: V1Acknowledgement = json::read(body).ok()?;
        let (key, _) = self.granted.once().ok()?;
        let message = BASE64.decode(acknowledgement.message.as_bytes()).ok()?;
        let cipher = self.granted.cipher;
        let text = cipher.decrypt(key.expose(), &self.iv, &message).ok()?;
        read(&text)
    }
}
