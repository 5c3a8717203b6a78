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

use super::master::Credentials;
use super::message::{AcknowledgedNonces, Acknowledgement, IdObject, Presentation, Ticket};
use super::sealed::{NotOpened, SealedMessage, read, repeatable, write};
use super::{Refusal, limits};

/// An application's own keys, and the site's.
pub struct Provider {
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
pub struct Unverified(Presentation);

/// A presentation whose ticket is the site's, for this provider. Whether its sender is the requester is not known.
#[derive(Debug)]
pub struct Opened {
    id: String,
    ticket: Ticket,
    hash: RsaHash,
}

/// A ticket of the site's for this provider, shown by its requester. Whether it was shown before is not known
/// yet: [`Self::id`] names it.
#[derive(Debug)]
pub struct Presented {
    made: u64,
    credentials: Credentials,
    auth_data: Option<Box<RawValue>>,
    acknowledgement: Acknowledgement,
}

/// Somebody who proved to be this application, and what they share with us from now on.
#[derive(Debug)]
pub struct Accepted {
    /// The consumer, and the secret that its requests are signed with.
    pub credentials: Credentials,
    /// What the site knows of it.
    pub auth_data: Option<Box<RawValue>>,
    /// What to answer, as JSON.
    pub answer: String,
}

impl Unverified {
    /// Reads the JSON body of the request.
    ///
    /// # Errors
    /// [`Refusal::NotVerified`].
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let presentation: Presentation =
            serde_json::from_slice(body).map_err(|_| Refusal::NotVerified)?;
        match presentation.ticket.message.len() > limits::SEALED {
            true => Err(Refusal::NotVerified),
            false => Ok(Self(presentation)),
        }
    }

    /// Names the ticket before it is opened: the SHA-256 of its text and signature, of which neither can
    /// be changed without the other.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let SealedMessage { message, signature } = &self.0.ticket;
        sha256(format!("{message}.{signature}").as_bytes())
    }
}

impl Opened {
    /// From when on the ticket is refused for its age or as over, in milliseconds since 1970.
    #[must_use]
    pub fn stale_from(&self) -> u64 {
        let aged = self.ticket.ts.saturating_add(limits::TOLERANCE);
        aged.min(self.ticket.expires).saturating_add(1)
    }
}

impl Provider {
    /// [`Unverified::read`], [`Self::open`] and [`Self::prove`].
    ///
    /// # Errors
    /// As these.
    pub fn accept(&self, body: &[u8], now: u64) -> Result<Presented, Refusal> {
        self.prove(self.open(Unverified::read(body)?)?, now)
    }

    /// Verifies that the ticket is the site's, and opens it. This takes all the public-key operations.
    ///
    /// # Errors
    /// [`Refusal::NotVerified`] for whatever is wrong before the site's signature was verified, and the same
    /// for what makes no sense or is for another provider after that; others after that alone.
    pub fn open(&self, unverified: Unverified) -> Result<Opened, Refusal> {
        let presentation = unverified.0;
        let signed = |hash: &RsaHash| {
            let by = presentation.ticket.signed_by(*hash, &self.master);
            by.is_some()
        };
        let hash = RsaHash::ALL.into_iter().find(signed);
        let hash = hash.ok_or(Refusal::NotVerified)?;
        if !self.hashes.contains(&hash) {
            return Err(Refusal::Hash {
                requested: Some(hash.name().to_owned()),
                supported: self.hashes.clone(),
            });
        }
        let opened = presentation
            .ticket
            .open(&self.keys, &self.ciphers)
            .map_err(|not| match not {
                NotOpened::Garbled => Refusal::NotVerified,
                NotOpened::Cipher(requested) => self.no_cipher(requested),
            })?;
        let ticket: Ticket = read(&opened.text).ok_or(Refusal::NotVerified)?;
        let ours = ticket.requested == self.id && ticket.id.len() <= limits::ID;
        if ticket.hash != hash.name() || !ours {
            return Err(Refusal::NotVerified);
        }
        Ok(Opened {
            id: presentation.id,
            ticket,
            hash,
        })
    }

    /// Checks the ID object against its ticket, and the times of both. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Refusal::Nonces`] for whatever is wrong with the ID object, [`Refusal::Cipher`], [`Refusal::Stale`].
    pub fn prove(&self, opened: Opened, now: u64) -> Result<Presented, Refusal> {
        let Opened { id, ticket, hash } = opened;
        let once = &ticket.one_time_credentials;
        let named = once.cipher.parse::<Cipher>().ok();
        let cipher = named
            .filter(|cipher| self.ciphers.contains(cipher))
            .ok_or_else(|| self.no_cipher(repeatable(&once.cipher)))?;
        let decode = |text: &str| {
            let decoded = BASE64.decode(text.as_bytes());
            decoded.map_err(|_| Refusal::Nonces)
        };
        let key = SecretBytes::from(decode(once.key.expose())?);
        // One answer to whatever is wrong with the ID object: nothing authenticates it but what it says.
        let object = cipher
            .decrypt(key.expose(), &decode(&once.iv)?, &decode(&id)?)
            .map_err(|_| Refusal::Nonces)?;
        let object: IdObject = read(&object).ok_or(Refusal::Nonces)?;
        let iv = decode(&object.iv)?;
        let nonces = (object.server_nonce, object.requester_nonce);
        let expected = (ticket.server_nonce, ticket.requester_nonce);
        if nonces != expected || object.id != ticket.requester || iv.len() != IV_LENGTH {
            return Err(Refusal::Nonces);
        }
        let too_far = |ts: u64| ts.abs_diff(now) > limits::TOLERANCE;
        if too_far(ticket.ts) || too_far(object.ts) || now > ticket.expires {
            return Err(Refusal::Stale { clock: now });
        }
        let nonces = write(&AcknowledgedNonces {
            server_nonce: object.server_nonce,
            requester_nonce: object.requester_nonce,
            final_nonce: object.final_nonce,
            ts: now,
        })
        .map_err(|_| Refusal::NotVerified)?;
        let message = cipher
            .encrypt(key.expose(), &iv, nonces.expose())
            .map_err(|_| Refusal::NotVerified)?;
        Ok(Presented {
            made: ticket.ts,
            credentials: Credentials {
                application: ticket.requester,
                id: ticket.id,
                key: ticket.secret,
                hash,
                expires: ticket.expires,
            },
            auth_data: ticket.auth_data,
            acknowledgement: Acknowledgement {
                message: BASE64.encode(&message),
            },
        })
    }

    fn no_cipher(&self, requested: Option<String>) -> Refusal {
        Refusal::Cipher {
            requested,
            supported: self.ciphers.clone(),
        }
    }
}

impl Presented {
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
    pub fn acknowledge(self) -> Accepted {
        Accepted {
            credentials: self.credentials,
            auth_data: self.auth_data,
            answer: serde_json::json!({ "message": self.acknowledgement.message }).to_string(),
        }
    }
}
