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
    V1AuthRequest, V1AuthResponse, V1OneTimeCredentials, V1Ticket, fresh_nonce, random_text,
};
use super::sealed::{NotOpened, read, write};
use super::{Role, V1Refusal, V1SealedMessage, choose, limits};

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
pub struct V1Application {
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
pub struct OpenedRequest {
    sealed: V1SealedMessage,
    request: V1AuthRequest,
    /// What it was enciphered with.
    cipher: Cipher,
    /// Which of the site's keys opened it: the answer is signed with the same.
    key: usize,
}

/// A request whose requester signed it.
pub struct V1VerifiedRequest {
    request: V1AuthRequest,
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
    /// [`V1Refusal::Cipher`], which the lock alone decides; [`V1Refusal::NotVerified`] for all else.
    pub fn open(&self, request: &str) -> Result<OpenedRequest, V1Refusal> {
        let sealed: V1SealedMessage =
            serde_json::from_str(request).map_err(|_| V1Refusal::NotVerified)?;
        let opened = sealed
            .open(&self.keys, &self.ciphers)
            .map_err(|not| match not {
                NotOpened::Garbled => V1Refusal::NotVerified,
                NotOpened::Cipher(requested) => V1Refusal::Cipher {
                    requested,
                    supported: self.ciphers.clone(),
                },
            })?;
        let request: V1AuthRequest = read(&opened.text).ok_or(V1Refusal::NotVerified)?;
        Ok(OpenedRequest {
            sealed,
            request,
            cipher: opened.cipher,
            key: opened.key,
        })
    }

    fn accepts(&self, hash: &str) -> Result<RsaHash, V1Refusal> {
        let known = hash.parse().ok();
        known
            .filter(|hash| self.hashes.contains(hash))
            .ok_or_else(|| V1Refusal::Hash {
                requested: HASHES.contains(&hash).then(|| hash.to_owned()),
                // The same for every requester, since none is proved yet.
                supported: self.offered(&self.hashes, is_usable),
            })
    }

    fn agreed(&self, requester: &Lists, requested: &V1Application) -> Result<Agreed, V1Refusal> {
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

impl OpenedRequest {
    /// Who says to have made it.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.request.requester
    }

    /// Verifies that the requester signed it, lately. A requester that is not registered costs as much as
    /// one with another key: `stranger` is a key that nobody has.
    ///
    /// # Errors
    /// [`V1Refusal::Hash`] and, once the signature was verified, [`V1Refusal::Stale`];
    /// [`V1Refusal::NotVerified`] for all else.
    pub fn verify(
        self,
        master: &Master,
        requester: Option<&V1Application>,
        stranger: &RsaPublicKey,
        now: u64,
    ) -> Result<V1VerifiedRequest, V1Refusal> {
        let hash = master.accepts(&self.request.hash)?;
        let keys = requester.map_or(std::slice::from_ref(stranger), |known| &known.keys);
        let signer = self.sealed.signed_by(hash, keys);
        let known = requester.is_some_and(|known| known.id == self.request.requester);
        let (Some(signer), true) = (signer, known) else {
            return Err(V1Refusal::NotVerified);
        };
        if self.request.nonce >= limits::NONCE_BOUND {
            return Err(V1Refusal::NotVerified);
        }
        if self.request.ts.abs_diff(now) > limits::TOLERANCE {
            return Err(V1Refusal::Stale { clock: now });
        }
        Ok(V1VerifiedRequest {
            request: self.request,
            sealed_with: (self.cipher, hash),
            key: self.key,
            signer,
        })
    }
}

impl V1VerifiedRequest {
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
    /// [`V1Refusal::NoCommonCipher`] and [`V1Refusal::NoCommonHash`] where no other request would lead to a ticket;
    /// [`V1Refusal::Cipher`] and [`V1Refusal::Hash`] where this request used one that is not registered of the
    /// requester, with those that would.
    pub fn answer(
        self,
        master: &Master,
        requester: &V1Application,
        requested: Option<&V1Application>,
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<V1SealedMessage, V1Refusal> {
        let requested = requested.ok_or(V1Refusal::Application(Role::Requested))?;
        let provider_key = requested
            .keys
            .first()
            .ok_or(V1Refusal::Application(Role::Requested))?;
        let lists = Lists::of(requester).narrowed(&self.request);
        let agreed = master.agreed(&lists, requested)?;
        let to =
            |ciphers: &[Cipher]| choose(&master.ciphers, ciphers).ok_or(V1Refusal::NoCommonCipher);
        let (to_provider, to_requester) = (to(&requested.ciphers)?, to(&lists.ciphers)?);
        self.is_as_registered(master, &lists)?;
        let own = master.keys.get(self.key).ok_or(V1Refusal::NotVerified)?;
        let ticket = V1Ticket {
            requester: requester.id.clone(),
            requested: requested.id.clone(),
            server_nonce: fresh_nonce(entropy),
            requester_nonce: self.request.nonce,
            id: random_text(64, entropy).expose().to_owned(),
            secret: random_text(64, entropy),
            one_time_credentials: V1OneTimeCredentials {
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
        let failed = |_| V1Refusal::NoCommonCipher;
        let text = write(&ticket).map_err(failed)?;
        let as_provider = (to_provider, agreed.hash);
        let sealed = V1SealedMessage::seal(&text, as_provider, provider_key, own, entropy);
        let answer = V1AuthResponse {
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
            .ok_or(V1Refusal::NotVerified)?;
        let as_requester = (to_requester, agreed.hash);
        V1SealedMessage::seal(&text, as_requester, key, own, entropy).map_err(failed)
    }

    /// Whether the request itself used what is registered of its requester. A hash that is registered for
    /// verification alone is not offered.
    fn is_as_registered(&self, master: &Master, lists: &Lists) -> Result<(), V1Refusal> {
        let (cipher, hash) = self.sealed_with;
        if !lists.hashes.contains(&hash) {
            return Err(V1Refusal::Hash {
                requested: Some(hash.name().to_owned()),
                supported: master.offered(&lists.hashes, RsaHash::signs),
            });
        }
        if !lists.ciphers.contains(&cipher) {
            let ciphers = lists.ciphers.iter().copied();
            return Err(V1Refusal::Cipher {
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
pub struct V1Credentials {
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
