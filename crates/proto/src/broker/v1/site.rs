//! The site, which Serveros calls the master: decrypts a request, verifies the consumer, and seals
//! the ticket and the response.
//!
//! ```text
//! V1Site::open ── OpenedRequest ── verify ── V1VerifiedRequest ── (policy, replay cache)
//!   ── answer ── V1SealedMessage
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
use super::sealed::{DecryptError, read, write};
use super::{Role, V1Refusal, V1SealedMessage, choose, limits};
use crate::json;

/// The hash names that a refusal may repeat. The refusal is sent before authentication: any other
/// text could be plaintext that an attacker wants to have decrypted.
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

/// The site's keys, and the algorithms that it accepts.
pub struct V1Site {
    /// The site's keys, newest first. A message may be sealed to any.
    pub keys: Vec<RsaKey>,
    /// The ciphers that the site accepts, best first.
    pub ciphers: Vec<Cipher>,
    /// The hashes that the site accepts, best first.
    pub hashes: Vec<RsaHash>,
}

/// A registered application.
#[derive(Debug, Clone)]
pub struct V1Application {
    /// The application's id.
    pub id: String,
    /// The application's public keys, newest first. It may sign with any.
    pub keys: Vec<RsaPublicKey>,
    /// The hashes that the application supports, best first.
    pub hashes: Vec<RsaHash>,
    /// The ciphers that the application supports, best first.
    pub ciphers: Vec<Cipher>,
    /// The lifetime of tickets for it, in milliseconds.
    pub keys_last: u64,
    /// The site's data about it for providers.
    pub auth_data: Option<Box<RawValue>>,
}

/// A request that was decrypted. Its signature is not verified.
pub struct OpenedRequest {
    sealed: V1SealedMessage,
    request: V1AuthRequest,
    /// The cipher of the request.
    cipher: Cipher,
    /// The index of the site's key that decrypted the request. The same key signs the response.
    key: usize,
}

/// A request with a verified signature of its consumer.
pub struct V1VerifiedRequest {
    request: V1AuthRequest,
    /// The cipher and the signature hash of the request.
    sealed_with: (Cipher, RsaHash),
    key: usize,
    /// The index of the consumer's key that signed it. The response is sealed to the same key.
    signer: usize,
}

impl V1Site {
    /// Decrypts a request, given as the JSON text of a sealed message.
    ///
    /// # Errors
    /// [`V1Refusal::Cipher`] for an unsupported cipher in the encrypted header;
    /// [`V1Refusal::NotVerified`] for everything else.
    pub fn open(&self, request: &str) -> Result<OpenedRequest, V1Refusal> {
        let sealed: V1SealedMessage =
            json::read(request.as_bytes()).map_err(|_| V1Refusal::NotVerified)?;
        let opened = sealed
            .open(&self.keys, &self.ciphers)
            .map_err(|not| match not {
                DecryptError::Malformed => V1Refusal::NotVerified,
                DecryptError::Cipher(requested) => V1Refusal::Cipher {
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
                // The list is the same for every requester, since none is authenticated yet.
                supported: self.offered(&self.hashes, is_usable),
            })
    }

    fn agreed(&self, requester: &Lists, requested: &V1Application) -> Result<Agreed, V1Refusal> {
        let mut requested = Lists::of(requested);
        requested.hashes.retain(|hash| self.hashes.contains(hash));
        Agreed::of(requester, &requested)
    }

    /// The given hashes that the site accepts and that satisfy `leads`.
    fn offered(&self, hashes: &[RsaHash], leads: impl Fn(RsaHash) -> bool) -> Vec<RsaHash> {
        let hashes = hashes.iter().copied();
        let accepted = |hash: &RsaHash| self.hashes.contains(hash) && leads(*hash);
        hashes.filter(accepted).collect()
    }
}

impl OpenedRequest {
    /// The id of the consumer that the request claims to be from; not verified.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.request.requester
    }

    /// Verifies the consumer's signature and the time. If the consumer is not registered, the same
    /// work is done with `decoy_key`, a key that no party has. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`V1Refusal::Hash`]; after verification, [`V1Refusal::Stale`]; [`V1Refusal::NotVerified`]
    /// for everything else.
    pub fn verify(
        self,
        master: &V1Site,
        requester: Option<&V1Application>,
        decoy_key: &RsaPublicKey,
        now: u64,
    ) -> Result<V1VerifiedRequest, V1Refusal> {
        let hash = master.accepts(&self.request.hash)?;
        let keys = requester.map_or(std::slice::from_ref(decoy_key), |known| &known.keys);
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
    /// The id of the provider that the ticket is for.
    #[must_use]
    pub fn requested(&self) -> &str {
        &self.request.requested
    }

    /// When the request was made, in milliseconds since 1970 by the consumer's clock.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.request.ts
    }

    /// The consumer and its nonce, which identify this request in the replay cache.
    #[must_use]
    pub fn replay_key(&self) -> (&str, u64) {
        (&self.request.requester, self.request.nonce)
    }

    /// Seals a ticket for the provider, and the response for the consumer. `requested` is `None` if
    /// the provider does not exist or the consumer may not call it. `now` is in milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// [`V1Refusal::NoCommonCipher`] and [`V1Refusal::NoCommonHash`] if no request could lead to a
    /// ticket. [`V1Refusal::Cipher`] and [`V1Refusal::Hash`], with the acceptable ones, if this
    /// request used one that is not registered for its consumer.
    pub fn answer(
        self,
        master: &V1Site,
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
            // The ticket and the response carry the same hash, since a consumer uses the response's
            // and a provider the ticket's.
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

    /// Checks that the request used a cipher and hash registered for its consumer. The refusal does
    /// not offer hashes that are registered for verification only.
    fn is_as_registered(&self, master: &V1Site, lists: &Lists) -> Result<(), V1Refusal> {
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

/// What two applications share after a successful presentation.
#[derive(Debug, Clone)]
pub struct V1Credentials {
    /// The other application's id.
    pub application: String,
    /// The id of the secret.
    pub id: String,
    /// The secret. Its text is the key.
    pub key: SecretText,
    /// The hash that requests are signed with.
    pub hash: RsaHash,
    /// The end of their lifetime, in milliseconds since 1970 by the site's clock.
    pub expires: u64,
}
