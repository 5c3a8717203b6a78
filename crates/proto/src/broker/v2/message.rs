//! The five messages, as JSON. Bytes are base64url without padding (RFC 4648, section 5). Every
//! field is required and has one type; unknown and repeated fields are rejected.

use std::fmt;

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::secret::{Secret, SecretBytes};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use super::SealedMessage;
use super::symmetric::SymmetricTicket;
use crate::json;

/// A random value of 128 bits, used for one message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce(pub [u8; 16]);

impl Nonce {
    pub(super) fn fresh(entropy: &mut dyn Entropy) -> Self {
        Self(fresh(entropy))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = bytes::deserialize(from)?;
        let nonce = bytes.as_slice().try_into();
        nonce.map(Self).map_err(|_| de::Error::custom("16 bytes"))
    }
}

/// The consumer's request to the site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthRequest {
    /// The consumer's id.
    pub requester: String,
    /// The provider's id.
    pub requested: String,
    /// The consumer's nonce.
    pub nonce: Nonce,
    /// When the request was made, in milliseconds since 1970 by the site's clock.
    pub ts: u64,
    /// The algorithm that the consumer prefers to sign requests with.
    pub hash: String,
    /// The signature algorithms that the consumer supports, best first.
    pub supported_hashes: Vec<String>,
    /// The ciphers that the consumer supports for the ID object and the acknowledgement, best
    /// first.
    pub supported_ciphers: Vec<String>,
}

/// Key material for one message each way: the ID object and the acknowledgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneTimeCredentials {
    /// The secret that both keys are derived from.
    #[serde(with = "secret")]
    pub key: Secret<32>,
    /// The salt of the ID object's key, so that it differs from the acknowledgement's key.
    pub iv: Nonce,
    /// [`CIPHER`].
    pub cipher: String,
    /// [`HASH`]: the algorithm that later requests are signed with.
    pub hash: String,
}

/// The cipher of the ID object and of the acknowledgement.
pub const CIPHER: &str = "aes-256-gcm";
/// The algorithm that requests are signed with (RFC 9421, section 3.3.3).
pub const HASH: &str = "hmac-sha256";

/// What the site sends to the provider, inside the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ticket {
    /// The consumer's id.
    pub requester: String,
    /// The provider's id.
    pub requested: String,
    /// The site's nonce.
    pub server_nonce: Nonce,
    /// The nonce of the request.
    pub requester_nonce: Nonce,
    /// The id of the ticket and of the shared secret.
    pub id: Nonce,
    /// The shared secret is derived from this and from the ephemeral keys.
    #[serde(with = "secret")]
    pub secret: Secret<32>,
    /// Keys for the presentation.
    pub one_time_credentials: OneTimeCredentials,
    /// [`HASH`].
    pub hash: String,
    /// When the ticket was made, in milliseconds since 1970 by the site's clock.
    pub ts: u64,
    /// The end of the ticket's lifetime, in milliseconds since 1970 by the site's clock.
    pub expires: u64,
    /// The site's data about the consumer; `null` for none.
    pub auth_data: Box<RawValue>,
}

/// The site's response to the consumer: the ticket's fields, and the sealed ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthResponse {
    /// The consumer's id.
    pub requester: String,
    /// The provider's id.
    pub requested: String,
    /// As in the ticket.
    pub server_nonce: Nonce,
    /// The nonce of the request.
    pub requester_nonce: Nonce,
    /// As in the ticket.
    pub id: Nonce,
    /// As in the ticket.
    #[serde(with = "secret")]
    pub secret: Secret<32>,
    /// When it was made, in milliseconds since 1970 by the site's clock.
    pub ts: u64,
    /// As in the ticket.
    pub one_time_credentials: OneTimeCredentials,
    /// [`HASH`].
    pub hash: String,
    /// As in the ticket.
    pub expires: u64,
    /// The ticket, sealed for the provider.
    pub ticket: SealedTicket,
}

/// A ticket as the consumer forwards it. The consumer can decrypt neither form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SealedTicket {
    /// Sealed to the provider's public key and signed by the site.
    Signed(SealedMessage),
    /// Sealed under a symmetric key that the site and the provider share.
    Symmetric(SymmetricTicket),
}

impl<'de> Deserialize<'de> for SealedTicket {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        json::either(from).map(|read| match read {
            Ok(signed) => Self::Signed(signed),
            Err(symmetric) => Self::Symmetric(symmetric),
        })
    }
}

/// What the consumer sends to the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presentation {
    /// The sealed [`IdObject`].
    #[serde(with = "bytes")]
    pub id: Vec<u8>,
    /// The ticket, as the site sent it.
    pub ticket: SealedTicket,
}

/// Proves that the consumer knows the ticket's secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdObject {
    /// The consumer's id.
    pub id: String,
    /// As in the ticket.
    pub server_nonce: Nonce,
    /// As in the ticket.
    pub requester_nonce: Nonce,
    /// The consumer's second nonce.
    pub final_nonce: Nonce,
    /// The salt of the acknowledgement's key.
    pub iv: Nonce,
    /// When it was made, in milliseconds since 1970 by the site's clock.
    pub ts: u64,
    /// The consumer's ephemeral X-Wing public key.
    #[serde(with = "bytes")]
    pub ephemeral: Vec<u8>,
}

/// The provider's response to a presentation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// The sealed [`AcknowledgedNonces`].
    #[serde(with = "bytes")]
    pub message: Vec<u8>,
}

/// Proves that the provider decrypted the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcknowledgedNonces {
    /// As in the ID object.
    pub server_nonce: Nonce,
    /// As in the ID object.
    pub requester_nonce: Nonce,
    /// As in the ID object.
    pub final_nonce: Nonce,
    /// When it was made, in milliseconds since 1970 by the site's clock.
    pub ts: u64,
    /// A shared secret, encapsulated to the ID object's ephemeral key.
    #[serde(with = "bytes")]
    pub encapsulated: Vec<u8>,
}

/// Serialises a message before it is sealed.
pub(super) fn write<T: Serialize>(message: &T) -> Option<SecretBytes> {
    write_within(message, super::limits::SEALED)
}

/// As [`write()`], for a message of at most `length` bytes.
pub(super) fn write_within<T: Serialize>(message: &T, length: usize) -> Option<SecretBytes> {
    // The buffer never reallocates, so no copy of a secret stays behind.
    let mut text = Vec::with_capacity(length);
    serde_json::to_writer(&mut text, message).ok()?;
    Some(text.into())
}

pub(super) mod bytes {
    use super::{BASE64URL_NOPAD, Deserialize, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &[u8],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64URL_NOPAD.encode(bytes))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
        decoded.map_err(|_| de::Error::custom("base64url without padding"))
    }
}

pub(super) mod secret {
    use super::{Deserializer, Secret, SecretBytes, Serializer, bytes, de};

    pub(in super::super) fn serialize<S: Serializer>(
        secret: &Secret<32>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bytes::serialize(secret.expose(), to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Secret<32>, D::Error> {
        let bytes = SecretBytes::from(bytes::deserialize(from)?);
        Secret::try_from_slice(bytes.expose()).ok_or_else(|| de::Error::custom("32 bytes"))
    }
}
