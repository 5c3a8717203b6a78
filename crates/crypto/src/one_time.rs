//! A key that seals one message: AES-256-GCM (NIST SP 800-38D) under a nonce of zeros.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::sealing::DoesNotOpen;
use crate::secret::{Secret, SecretBytes};

/// A key for one message. Sealing takes it away; opening does not, for whoever tries may be wrong.
pub struct OneTimeKey(LessSafeKey);

impl OneTimeKey {
    /// The key of these bytes, which must be derived for one message alone.
    #[must_use]
    pub fn new(key: &Secret<32>) -> Self {
        let Ok(key) = UnboundKey::new(&AES_256_GCM, key.expose()) else {
            // The length is the algorithm's own; only exhausted memory leads here.
            std::process::abort();
        };
        Self(LessSafeKey::new(key))
    }

    /// Seals the message beside what is known already.
    #[must_use]
    pub fn seal(self, associated: &[u8], message: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(message.len() + 16);
        sealed.extend_from_slice(message);
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let done = self
            .0
            .seal_in_place_append_tag(nonce, Aad::from(associated), &mut sealed);
        if done.is_err() {
            // Only a message of 64 GiB leads here.
            std::process::abort();
        }
        sealed
    }

    /// Opens what was sealed beside the same.
    ///
    /// # Errors
    /// [`DoesNotOpen`].
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<SecretBytes, DoesNotOpen> {
        let mut opened = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let length = self
            .0
            .open_in_place(nonce, Aad::from(associated), &mut opened)
            .map_err(|_| DoesNotOpen)?
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
    fn what_was_sealed_opens_beside_the_same_alone() {
        let key = |byte| OneTimeKey::new(&Secret::from_bytes([byte; 32]));
        let sealed = key(1).seal(b"beside", b"message");
        assert_eq!(
            key(1).open(b"beside", &sealed).unwrap().expose(),
            b"message"
        );
        assert!(key(2).open(b"beside", &sealed).is_err());
        assert!(key(1).open(b"besides", &sealed).is_err());
        assert!(key(1).open(b"beside", &sealed[1..]).is_err());
        assert!(key(1).open(b"beside", &[]).is_err());
    }
}
