//! The key derivations that consumer and provider share.
//!
//! ```text
//! key of the ID object       = KDF(one-time key, "broker id object", iv of the ticket)
//! key of the acknowledgement = KDF(one-time key, "broker acknowledgement", iv of the ID object)
//! ticket hash                = SHA-256(sealed) | SHA-256(signature);
//!                              of a symmetric ticket SHA-256(info) | SHA-256(sealed)
//! AAD of the ID object       = SHA-256(ticket hash)
//! AAD of the acknowledgement = SHA-256(ticket hash | sealed ID object)
//! shared secret              = KDF(secret of the ticket | secret of the ephemeral key,
//!                                  "broker shared secret", SHA-256(all sealed texts))
//! ```

use countersign_crypto::hash::{Sha256, sha256};
use countersign_crypto::kdf::derive;
use countersign_crypto::mac::{MacHash, MacKey};
use countersign_crypto::one_time::OneTimeKey;
use countersign_crypto::secret::{Secret, SecretBytes};

use super::message::{Nonce, OneTimeCredentials, SealedTicket};

/// What two applications share after a successful presentation.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The other application's id.
    pub application: String,
    /// The id of the secret.
    pub id: Nonce,
    /// The secret that requests are signed with, 32 bytes.
    pub secret: Secret<32>,
    /// The end of their lifetime, in milliseconds since 1970 by the site's clock.
    pub expires: u64,
}

impl Credentials {
    /// The key that requests are signed with.
    #[must_use]
    pub fn mac(&self) -> MacKey {
        MacKey::new(MacHash::Sha256, self.secret.expose())
    }
}

pub(super) fn id_object_key(once: &OneTimeCredentials) -> OneTimeKey {
    OneTimeKey::new(&derive(once.key.expose(), "broker id object", &once.iv.0))
}

pub(super) fn acknowledgement_key(once: &OneTimeCredentials, iv: Nonce) -> OneTimeKey {
    let key = derive(once.key.expose(), "broker acknowledgement", &iv.0);
    OneTimeKey::new(&key)
}

/// The transcript so far: the ticket, and the ID object if it was sent.
pub(super) fn associated_data(ticket: &SealedTicket, id: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    match ticket {
        // The signature covers the names, the keys and the ciphertext.
        SealedTicket::Signed(ticket) => {
            hash.update(&sha256(&ticket.sealed));
            hash.update(&sha256(&ticket.signature));
        }
        SealedTicket::Symmetric(ticket) => {
            hash.update(&sha256(&ticket.info()));
            hash.update(&sha256(&ticket.sealed));
        }
    }
    hash.update(id);
    hash.finish()
}

pub(super) fn shared_secret(
    ticket: &Secret<32>,
    ephemeral: &Secret<32>,
    transcript_hash: &[u8; 32],
    acknowledgement: &[u8],
) -> Secret<32> {
    let both = SecretBytes::from([ticket.expose().as_slice(), ephemeral.expose()].concat());
    let mut all = Sha256::new();
    all.update(transcript_hash);
    all.update(acknowledgement);
    derive(both.expose(), "broker shared secret", &all.finish())
}
