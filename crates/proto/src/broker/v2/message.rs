//! The five messages, as JSON. Bytes are base64url without padding (RFC 4648, section 5). Every field is
//! there, once, and of its type; one that nobody knows is refused.

use std::fmt;

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::secret::{Secret, SecretBytes};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use super::SealedMessage;
use super::symmetric::SymmetricTicket;

/// 128 bits that are drawn for one message.
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

/// What the consumer asks of the site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthRequest {
    /// Who asks.
    pub requester: String,
    /// Whom the ticket is for.
    pub requested: String,
    /// The requester's nonce.
    pub nonce: Nonce,
    /// When it was made, by the site's clock as far as the requester knows it: milliseconds since 1970.
    pub ts: u64,
    /// What the requester would like to sign requests with.
    pub hash: String,
    /// What it knows, the best first.
    pub supported_hashes: Vec<String>,
    /// The same of ciphers, for the ID object and the acknowledgement.
    pub supported_ciphers: Vec<String>,
}

/// Keys for one message each way between the two applications: the ID object and the acknowledgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneTimeCredentials {
    /// What both keys are derived from.
    #[serde(with = "secret")]
    pub key: Secret<32>,
    /// Makes the key of the ID object another one than that of the acknowledgement.
    pub iv: Nonce,
    /// [`CIPHER`].
    pub cipher: String,
    /// [`HASH`]: what requests are signed with afterwards.
    pub hash: String,
}

/// The cipher of the ID object and of the acknowledgement.
pub const CIPHER: &str = "aes-256-gcm";
/// What requests are signed with (RFC 9421, section 3.3.3).
pub const HASH: &str = "hmac-sha256";

/// What the site tells the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ticket {
    /// Whose it is.
    pub requester: String,
    /// For whom.
    pub requested: String,
    /// The site's nonce.
    pub server_nonce: Nonce,
    /// The nonce of the request.
    pub requester_nonce: Nonce,
    /// Names the ticket, and the shared secret afterwards.
    pub id: Nonce,
    /// What the shared secret comes of, together with the ephemeral keys.
    #[serde(with = "secret")]
    pub secret: Secret<32>,
    /// For the presentation.
    pub one_time_credentials: OneTimeCredentials,
    /// [`HASH`].
    pub hash: String,
    /// When it was made, by the site's clock.
    pub ts: u64,
    /// Until when it is good, by the site's clock.
    pub expires: u64,
    /// What the site knows of the requester; `null` for nothing.
    pub auth_data: Box<RawValue>,
}

/// What the site tells the consumer: the same, and the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthResponse {
    /// Whose the ticket is.
    pub requester: String,
    /// For whom.
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
    /// When it was made, by the site's clock.
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

/// A ticket as the consumer hands it on: it cannot read either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SealedTicket {
    /// Sealed to the provider and signed by the site.
    Signed(SealedMessage),
    /// Sealed under a key that the site and the provider share.
    Fast(SymmetricTicket),
}

/// What the consumer shows the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presentation {
    /// The sealed [`IdObject`].
    #[serde(with = "bytes")]
    pub id: Vec<u8>,
    /// As it came from the site.
    pub ticket: SealedTicket,
}

/// Proves that the consumer knows what is in the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdObject {
    /// Who presents.
    pub id: String,
    /// As in the ticket.
    pub server_nonce: Nonce,
    /// As in the ticket.
    pub requester_nonce: Nonce,
    /// The consumer's second nonce.
    pub final_nonce: Nonce,
    /// Makes the key of the acknowledgement.
    pub iv: Nonce,
    /// When it was made, by the site's clock.
    pub ts: u64,
    /// An X-Wing key that is used once.
    #[serde(with = "bytes")]
    pub ephemeral: Vec<u8>,
}

/// What the provider answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// The sealed [`AcknowledgedNonces`].
    #[serde(with = "bytes")]
    pub message: Vec<u8>,
}

/// Proves that the provider could read the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcknowledgedNonces {
    /// As in the ID object.
    pub server_nonce: Nonce,
    /// As in the ID object.
    pub requester_nonce: Nonce,
    /// As in the ID object.
    pub final_nonce: Nonce,
    /// When it was made, by the site's clock.
    pub ts: u64,
    /// A secret for the ephemeral key of the ID object.
    #[serde(with = "bytes")]
    pub encapsulated: Vec<u8>,
}

/// Writes a message that is to be sealed.
pub(super) fn write<T: Serialize>(message: &T) -> Option<SecretBytes> {
    write_within(message, super::limits::SEALED)
}

/// The same of a message that is known to be no longer than `length` bytes.
pub(super) fn write_within<T: Serialize>(message: &T, length: usize) -> Option<SecretBytes> {
    // No copy of a secret is left behind when the text grows.
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
