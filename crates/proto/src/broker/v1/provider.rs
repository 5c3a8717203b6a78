//! The application that is called: accepts tickets.
//!
//! ```text
//! Unverified::read ── (cheap checks: its digest) ── Provider::open ── Opened ── prove ── Presented
//!   ── (not presented before: the ticket store says so) ── acknowledge
//! ```

use countersign_crypto::hash::sha256;
use countersign_crypto::legacy::{Cipher, IV_LENGTH};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::SecretBytes;
use data_encoding::BASE64;
use serde_json::value::RawValue;

use super::master::V1Credentials;
use super::message::{
    V1AcknowledgedNonces, V1Acknowledgement, V1IdObject, V1Presentation, V1Ticket,
};
use super::sealed::{NotOpened, V1SealedMessage, read, repeatable, write};
use super::{V1Refusal, limits};

/// An application's own keys, and the site's.
pub struct V1Provider {
    /// Its id.
    pub id: String,
    /// Its keys, the newest first. A ticket may be sealed to any.
    pub keys: Vec<RsaKey>,
    /// The site's keys, of which one must have signed the ticket.
    pub master: Vec<RsaPublicKey>,
    /// Ciphers that it accepts, the best first.
    pub ciphers: Vec<Cipher>,
    /// Hashes that it accepts, the best first.
    pub hashes: Vec<RsaHash>,
}

/// A presentation that was read. Nothing of it is verified, and reading it took no public-key operation.
#[derive(Debug)]
pub struct V1UnverifiedPresentation(V1Presentation);

/// A presentation whose ticket is the site's, for this provider. Whether its sender is the requester is not known.
#[derive(Debug)]
pub struct DecryptedTicket {
    id: String,
    ticket: V1Ticket,
    hash: RsaHash,
}

/// A ticket of the site's for this provider, shown by its requester. Whether it was shown before is not known
/// yet: [`Self::id`] names it.
#[derive(Debug)]
pub struct V1VerifiedPresentation {
    made: u64,
    credentials: V1Credentials,
    auth_data: Option<Box<RawValue>>,
    acknowledgement: V1Acknowledgement,
}

/// Somebody who proved to be this application, and what they share with us from now on.
#[derive(Debug)]
pub struct V1Accepted {
    /// The consumer, and the secret that its requests are signed with.
    pub credentials: V1Credentials,
    /// What the site knows of it.
    pub auth_data: Option<Box<RawValue>>,
    /// What to answer, as JSON.
    pub answer: String,
}

impl V1UnverifiedPresentation {
    /// Reads the JSON body of the request.
    ///
    /// # Errors
    /// [`V1Refusal::NotVerified`].
    pub fn read(body: &[u8]) -> Result<Self, V1Refusal> {
        let presentation: V1Presentation =
            serde_json::from_slice(body).map_err(|_| V1Refusal::NotVerified)?;
        match presentation.ticket.message.len() > limits::SEALED {
            true => Err(V1Refusal::NotVerified),
            false => Ok(Self(presentation)),
        }
    }

    /// Names the ticket before it is opened: the SHA-256 of its text and signature, of which neither can
    /// be changed without the other.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let V1SealedMessage { message, signature } = &self.0.ticket;
        sha256(format!("{message}.{signature}").as_bytes())
    }
}

impl DecryptedTicket {
    /// From when on the ticket is refused for its age or as over, in milliseconds since 1970.
    #[must_use]
    pub fn stale_from(&self) -> u64 {
        let aged = self.ticket.ts.saturating_add(limits::TOLERANCE);
        aged.min(self.ticket.expires).saturating_add(1)
    }
}

impl V1Provider {
    /// [`V1UnverifiedPresentation::read`], [`Self::open`] and [`Self::prove`].
    ///
    /// # Errors
    /// As these.
    pub fn accept(&self, body: &[u8], now: u64) -> Result<V1VerifiedPresentation, V1Refusal> {
        self.prove(self.open(V1UnverifiedPresentation::read(body)?)?, now)
    }

    /// Verifies that the ticket is the site's, and opens it. This takes all the public-key operations.
    ///
    /// # Errors
    /// [`V1Refusal::NotVerified`] for whatever is wrong before the site's signature was verified, and the same
    /// for what makes no sense or is for another provider after that; others after that alone.
    pub fn open(&self, unverified: V1UnverifiedPresentation) -> Result<DecryptedTicket, V1Refusal> {
        let presentation = unverified.0;
        let signed = |hash: &RsaHash| {
            let by = presentation.ticket.signed_by(*hash, &self.master);
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
                NotOpened::Garbled => V1Refusal::NotVerified,
                NotOpened::Cipher(requested) => self.no_cipher(requested),
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

    /// Checks the ID object against its ticket, and the times of both. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`V1Refusal::Nonces`] for whatever is wrong with the ID object, [`V1Refusal::Cipher`], [`V1Refusal::Stale`].
    pub fn prove(
        &self,
        opened: DecryptedTicket,
        now: u64,
    ) -> Result<V1VerifiedPresentation, V1Refusal> {
        let DecryptedTicket { id, ticket, hash } = opened;
        let once = &ticket.one_time_credentials;
        let named = once.cipher.parse::<Cipher>().ok();
        let cipher = named
            .filter(|cipher| self.ciphers.contains(cipher))
            .ok_or_else(|| self.no_cipher(repeatable(&once.cipher)))?;
        let decode = |text: &str| {
            let decoded = BASE64.decode(text.as_bytes());
            decoded.map_err(|_| V1Refusal::Nonces)
        };
        let key = SecretBytes::from(decode(once.key.expose())?);
        // One answer to whatever is wrong with the ID object: nothing authenticates it but what it says.
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
    /// Names the ticket: it may be accepted once, and has to be remembered until [`Self::forget`].
    #[must_use]
    pub fn id(&self) -> &str {
        &self.credentials.id
    }

    /// When the site made the ticket, in milliseconds since 1970.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }

    /// From when on this ticket is refused for its age: it need not be remembered any longer.
    #[must_use]
    pub fn forget(&self) -> u64 {
        self.credentials.expires.saturating_add(1)
    }

    /// Accepts it: it was not presented before.
    #[must_use]
    pub fn acknowledge(self) -> V1Accepted {
        V1Accepted {
            credentials: self.credentials,
            auth_data: self.auth_data,
            answer: serde_json::json!({ "message": self.acknowledgement.message }).to_string(),
        }
    }
}
