//! Message authentication: HMAC (RFC 2104).

use std::fmt;

use crate::provider::HmacKey;

/// The hash function of a [`MacKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacHash {
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA1, which is still secure as a MAC. Only for peers that support nothing else.
    Sha1,
}

/// A symmetric key that authenticates messages.
#[derive(Clone)]
pub struct MacKey(HmacKey);

/// The authentication code does not match the message and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authentication code does not match this message and key")]
pub struct BadMac;

impl MacKey {
    /// Creates a key from bytes of any length.
    #[must_use]
    pub fn new(hash: MacHash, key: &[u8]) -> Self {
        Self(match hash {
            MacHash::Sha256 => HmacKey::sha256(key),
            MacHash::Sha1 => HmacKey::sha1(key),
        })
    }

    /// The authentication code of `message`: 32 bytes with SHA-256, 20 bytes with SHA-1.
    #[must_use]
    pub fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        self.0.authenticate(message)
    }

    /// Verifies the authentication code of `message` in constant time.
    ///
    /// # Errors
    /// [`BadMac`].
    pub fn verify(&self, message: &[u8], code: &[u8]) -> Result<(), BadMac> {
        match self.0.verify(message, code) {
            true => Ok(()),
            false => Err(BadMac),
        }
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// RFC 4231, section 4.3; RFC 2202, section 3, case 2.
    #[test]
    fn published_codes_are_computed_and_verified() {
        for (hash, published) in [
            (
                MacHash::Sha256,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (MacHash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ] {
            let key = MacKey::new(hash, b"Jefe");
            let code = key.authenticate(b"what do ya want for nothing?");
            assert_eq!(HEXLOWER.encode(&code), published);
            assert_eq!(key.verify(b"what do ya want for nothing?", &code), Ok(()));
            assert_eq!(
                key.verify(b"what do ya want for nothing!", &code),
                Err(BadMac)
            );
            assert_eq!(
                key.verify(b"what do ya want for nothing?", &code[1..]),
                Err(BadMac)
            );
        }
    }
}
