//! The token of a ticket, and its hash, which is all that the site stores.

use std::fmt;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::hash::sha256;
use countersign_crypto::secret::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json;

/// 128 random bits. They entitle their bearer to one enrolment.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Secret<16>);

impl Token {
    /// A new token.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Secret::generate(entropy))
    }

    /// The token of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The bytes, for the ticket.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }

    /// What the site stores and finds the ticket by.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256(self.expose()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::serialize(self.expose(), serializer)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::array(deserializer).map(Self::from_bytes)
    }
}

/// SHA-256 of a token. It does not reveal the token, of which there are 2^128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_prints_nothing_and_is_known_by_its_hash() {
        let token = Token::from_bytes([65; 16]);
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert_eq!(token.hash(), TokenHash(sha256(&[65; 16])));
        let json = serde_json::to_string(&token).unwrap();
        assert_eq!(json, "\"QUFBQUFBQUFBQUFBQUFBQQ\"");
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), token);
        for wrong in [
            json.replacen("QU", "Q", 1),
            json.replacen("QQ\"", "QQ==\"", 1),
            json.replacen("QQ\"", "QR\"", 1),
            json.replacen("QQ\"", "QQQQ\"", 1),
            "[65]".to_owned(),
        ] {
            assert!(serde_json::from_str::<Token>(&wrong).is_err(), "{wrong}");
        }
    }
}
