//! The application that calls: gets a ticket and presents it.
//!
//! ```text
//! Consumer::ask ── Asked ── answered ── Granted ── present ── Presenting ── acknowledged ── Credentials
//!                    └── Again: asks once more, with what the site supports
//! ```

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::legacy::{Cipher, IV_LENGTH};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::SecretBytes;
use data_encoding::BASE64;
use serde::Deserialize;

use super::master::V1Credentials;
use super::message::{
    V1AcknowledgedNonces, V1Acknowledgement, V1AuthRequest, V1AuthResponse, V1IdObject, V1Nonce,
    V1Presentation, fresh_nonce,
};
use super::sealed::{read, write};
use super::{V1Refusal, V1SealedMessage, limits};

/// How often a consumer asks again with another cipher or hash: once for each.
pub const MOST_RETRIES: u8 = 2;

/// An application's own key, and the site's.
pub struct V1Consumer {
    /// Its id.
    pub id: String,
    /// Its keys, the newest first: it signs with that, and opens what is sealed to any.
    pub keys: Vec<RsaKey>,
    /// The site's keys, the newest first: it seals to that, and believes what any signed.
    pub master: Vec<RsaPublicKey>,
    /// Ciphers that it accepts, the best first.
    pub ciphers: Vec<Cipher>,
    /// Hashes that it accepts, the best first.
    pub hashes: Vec<RsaHash>,
}

/// Why a consumer has no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum V1ConsumerError {
    /// The lists of ciphers, hashes or keys are empty, or hold nothing that can be used.
    #[error("nothing can be said with these keys, ciphers and hashes")]
    CannotAsk,
    /// The other end refused, with this status.
    #[error("refused with status {0}")]
    Refused(u16),
    /// There is no cipher or hash that both know.
    #[error("no cipher or hash in common")]
    NothingInCommon,
    /// The answer is not the site's, or not to this question, or makes no sense.
    #[error("the answer is not to be believed")]
    FailedVerification,
    /// The answer is too old or of the future: one of the clocks is wrong.
    #[error("the answer is stale: compare the clocks")]
    Stale,
}

/// Asked, and not answered yet.
#[derive(Debug)]
pub struct V1PendingRequest {
    request: V1AuthRequest,
    cipher: Cipher,
    hash: RsaHash,
    retries: u8,
}

/// What an answer of the site leads to.
#[derive(Debug)]
pub enum ResponseAction {
    /// A ticket.
    Granted(Box<V1IssuedTicket>),
    /// Ask again: send this.
    Again(Box<V1PendingRequest>, V1SealedMessage),
}

/// A ticket that was not presented yet.
#[derive(Debug)]
pub struct V1IssuedTicket {
    response: V1AuthResponse,
    cipher: Cipher,
    hash: RsaHash,
}

/// Presented, and not acknowledged yet.
#[derive(Debug)]
pub struct V1PendingPresentation {
    granted: V1IssuedTicket,
    final_nonce: V1Nonce,
    iv: [u8; IV_LENGTH],
    /// When it was presented, in milliseconds since 1970.
    at: u64,
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
    /// Asks for a ticket for `requested`; `now` is in milliseconds since 1970. What is sent is the JSON of the
    /// sealed message, as the parameter `authRequest` of a query.
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
        let (Some(own), Some(to)) = (self.keys.first(), self.master.first()) else {
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

    /// Reads what the site answered to the question.
    ///
    /// # Errors
    /// [`V1ConsumerError`]. After 409 and 490 the consumer asks again, [`MOST_RETRIES`] times at most: nobody has
    /// signed such an answer, and whoever can send one may only lead the consumer to what it accepts anyway.
    pub fn answered(
        &self,
        asked: V1PendingRequest,
        status: u16,
        body: &[u8],
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<ResponseAction, V1ConsumerError> {
        match status {
            200 => self.granted(&asked, body, now).map(ResponseAction::Granted),
            409 | 490 if asked.retries < MOST_RETRIES => {
                let unsupported: Unsupported =
                    serde_json::from_slice(body).map_err(|_| V1ConsumerError::Refused(status))?;
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
                    // It is not what was asked with that they object to.
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
        let distrust = V1ConsumerError::FailedVerification;
        let sealed: V1SealedMessage = serde_json::from_slice(body).map_err(|_| distrust.clone())?;
        let signed = |hash: &&RsaHash| sealed.signed_by(**hash, &self.master).is_some();
        let hash = *self.hashes.iter().find(signed).ok_or(distrust.clone())?;
        let opened = sealed.open(&self.keys, &self.ciphers);
        let opened = opened.map_err(|_| distrust.clone())?;
        let response: V1AuthResponse = read(&opened.text).ok_or(distrust.clone())?;
        let request = &asked.request;
        let ours = response.hash == hash.name()
            && response.requester_nonce == request.nonce
            && response.requester == request.requester
            && response.requested == request.requested;
        if !ours {
            return Err(distrust);
        }
        if response.ts.abs_diff(now) > limits::TOLERANCE || now > response.expires {
            return Err(V1ConsumerError::Stale);
        }
        let once = &response.one_time_credentials;
        let cipher = once.cipher.parse().ok();
        let cipher = cipher.filter(|cipher| self.ciphers.contains(cipher));
        // What both applications go by afterwards.
        let hash = once.hash.parse().ok();
        let hash = hash.filter(|hash| self.hashes.contains(hash));
        let (Some(cipher), Some(hash)) = (cipher, hash) else {
            return Err(distrust);
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
    /// The answer of the site.
    #[must_use]
    pub fn response(&self) -> &V1AuthResponse {
        &self.response
    }

    /// Presents the ticket: the JSON body for the provider.
    ///
    /// # Errors
    /// [`V1ConsumerError::FailedVerification`] when the site's one-time credentials are of no use.
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
        let distrust = V1ConsumerError::FailedVerification;
        let text = write(&object).map_err(|_| distrust.clone())?;
        let (key, first) = self.once()?;
        let enciphered = self.cipher.encrypt(key.expose(), &first, text.expose());
        let presentation = V1Presentation {
            id: BASE64.encode(&enciphered.map_err(|_| distrust.clone())?),
            ticket: response.ticket.clone(),
        };
        let body = serde_json::to_string(&presentation).map_err(|_| distrust)?;
        let presenting = V1PendingPresentation {
            granted: self,
            final_nonce,
            iv,
            at: now,
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
    /// Reads what the provider answered.
    ///
    /// # Errors
    /// [`V1ConsumerError::Refused`], or [`V1ConsumerError::FailedVerification`] when it could not read the ticket;
    /// [`V1ConsumerError::Stale`] when it says to have read it at a time at which it must have refused it.
    pub fn acknowledged(self, status: u16, body: &[u8]) -> Result<V1Credentials, V1ConsumerError> {
        if status != 200 {
            return Err(V1ConsumerError::Refused(status));
        }
        let nonces = self
            .nonces(body)
            .ok_or(V1ConsumerError::FailedVerification)?;
        let response = self.granted.response;
        let said = (nonces.server_nonce, nonces.requester_nonce);
        let expected = (response.server_nonce, response.requester_nonce);
        if said != expected || nonces.final_nonce != self.final_nonce {
            return Err(V1ConsumerError::FailedVerification);
        }
        if nonces.ts.abs_diff(self.at) > limits::TOLERANCE {
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
        let acknowledgement: V1Acknowledgement = serde_json::from_slice(body).ok()?;
        let (key, _) = self.granted.once().ok()?;
        let message = BASE64.decode(acknowledgement.message.as_bytes()).ok()?;
        let cipher = self.granted.cipher;
        let text = cipher.decrypt(key.expose(), &self.iv, &message).ok()?;
        read(&text)
    }
}
