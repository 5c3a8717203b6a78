//! The five messages, as JSON. Every field has one type. Unknown fields are ignored.

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::secret::SecretText;
use data_encoding::BASE64;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::limits;
use super::sealed::V1SealedMessage;

/// An integer that every JSON implementation represents exactly.
pub type V1Nonce = u64;

pub(super) fn fresh_nonce(entropy: &mut dyn Entropy) -> V1Nonce {
    let drawn = u64::from_le_bytes(fresh(entropy)) % (limits::NONCE_BOUND - 1);
    drawn + 1
}

/// The consumer's request to the site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct V1AuthRequest {
    /// The consumer's id.
    pub requester: String,
    /// The provider's id.
    pub requested: String,
    /// The consumer's nonce.
    #[serde(deserialize_with = "whole")]
    pub nonce: V1Nonce,
    /// When the request was made, in milliseconds since 1970. A time that is not a number is
    /// rejected.
    #[serde(default, deserialize_with = "time")]
    pub ts: u64,
    /// The hash of the request's signature.
    #[serde(default, deserialize_with = "name")]
    pub hash: String,
    /// The hashes that the consumer supports, best first; `None` if it does not list them. The list
    /// may contain names that the site does not know.
    #[serde(default, deserialize_with = "names")]
    pub supported_hashes: Option<Vec<String>>,
    /// The ciphers that the consumer supports; otherwise as `supported_hashes`.
    #[serde(default, deserialize_with = "names")]
    pub supported_ciphers: Option<Vec<String>>,
}

/// Key material for one message each way: the ID object and the acknowledgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct V1OneTimeCredentials {
    /// Base64 of the key.
    #[serde(with = "secret")]
    pub key: SecretText,
    /// Base64 of the ID object's initialisation vector.
    pub iv: String,
    /// The cipher of both messages.
    pub cipher: String,
    /// The hash that later requests are signed with.
    pub hash: String,
}

/// What the site sends to the provider, inside the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct V1Ticket {
    /// The consumer's id.
    pub requester: String,
    /// The provider's id.
    pub requested: String,
    /// The site's nonce.
    #[serde(deserialize_with = "whole")]
    pub server_nonce: V1Nonce,
    /// The nonce of the request.
    #[serde(deserialize_with = "whole")]
    pub requester_nonce: V1Nonce,
    /// The id of the shared secret: Base64 of 64 bytes.
    pub id: String,
    /// The shared secret: Base64 of 64 bytes. The text itself is the key.
    #[serde(with = "secret")]
    pub secret: SecretText,
    /// Keys for the presentation.
    pub one_time_credentials: V1OneTimeCredentials,
    /// The hash of the ticket's signature, and of later signatures with the secret.
    pub hash: String,
    /// When the ticket was made, in milliseconds since 1970 by the site's clock.
    #[serde(deserialize_with = "whole")]
    pub ts: u64,
    /// The end of the ticket's lifetime, in milliseconds since 1970 by the site's clock.
    #[serde(deserialize_with = "whole")]
    pub expires: u64,
    /// The site's data about the consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_data: Option<Box<RawValue>>,
}

/// The site's response to the consumer: the ticket's fields, and the sealed ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct V1AuthResponse {
    /// The consumer's id.
    pub requester: String,
    /// The provider's id.
    pub requested: String,
    /// The site's nonce.
    #[serde(deserialize_with = "whole")]
    pub server_nonce: V1Nonce,
    /// The nonce of the request.
    #[serde(deserialize_with = "whole")]
    pub requester_nonce: V1Nonce,
    /// As in the ticket.
    pub id: String,
    /// As in the ticket.
    #[serde(with = "secret")]
    pub secret: SecretText,
    /// When it was made, in milliseconds since 1970 by the site's clock.
    #[serde(deserialize_with = "whole")]
    pub ts: u64,
    /// As in the ticket.
    pub one_time_credentials: V1OneTimeCredentials,
    /// The hash of this message's signature.
    pub hash: String,
    /// As in the ticket.
    #[serde(deserialize_with = "whole")]
    pub expires: u64,
    /// The ticket, sealed for the provider.
    pub ticket: V1SealedMessage,
}

/// What the consumer sends to the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct V1Presentation {
    /// Base64 of the encrypted [`V1IdObject`].
    pub id: String,
    /// The ticket, as the site sent it.
    pub ticket: V1SealedMessage,
}

/// Proves that the consumer knows the ticket's secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct V1IdObject {
    /// The consumer's id.
    pub id: String,
    /// As in the ticket.
    #[serde(deserialize_with = "whole")]
    pub server_nonce: V1Nonce,
    /// As in the ticket.
    #[serde(deserialize_with = "whole")]
    pub requester_nonce: V1Nonce,
    /// The consumer's second nonce.
    #[serde(deserialize_with = "whole")]
    pub final_nonce: V1Nonce,
    /// Base64 of the acknowledgement's initialisation vector.
    pub iv: String,
    /// When it was made, in milliseconds since 1970.
    #[serde(deserialize_with = "whole")]
    pub ts: u64,
}

/// The provider's response to a presentation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct V1Acknowledgement {
    /// Base64 of the encrypted [`V1AcknowledgedNonces`].
    pub message: String,
}

/// Proves that the provider decrypted the ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct V1AcknowledgedNonces {
    /// As in the ID object.
    #[serde(deserialize_with = "whole")]
    pub server_nonce: V1Nonce,
    /// As in the ID object.
    #[serde(deserialize_with = "whole")]
    pub requester_nonce: V1Nonce,
    /// As in the ID object.
    #[serde(deserialize_with = "whole")]
    pub final_nonce: V1Nonce,
    /// When it was made, in milliseconds since 1970.
    #[serde(deserialize_with = "whole")]
    pub ts: u64,
}

pub(super) fn random_text(length: usize, entropy: &mut dyn Entropy) -> SecretText {
    let mut bytes = vec![0; length];
    entropy.fill(&mut bytes);
    BASE64.encode(&bytes).into()
}

/// Deserialises an integer, also one with a fraction or an exponent: `2e3` and `2000.0` are 2000.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = Box::<RawValue>::deserialize(from)?;
    whole_of(number.get()).ok_or_else(|| D::Error::custom("a whole number"))
}

/// Parses the text: a floating-point number would change large integers.
fn whole_of(text: &str) -> Option<u64> {
    /// The maximum exponent: 10 to the power of 20 exceeds `u64`.
    const MOST_PLACES: usize = 20;

    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().ok()?;
    let places = usize::try_from(exponent.unsigned_abs()).ok()?;
    let digits = match exponent < 0 {
        true => {
            let at = whole.len().checked_sub(places)?;
            let (digits, moved) = whole.split_at_checked(at)?;
            (only_zeros(moved) && only_zeros(fraction)).then(|| digits.to_owned())?
        }
        false if places > MOST_PLACES => return only_zeros(mantissa).then_some(0),
        false => {
            let fraction = format!("{fraction:0<places$}");
            let (moved, rest) = fraction.split_at_checked(places)?;
            only_zeros(rest).then(|| [whole, moved].concat())?
        }
    };
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

fn only_zeros(digits: &str) -> bool {
    digits.bytes().all(|byte| b"0.".contains(&byte))
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = Box::<RawValue>::deserialize(from)?;
    Ok(whole_of(value.get()).unwrap_or(0))
}

/// Deserialises a list of names. Some implementations write a sparse list as an object whose keys
/// are the indices.
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

#[cfg(test)]
mod tests {
    use super::whole_of;

    #[test]
    fn an_integer_is_read_from_each_of_its_spellings() {
        for (text, number) in [
            ("0", Some(0)),
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("9007199254740991.00E+0", Some(9_007_199_254_740_991)),
            ("900719925474099.1e1", Some(9_007_199_254_740_991)),
            ("18446744073709551615", Some(u64::MAX)),
            ("2e3", Some(2_000)),
            ("20000e-1", Some(2_000)),
            ("2.5e1", Some(25)),
            ("0e99", Some(0)),
            ("2.5", None),
            ("25e-1", None),
            ("25.1e-1", None),
            ("20.5e-1", None),
            ("20.0e-1", Some(2)),
            ("1e21", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("-0", None),
            ("1e99999999999", None),
            ("1e-2147483648", None),
            ("\"1\"", None),
            ("null", None),
        ] {
            assert_eq!(whole_of(text), number, "{text}");
        }
    }
}
