//! Records: one AEAD key per direction, with a counter as nonce.
//!
//! The nonce is 4 zero bytes and the packet's number in 8 bytes, big-endian. So a key never uses a
//! nonce twice, and a packet can be opened only at its position. After the first packet that fails
//! to open, no packet can be opened.

use std::fmt;

use crate::provider::{AeadCipher, AeadKey, NONCE};
use crate::secret::Secret;

/// The length of a tag of every cipher, in bytes.
pub const TAG_LENGTH: usize = 16;

/// The cipher of a session's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordCipher {
    /// AES-256-GCM (NIST SP 800-38D).
    Aes256Gcm,
    /// AES-128-GCM (NIST SP 800-38D).
    Aes128Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

impl RecordCipher {
    /// Maximum number of 16-byte blocks per key, including associated data and tags.
    ///
    /// For AES-GCM it is 2^34, that is 256 GiB in long packets, below the limit of 2^34.5 blocks of
    /// RFC 8446, section 5.5. ChaCha20-Poly1305 has no limit that a session could reach; 2^48 means
    /// unlimited.
    #[must_use]
    pub const fn max_blocks(self) -> u64 {
        match self {
            Self::Aes256Gcm | Self::Aes128Gcm => 1 << 34,
            Self::ChaCha20Poly1305 => 1 << 48,
        }
    }

    fn aead(self) -> AeadCipher {
        match self {
            Self::Aes256Gcm => AeadCipher::Aes256Gcm,
            Self::Aes128Gcm => AeadCipher::Aes128Gcm,
            Self::ChaCha20Poly1305 => AeadCipher::ChaCha20Poly1305,
        }
    }
}

/// Why a packet cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The key has reached [`RecordCipher::max_blocks`]. The session should have agreed on new keys
    /// when [`Sealer::wants_rekey`] returned `true`.
    #[error("the key has reached its limit; the session needs new keys")]
    Exhausted,
    /// The packet, or an earlier one, is not the one that was sealed at this position. The session
    /// has to end.
    #[error("the packet was changed, repeated or reordered")]
    Forged,
}

/// A key with its packet number and block count.
struct RecordKey {
    key: AeadKey,
    number: u64,
    blocks: u64,
    max_blocks: u64,
}

impl RecordKey {
    fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        Self {
            key: AeadKey::new(cipher.aead(), key.expose()),
            number: 0,
            blocks: 0,
            max_blocks: cipher.max_blocks(),
        }
    }

    /// Counts the next packet and returns its nonce.
    fn next(&mut self, associated: usize, text: usize) -> Result<[u8; NONCE], RecordError> {
        let blocks = [associated, text]
            .into_iter()
            .map(|length| length.div_ceil(16) as u64)
            .try_fold(self.blocks + 1, u64::checked_add)
            .filter(|blocks| *blocks <= self.max_blocks)
            .ok_or(RecordError::Exhausted)?;
        let mut nonce = [0; NONCE];
        if let Some(number) = nonce.last_chunk_mut::<8>() {
            *number = self.number.to_be_bytes();
        }
        self.blocks = blocks;
        // A packet has at least one block, so the number stays below the limit on blocks.
        self.number += 1;
        Ok(nonce)
    }

    fn wants_rekey(&self) -> bool {
        self.blocks >= self.max_blocks / 4 * 3
    }
}

/// Encrypts the packets of one direction.
pub struct Sealer(RecordKey);

impl Sealer {
    /// Starts at packet 0. AES-128 uses the first half of the key. A key must be used by one sealer
    /// only: two would use the same nonces.
    #[must_use]
    pub fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        Self(RecordKey::new(cipher, key))
    }

    /// Encrypts `packet` in place and returns its tag. `associated` is the associated data.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`]; `packet` is unchanged.
    pub fn seal_in_place(
        &mut self,
        associated: &[u8],
        packet: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], RecordError> {
        let nonce = self.0.next(associated.len(), packet.len())?;
        let tag = self.0.key.seal(nonce, associated, packet);
        tag.ok_or(RecordError::Exhausted)
    }

    /// Whether three quarters of what the key may do are done: time to agree on new keys.
    #[must_use]
    pub fn wants_rekey(&self) -> bool {
        self.0.wants_rekey()
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer(next packet {})", self.0.number)
    }
}

/// Decrypts the packets of one direction.
pub struct Opener {
    key: RecordKey,
    failed: bool,
}

impl Opener {
    /// Starts at packet 0.
    #[must_use]
    pub fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        Self {
            key: RecordKey::new(cipher, key),
            failed: false,
        }
    }

    /// Decrypts `packet` (ciphertext and tag) in place and returns the plaintext.
    ///
    /// # Errors
    /// [`RecordError`]; the content of `packet` must not be used, and no later packet can be
    /// opened.
    pub fn open_in_place<'a>(
        &mut self,
        associated: &[u8],
        packet: &'a mut [u8],
    ) -> Result<&'a mut [u8], RecordError> {
        if self.failed {
            return Err(RecordError::Forged);
        }
        self.failed = true;
        let text = packet.len().checked_sub(TAG_LENGTH);
        let text = text.ok_or(RecordError::Forged)?;
        let nonce = self.key.next(associated.len(), text)?;
        let opened = self
            .key
            .key
            .open(nonce, associated, packet)
            .ok_or(RecordError::Forged)?;
        self.failed = false;
        Ok(opened)
    }

    /// Whether three quarters of what the key may do are done: time to agree on new keys.
    #[must_use]
    pub fn wants_rekey(&self) -> bool {
        self.key.wants_rekey()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener(next packet {})", self.key.number)
    }
}

#[cfg(test)]
mod tests;
