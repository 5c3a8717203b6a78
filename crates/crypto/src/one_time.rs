//! A key for one message: AES-256-GCM (NIST SP 800-38D) with a nonce of zeros.

use std::fmt;

use crate::provider::{AeadCipher, AeadKey, NONCE};
use crate::sealing::SealingError;
use crate::secret::{Secret, SecretBytes};

/// A key for one message. Sealing consumes the key. Opening does not, because it may fail for a
/// forged message before the right one arrives.
pub struct OneTimeKey(AeadKey);

/// The key encrypts one message, so every nonce is as good as another.
const NONCE_OF_THE_MESSAGE: [u8; NONCE] = [0; NONCE];

impl OneTimeKey {
    /// Creates the key from bytes, which must be derived for one message only.
    #[must_use]
    pub fn new(key: &Secret<32>) -> Self {
        Self(AeadKey::new(AeadCipher::Aes256Gcm, key.expose()))
    }

    /// Seals a message with associated data.
    #[must_use]
    pub fn seal(self, associated: &[u8], message: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(message.len() + 16);
        sealed.extend_from_slice(message);
        let done = self.0.seal(NONCE_OF_THE_MESSAGE, associated, &mut sealed);
        let Some(tag) = done else {
            // It fails only for a message of 64 GiB.
            std::process::abort();
        };
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens a message that was sealed with the same associated data.
    ///
    /// # Errors
    /// [`SealingError`].
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<SecretBytes, SealingError> {
        let mut opened = sealed.to_vec();
        let length = self
            .0
            .open(NONCE_OF_THE_MESSAGE, associated, &mut opened)
            .ok_or(SealingError)?
            .len();
        opened.truncate(length);
        Ok(opened.into())
    }
}

impl fmt::Debug for OneTimeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_opens_only_with_the_same_key_and_associated_data() {
        let key = |byte| OneTimeKey::new(&Secret::from_bytes([byte; 32]));
        let sealed = key(1).seal(b"data", b"message");
        assert_eq!(key(1).open(b"data", &sealed).unwrap().expose(), b"message");
        assert!(key(2).open(b"data", &sealed).is_err());
        assert!(key(1).open(b"other data", &sealed).is_err());
        assert!(key(1).open(b"data", &sealed[1..]).is_err());
        assert!(key(1).open(b"data", &[]).is_err());
    }
}
