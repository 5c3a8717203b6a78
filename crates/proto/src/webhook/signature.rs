//! The signature of a request.

use std::fmt;

use countersign_crypto::mac::{MacHash, MacKey};
use data_encoding::BASE64;

/// The prefix of a key in the Standard Webhooks specification.
const PREFIX: &str = "whsec_";
/// The least and the greatest length of a key, in bytes (Standard Webhooks).
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The key that a site and the receiver of its webhook share.
#[derive(Clone)]
pub struct SigningKey(MacKey);

/// The text is not a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a signing key: it must be 24 to 64 bytes in Base64, with or without `whsec_` in front; \
     make one with `openssl rand -base64 32`"
)]
pub struct BadSigningKey;

impl SigningKey {
    /// Reads a key: Base64 of 24 to 64 bytes, with or without the prefix `whsec_`.
    ///
    /// # Errors
    /// [`BadSigningKey`].
    pub fn parse(text: &str) -> Result<Self, BadSigningKey> {
        let text = text.trim();
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        let key = BASE64.decode(text.as_bytes()).map_err(|_| BadSigningKey)?;
        match KEY_BYTES.contains(&key.len()) {
            true => Ok(Self(MacKey::new(MacHash::Sha256, &key))),
            false => Err(BadSigningKey),
        }
    }

    /// The value of the signature header: `v1,` and HMAC-SHA256 over `ID.TIMESTAMP.BODY` in Base64.
    /// The id must not contain a full stop.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let mut signed = format!("{id}.{timestamp_s}.").into_bytes();
        signed.extend_from_slice(body);
        format!("v1,{}", BASE64.encode(&self.0.authenticate(&signed)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ALM-12. The example in the README of the Standard Webhooks libraries.
    #[test]
    fn the_published_signature_is_computed() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = key.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// ALM-12.
    #[test]
    fn the_signature_in_the_documentation_is_computed() {
        let key = SigningKey::parse("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").unwrap();
        let page = include_str!("../../../../docs/protocol/alarms.md");
        let (id, time) = ("019523d0-5c00-7000-8000-000000000000_1", 1_772_366_400);
        let body =
            r#"{"to":"+491701234567","text":"[example.org] Warning: The disk is nearly full."}"#;
        let signature = key.sign(id, time, body.as_bytes());
        let example = format!(
            "webhook-id: {id}\nwebhook-timestamp: {time}\nwebhook-signature: {signature}\n\n{body}\n"
        );
        assert!(page.contains(&example), "{example}");
    }

    #[test]
    fn a_key_has_24_to_64_bytes() {
        let of = |length: usize| SigningKey::parse(&BASE64.encode(&vec![7; length]));
        for (length, good) in [(23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(of(length).is_ok(), good, "{length}");
        }
        for bad in ["", "whsec_", "not base64!", "whsec_whsec_AAAA"] {
            assert!(SigningKey::parse(bad).is_err(), "{bad}");
        }
        let key = of(32).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }
}
