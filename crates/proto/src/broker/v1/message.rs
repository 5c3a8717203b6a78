//! The five messages, as JSON. Every field has one type here; members that nobody knows are ignored.

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::secret::SecretText;
use data_encoding::BASE64;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::limits;
use super::sealed::SealedMessage;

/// An integer that every JSON implementation keeps exactly.
pub type Nonce = u64;

pub(super) fn fresh_nonce(entropy: &mut dyn Entropy) -> Nonce {
    let drawn = u64::from_le_bytes(fresh(entropy)) % (limits::NONCE_BOUND - 1);
    drawn + 1
}

/// What the consumer asks of the site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthRequest {
    /// Who asks.
    pub requester: String,
    /// Whom the ticket is for.
    pub requested: String,
    /// The requester's nonce.
    #[serde(deserialize_with = "whole")]
    pub nonce: Nonce,
    /// When it was made, in milliseconds since 1970. What is no number is no time.
    #[serde(default, deserialize_with = "time")]
    pub ts: u64,
    /// The hash of its signature.
    #[serde(default, deserialize_with = "name")]
    pub hash: String,
    /// Hashes that the requester supports, the best first; `None` where it does not say. Names that the site
    /// does not know may be among them.
    #[serde(default, deserialize_with = "names")]
    pub supported_hashes: Option<Vec<String>>,
    /// The same of ciphers.
    #[serde(default, deserialize_with = "names")]
    pub supported_ciphers: Option<Vec<String>>,
}

/// Keys for one text each way between the two applications: the ID object and the acknowledgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OneTimeCredentials {
    /// Base64 of the key.
    #[serde(with = "secret")]
    pub key: SecretText,
    /// Base64 of the vector of the ID object.
    pub iv: String,
    /// The cipher of both texts.
    pub cipher: String,
    /// The hash that requests are signed with afterwards.
    pub hash: String,
}

/// What the site tells the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Whose it is.
    pub requester: String,
    /// For whom.
    pub requested: String,
    /// The site's nonce.
    #[serde(deserialize_with = "whole")]
    pub server_nonce: Nonce,
    /// The nonce of the request.
    #[serde(deserialize_with = "whole")]
    pub requester_nonce: Nonce,
    /// Names the secret afterwards: Base64 of 64 bytes.
    pub id: String,
    /// What both applications share: Base64 of 64 bytes, used as this text.
    #[serde(with = "secret")]
    pub secret: SecretText,
    /// For the presentation.
    pub one_time_credentials: OneTimeCredentials,
    /// The hash of its signature, and of what is signed with the secret.
    pub hash: String,
    /// When it was made, by the site's clock.
    #[serde(deserialize_with = "whole")]
    pub ts: u64,
    /// Until when it is good, by the site's clock.
    #[serde(deserialize_with = "whole")]
    pub expires: u64,
    /// What the site knows of the requester.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_data: Option<Box<RawValue>>,
}

/// What the site tells the consumer: the same, and the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthResponse {
    /// Whose the ticket is.
    pub requester: String,
    /// For whom.
    pub requested: String,
    /// The site's nonce.
    #[serde(deserialize_with = "whole")]
    pub server_nonce: Nonce,
    /// The nonce of the request.
    #[serde(deserialize_with = "whole")]
    pub requester_nonce: Nonce,
    /// As in the ticket.
    pub id: String,
    /// As in the ticket.
    #[serde(with = "secret")]
    pub secret: SecretText,
    /// When it was made, by the site's clock.
    #[serde(deserialize_with = "whole")]
    pub ts: u64,
    /// As in the ticket.
    pub one_time_credentials: OneTimeCredentials,
    /// The hash of this message's signature.
    pub hash: String,
    /// As in the ticket.
    #[serde(deserialize_with = "whole")]
    pub expires: u64,
    /// The ticket, sealed for the provider.
    pub ticket: SealedMessage,
}

/// What the consumer shows the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Presentation {
    /// Base64 of the enciphered [`IdObject`].
    pub id: String,
    /// As it came from the site.
    pub ticket: SealedMessage,
}

/// Proves that the consumer knows what is in the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdObject {
    /// Who presents.
    pub id: String,
    /// As in the ticket.
    #[serde(deserialize_with = "whole")]
    pub server_nonce: Nonce,
    /// As in the ticket.
    #[serde(deserialize_with = "whole")]
    pub requester_nonce: Nonce,
    /// The consumer's second nonce.
    #[serde(deserialize_with = "whole")]
    pub final_nonce: Nonce,
    /// Base64 of the vector for the acknowledgement.
    pub iv: String,
    /// When it was made.
    #[serde(deserialize_with = "whole")]
    pub ts: u64,
}

/// What the provider answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Base64 of the enciphered [`AcknowledgedNonces`].
    pub message: String,
}

/// Proves that the provider could read the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcknowledgedNonces {
    /// As in the ID object.
    #[serde(deserialize_with = "whole")]
    pub server_nonce: Nonce,
    /// As in the ID object.
    #[serde(deserialize_with = "whole")]
    pub requester_nonce: Nonce,
    /// As in the ID object.
    #[serde(deserialize_with = "whole")]
    pub final_nonce: Nonce,
    /// When it was made.
    #[serde(deserialize_with = "whole")]
    pub ts: u64,
}

pub(super) fn random_text(length: usize, entropy: &mut dyn Entropy) -> SecretText {
    let mut bytes = vec![0; length];
    entropy.fill(&mut bytes);
    BASE64.encode(&bytes).into()
}

/// A whole number, also where it is spelled with a fraction or an exponent: `2e3` and `2000.0` are 2000.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = whole_of(&Value::deserialize(from)?);
    number.ok_or_else(|| D::Error::custom("a whole number"))
}

fn whole_of(value: &Value) -> Option<u64> {
    // The text of a whole `f64` is its digits.
    let spelled_otherwise = || value.as_f64()?.to_string().parse().ok();
    value.as_u64().or_else(spelled_otherwise)
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Ok(whole_of(&Value::deserialize(from)?).unwrap_or(0))
}

/// A list of names. Some implementations write a list with gaps as an object whose members are its places.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    let items: Vec<Value> = match Value::deserialize(from)? {
        Value::Null => return Ok(None),
        Value::Array(items) => items,
        Value::Object(places) => places.into_iter().map(|(_, item)| item).collect(),
        one => vec![one],
    };
    let names = items.into_iter().filter_map(|item| match item {
        Value::String(name) => Some(name),
        _ => None,
    });
    Ok(Some(names.collect()))
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(value.as_str().unwrap_or_default().to_owned())
}

pub(super) mod secret {
    use super::{Deserialize, Deserializer, SecretText, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        secret: &SecretText,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SecretText, D::Error> {
        String::deserialize(from).map(SecretText::from)
    }
}
