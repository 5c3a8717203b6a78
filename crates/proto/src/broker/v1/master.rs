//! The site, which the protocol calls the master: opens a request, verifies who asks, and seals a ticket and
//! the answer.
//!
//! ```text
//! Master::open ── Opened ── verify ── Verified ── answer ── SealedMessage
//!    (anybody's)     (who says to ask)   (who asks)   (policy decided)
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::legacy::{Cipher, IV_LENGTH};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::SecretText;
use serde_json::value::RawValue;

use super::agreed::{Agreed, Lists, is_usable};
use super::message::{
    AuthRequest, AuthResponse, OneTimeCredentials, Ticket, fresh_nonce, random_text,
};
use super::sealed::{NotOpened, read, write};
use super::{Refusal, SealedMessage, Which, choose, limits};

/// The names of hashes that are repeated to whoever is told that they are not supported. That is before anybody
/// has proved anything: another text may be what somebody wants to be deciphered.
const HASHES: [&str; 14] = [
    "md4",
    "md5",
    "sha",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "ripemd160",
    "RSA-MD5",
    "RSA-SHA1",
    "RSA-SHA256",
    "RSA-SHA384",
    "RSA-SHA512",
];

/// The site's keys and what it accepts.
pub struct Master {
    /// Its keys, the newest first. A message may be sealed to any.
    pub keys: Vec<RsaKey>,
    /// Ciphers that it accepts, the best first.
    pub ciphers: Vec<Cipher>,
    /// Hashes that it accepts, the best first.
    pub hashes: Vec<RsaHash>,
}

/// What is registered of an application.
#[derive(Debug, Clone)]
pub struct Application {
    /// Its id.
    pub id: String,
    /// Its public keys, the newest first. It may sign with any.
    pub keys: Vec<RsaPublicKey>,
    /// Hashes that it knows, the best first.
    pub hashes: Vec<RsaHash>,
    /// Ciphers that it knows, the best first.
    pub ciphers: Vec<Cipher>,
    /// How long a ticket for it is good, in milliseconds.
    pub keys_last: u64,
    /// What a provider is told of it.
    pub auth_data: Option<Box<RawValue>>,
}

/// A request that was opened. Who made it is not known yet.
pub struct Opened {
    sealed: SealedMessage,
    request: AuthRequest,
    /// What it was enciphered with.
    cipher: Cipher,
    /// Which of the site's keys opened it: the answer is signed with the same.
    key: usize,
}

/// A request whose requester signed it.
pub struct Verified {
    request: AuthRequest,
    /// What it was enciphered with, and what it was signed under.
    sealed_with: (Cipher, RsaHash),
    key: usize,
    /// Which of the requester's keys signed it: the answer is sealed to the same.
    signer: usize,
}

impl Master {
    /// Opens a request: the JSON text of a sealed message.
    ///
    /// # Errors
    /// [`Refusal::Cipher`], which the lock alone decides; [`Refusal::NotVerified`] for all else.
    pub fn open(&self, request: &str) -> Result<Opened, Refusal> {
        let sealed: SealedMessage =
            serde_json::from_str(request).map_err(|_| Refusal::NotVerified)?;
        let opened = sealed
            .open(&self.keys, &self.ciphers)
            .map_err(|not| match not {
                NotOpened::Garbled => Refusal::NotVerified,
                NotOpened::Cipher(requested) => Refusal::Cipher {
                    requested,
                    supported: self.ciphers.clone(),
                },
            })?;
        let request: AuthRequest = read(&opened.text).ok_or(Refusal::NotVerified)?;
        Ok(Opened {
            sealed,
            request,
            cipher: opened.cipher,
            key: opened.key,
        })
    }

    fn accepts(&self, hash: &str) -> Result<RsaHash, Refusal> {
        let known = hash.parse().ok();
        known
            .filter(|hash| self.hashes.contains(hash))
            .ok_or_else(|| Refusal::Hash {
                requested: HASHES.contains(&hash).then(|| hash.to_owned()),
                // The same for every requester, since none is proved yet.
                supported: self.offered(&self.hashes, is_usable),
            })
    }

    fn agreed(&self, requester: &Lists, requested: &Application) -> Result<Agreed, Refusal> {
        let mut requested = Lists::of(requested);
        requested.hashes.retain(|hash| self.hashes.contains(hash));
        Agreed::of(requester, &requested)
    }

    /// Those of `hashes` that the site accepts, and that can lead to a ticket.
    fn offered(&self, hashes: &[RsaHash], leads: impl Fn(RsaHash) -> bool) -> Vec<RsaHash> {
        let hashes = hashes.iter().copied();
        let accepted = |hash: &RsaHash| self.hashes.contains(hash) && leads(*hash);
        hashes.filter(accepted).collect()
    }
}

impl Opened {
    /// Who says to have made it.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.request.requester
    }

    /// Verifies that the requester signed it, lately. A requester that is not registered costs as much as
    /// one with another key: `stranger` is a key that nobody has.
    ///
    /// # Errors
    /// [`Refusal::Hash`] and, once the signature was verified, [`Refusal::Stale`];
    /// [`Refusal::NotVerified`] for all else.
    pub fn verify(
        self,
        master: &Master,
        requester: Option<&Application>,
        stranger: &RsaPublicKey,
        now: u64,
    ) -> Result<Verified, Refusal> {
        let hash = master.accepts(&self.request.hash)?;
        let keys = requester.map_or(std::slice::from_ref(stranger), |known| &known.keys);
        let signer = self.sealed.signed_by(hash, keys);
        let known = requester.is_some_and(|known| known.id == self.request.requester);
        let (Some(signer), true) = (signer, known) else {
            return Err(Refusal::NotVerified);
        };
        if self.request.nonce >= limits::NONCE_BOUND {
            return Err(Refusal::NotVerified);
        }
        if self.request.ts.abs_diff(now) > limits::TOLERANCE {
            return Err(Refusal::Stale { clock: now });
        }
        Ok(Verified {
            request: self.request,
            sealed_with: (self.cipher, hash),
            key: self.key,
            signer,
        })
    }
}

impl Verified {
    /// Whom the ticket is asked for.
    #[must_use]
    pub fn requested(&self) -> &str {
        &self.request.requested
    }

    /// When it was made, in milliseconds since 1970, by the requester's clock.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.request.ts
    }

    /// Names this request, so that it is answered once: the requester and its nonce.
    #[must_use]
    pub fn names(&self) -> (&str, u64) {
        (&self.request.requester, self.request.nonce)
    }

    /// Seals a ticket for the provider, and the answer for the requester. `requested` is `None` when there is
    /// no such provider, or the requester may not call it.
    ///
    /// # Errors
    /// [`Refusal::NoCommonCipher`] and [`Refusal::NoCommonHash`] where no other request would lead to a ticket;
    /// [`Refusal::Cipher`] and [`Refusal::Hash`] where this request used one that is not registered of the
    /// requester, with those that would.
    pub fn answer(
        self,
        master: &Master,
        requester: &Application,
        requested: Option<&Application>,
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedMessage, Refusal> {
        let requested = requested.ok_or(Refusal::Application(Which::Requested))?;
        let provider_key = requested
            .keys
            .first()
            .ok_or(Refusal::Application(Which::Requested))?;
        let lists = Lists::of(requester).narrowed(&self.request);
        let agreed = master.agreed(&lists, requested)?;
        let to =
            |ciphers: &[Cipher]| choose(&master.ciphers, ciphers).ok_or(Refusal::NoCommonCipher);
        let (to_provider, to_requester) = (to(&requested.ciphers)?, to(&lists.ciphers)?);
        self.is_as_registered(master, &lists)?;
        let own = master.keys.get(self.key).ok_or(Refusal::NotVerified)?;
        let ticket = Ticket {
            requester: requester.id.clone(),
            requested: requested.id.clone(),
            server_nonce: fresh_nonce(entropy),
            requester_nonce: self.request.nonce,
            id: random_text(64, entropy).expose().to_owned(),
            secret: random_text(64, entropy),
            one_time_credentials: OneTimeCredentials {
                key: random_text(agreed.cipher.key_length(), entropy),
                iv: random_text(IV_LENGTH, entropy).expose().to_owned(),
                cipher: agreed.cipher.name().to_owned(),
                hash: agreed.hash.name().to_owned(),
            },
            hash: agreed.hash.name().to_owned(),
            ts: now,
            expires: now.saturating_add(requested.keys_last),
            auth_data: requester.auth_data.clone(),
        };
        let failed = |_| Refusal::NoCommonCipher;
        let text = write(&ticket).map_err(failed)?;
        let as_provider = (to_provider, agreed.hash);
        let sealed = SealedMessage::seal(&text, as_provider, provider_key, own, entropy);
        let answer = AuthResponse {
            requester: ticket.requester,
            requested: ticket.requested,
            server_nonce: ticket.server_nonce,
            requester_nonce: ticket.requester_nonce,
            id: ticket.id,
            secret: ticket.secret,
            ts: ticket.ts,
            one_time_credentials: ticket.one_time_credentials,
            // The same as the ticket's: consumers go by this one afterwards, providers by that.
            hash: ticket.hash,
            expires: ticket.expires,
            ticket: sealed.map_err(failed)?,
        };
        let text = write(&answer).map_err(failed)?;
        let key = requester
            .keys
            .get(self.signer)
            .ok_or(Refusal::NotVerified)?;
        let as_requester = (to_requester, agreed.hash);
        SealedMessage::seal(&text, as_requester, key, own, entropy).map_err(failed)
    }

    /// Whether the request itself used what is registered of its requester. A hash that is registered for
    /// verification alone is not offered.
    fn is_as_registered(&self, master: &Master, lists: &Lists) -> Result<(), Refusal> {
        let (cipher, hash) = self.sealed_with;
        if !lists.hashes.contains(&hash) {
            return Err(Refusal::Hash {
                requested: Some(hash.name().to_owned()),
                supported: master.offered(&lists.hashes, RsaHash::signs),
            });
        }
        if !lists.ciphers.contains(&cipher) {
            let ciphers = lists.ciphers.iter().copied();
            return Err(Refusal::Cipher {
                requested: Some(cipher.name().to_owned()),
                supported: ciphers
                    .filter(|cipher| master.ciphers.contains(cipher))
                    .collect(),
            });
        }
        Ok(())
    }
}

/// What two applications share once one has proved itself to the other.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The other application.
    pub application: String,
    /// Names the secret.
    pub id: String,
    /// The secret, used as this text.
    pub key: SecretText,
    /// What requests are signed with.
    pub hash: RsaHash,
    /// Until when, by the site's clock, in milliseconds since 1970.
    pub expires: u64,
}
