//! The provider: verifies and accepts tickets.
//!
//! ```text
//! V1UnverifiedPresentation::read ── (cheap checks of its digest) ── V1Provider::open
//!   ── DecryptedTicket ── verify_id_object ── V1VerifiedPresentation
//!   ── (the replay cache has not seen the ticket) ── acknowledge
//! ```

use countersign_crypto::hash::sha256;
use countersign_crypto::legacy::{Cipher, IV_LENGTH};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::SecretBytes;
use data_encoding::BASE64;
use serde_json::value::RawValue;

use super::message::{
    V1AcknowledgedNonces, V1Acknowledgement, V1IdObject, V1Presentation, V1Ticket,
};
use super::sealed::{DecryptError, V1SealedMessage, read, safe_to_repeat, write};
use super::site::V1Credentials;
use super::{V1Refusal, limits};
use crate::json;

/// The provider's keys and the site's public keys.
pub struct V1Provider {
    /// The provider's id.
    pub id: String,
    /// The provider's keys, newest first. A ticket may be sealed to any.
    pub keys: Vec<RsaKey>,
    /// The site's public keys. One of them must have signed the ticket.
    pub site_keys: Vec<RsaPublicKey>,
    /// The ciphers that the provider accepts, best first.
    pub ciphers: Vec<Cipher>,
    /// The hashes that the provider accepts, best first.
    pub hashes: Vec<RsaHash>,
}

/// A presentation that was parsed and not verified. Parsing does no public-key operation.
#[derive(Debug)]
pub struct V1UnverifiedPresentation(V1Presentation);

/// A decrypted ticket for this provider with a verified signature of the site. The presenter is not
/// authenticated yet.
#[derive(Debug)]
pub struct DecryptedTicket {
    id: String,
    ticket: V1Ticket,
    hash: RsaHash,
}

/// A verified ticket for this provider, presented by its consumer. The caller must still check that
/// the ticket [`Self::id`] was not presented before.
#[derive(Debug)]
pub struct V1VerifiedPresentation {
    made: u64,
    credentials: V1Credentials,
    auth_data: Option<Box<RawValue>>,
    acknowledgement: V1Acknowledgement,
}

/// A consumer that was authenticated, and the secret that it shares with this provider.
#[derive(Debug)]
pub struct V1Accepted {
    /// The consumer's id, and the secret that signs its requests.
    pub credentials: V1Credentials,
    /// The site's data about the consumer.
    pub auth_data: Option<Box<RawValue>>,
    /// The response to the consumer, as JSON.
    pub answer: String,
}

impl V1UnverifiedPresentation {
    /// Parses the JSON body of the request.
    ///
    /// # Errors
    /// [`V1Refusal::NotVerified`].
    pub fn read(body: &[u8]) -> Result<Self, V1Refusal> {
        let presentation: V1Presentation = json::read(body).map_err(|_| V1Refusal::NotVerified)?;
        match presentation.ticket.message.len() > limits::SEALED {
            true => Err(V1Refusal::NotVerified),
            false => Ok(Self(presentation)),
        }
    }

    /// Identifies the ticket before decryption: the SHA-256 of its text and signature, of which
    /// neither can be changed without the other.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let V1SealedMessage { message, signature } = &self.0.ticket;
        sha256(format!("{message}.{signature}").as_bytes())
    }
}

impl DecryptedTicket {
    /// The time from which the ticket is refused as stale or expired, in milliseconds since 1970.
    #[must_use]
    pub fn stale_from(&self) -> u64 {
        let aged = self.ticket.ts.saturating_add(limits::TOLERANCE);
        aged.min(self.ticket.expires).saturating_add(1)
    }
}

impl V1Provider {
    /// [`V1UnverifiedPresentation::read`], [`Self::open`] and [`Self::verify_id_object`].
    /// `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// As these.
    pub fn accept(&self, body: &[u8], now: u64) -> Result<V1VerifiedPresentation, V1Refusal> {
        self.verify_id_object(self.open(V1UnverifiedPresentation::read(body)?)?, now)
    }

    /// Verifies the site's signature and decrypts the ticket. This includes all public-key
    /// operations.
    ///
    /// # Errors
    /// [`V1Refusal::NotVerified`] for every failure before the site's signature is verified, and
    /// afterwards for a malformed ticket or one for another provider. Other refusals only after
    /// that verification.
    pub fn open(&self, unverified: V1UnverifiedPresentation) -> Result<DecryptedTicket, V1Refusal> {
        let presentation = unverified.0;
        let signed = |hash: &RsaHash| {
            let by = presentation.ticket.signed_by(*hash, &self.site_keys);
            by.is_some()
        };
        let hash = RsaHash::ALL.into_iter().find(signed);
        let hash = hash.ok_or(V1Refusal::NotVerified)?;
        if !self.hashes.contains(&hash) {
            return Err(V1Refusal::Hash {
                requested: Some(hash.name().to_owned()),
                supported: self.hashes.clone(),
            });
        }
        let opened = presentation
            .ticket
            .open(&self.keys, &self.ciphers)
            .map_err(|not| match not {
                DecryptError::Malformed => V1Refusal::NotVerified,
                DecryptError::Cipher(requested) => self.no_cipher(requested),
            })?;
        let ticket: V1Ticket = read(&opened.text).ok_or(V1Refusal::NotVerified)?;
        let ours = ticket.requested == self.id && ticket.id.len() <= limits::ID;
        if ticket.hash != hash.name() || !ours {
            return Err(V1Refusal::NotVerified);
        }
        Ok(DecryptedTicket {
            id: presentation.id,
            ticket,
            hash,
        })
    }

    /// Verifies the ID object against its ticket, and the times of both. `now` is in milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// [`V1Refusal::Nonces`] for every failure of the ID object, [`V1Refusal::Cipher`],
    /// [`V1Refusal::Stale`].
    pub fn verify_id_object(
        &self,
        opened: DecryptedTicket,
        now: u64,
    ) -> Result<V1VerifiedPresentation, V1Refusal> {
        let DecryptedTicket { id, ticket, hash } = opened;
        let once = &ticket.one_time_credentials;
        let named = once.cipher.parse::<Cipher>().ok();
        let cipher = named
            .filter(|cipher| self.ciphers.contains(cipher))
            .ok_or_else(|| self.no_cipher(safe_to_repeat(&once.cipher)))?;
        let decode = |text: &str| {
            let decoded = BASE64.decode(text.as_bytes());
            decoded.map_err(|_| V1Refusal::Nonces)
        };
        let key = SecretBytes::from(decode(once.key.expose())?);
        // Every failure gives the same error, since the ID object is not authenticated.
        let object = cipher
            .decrypt(key.expose(), &decode(&once.iv)?, &decode(&id)?)
            .map_err(|_| V1Refusal::Nonces)?;
        let object: V1IdObject = read(&object).ok_or(V1Refusal::Nonces)?;
        let iv = decode(&object.iv)?;
        let nonces = (object.server_nonce, object.requester_nonce);
        let expected = (ticket.server_nonce, ticket.requester_nonce);
        if nonces != expected || object.id != ticket.requester || iv.len() != IV_LENGTH {
            return Err(V1Refusal::Nonces);
        }
        let too_far = |ts: u64| ts.abs_diff(now) > limits::TOLERANCE;
        if too_far(ticket.ts) || too_far(object.ts) || now > ticket.expires {
            return Err(V1Refusal::Stale { clock: now });
        }
        let nonces = write(&V1AcknowledgedNonces {
            server_nonce: object.server_nonce,
            requester_nonce: object.requester_nonce,
            final_nonce: object.final_nonce,
            ts: now,
        })
        .map_err(|_| V1Refusal::NotVerified)?;
        let message = cipher
            .encrypt(key.expose(), &iv, nonces.expose())
            .map_err(|_| V1Refusal::NotVerified)?;
        Ok(V1VerifiedPresentation {
            made: ticket.ts,
            credentials: V1Credentials {
                application: ticket.requester,
                id: ticket.id,
                key: ticket.secret,
                hash,
                expires: ticket.expires,
            },
            auth_data: ticket.auth_data,
            acknowledgement: V1Acknowledgement {
                message: BASE64.encode(&message),
            },
        })
    }

    fn no_cipher(&self, requested: Option<String>) -> V1Refusal {
        V1Refusal::Cipher {
            requested,
            supported: self.ciphers.clone(),
        }
    }
}

impl V1VerifiedPresentation {
    /// The id of the ticket. A ticket may be accepted once; remember the id until the ticket has
    /// expired.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.credentials.id
    }

    /// When the site made the ticket, in milliseconds since 1970.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.made
    }

    /// Accepts the ticket. The caller has checked that it was not presented before.
    #[must_use]
    pub fn acknowledge(self) -> V1Accepted {
        V1Accepted {
            credentials: self.credentials,
            auth_data: self.auth_data,
            answer: serde_json::json!({ "message": self.acknowledgement.message }).to_string(),
        }
    }
}
