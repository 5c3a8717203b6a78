//! Records: one AEAD key a direction and a counter for a nonce.
//!
//! The nonce is 4 zero bytes and the packet's number, 8 bytes big-endian: a key never seals two packets
//! under one nonce, and a packet opens only as the number that it was sealed as. After the first packet
//! that does not open, none does.

use std::fmt;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

use crate::secret::Secret;

/// The length of a tag in bytes, for every cipher here.
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
    /// How many blocks of 16 bytes one key may seal; associated data and the tag count as well.
    ///
    /// For AES-GCM 2^34, 256 GiB in long packets: under the 2^34.5 blocks that RFC 8446, section 5.5,
    /// allows a key. ChaCha20-Poly1305 has no bound that a session could reach; 2^48 stands for none.
    #[must_use]
    pub const fn most_blocks(self) -> u64 {
        match self {
            Self::Aes256Gcm | Self::Aes128Gcm => 1 << 34,
            Self::ChaCha20Poly1305 => 1 << 48,
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::Aes128Gcm => &AES_128_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

/// Why a packet is not sealed or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The key has done its [`RecordCipher::most_blocks`]. The session needed new keys earlier, when
    /// [`Sealer::wants_rekey`] said so.
    #[error("this key has done all that it may; the session needs new keys")]
    Exhausted,
    /// The packet is not the one that was sealed under this number, or an earlier one was not. End the
    /// session.
    #[error("the packet was changed, repeated or moved")]
    Forged,
}

/// A key with the count of what passed under it.
struct Counted {
    key: LessSafeKey,
    number: u64,
    blocks: u64,
    most_blocks: u64,
}

impl Counted {
    fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        let algorithm = cipher.algorithm();
        let bytes = key.expose().get(..algorithm.key_len()).unwrap_or_default();
        let Ok(key) = UnboundKey::new(algorithm, bytes) else {
            // The length is the algorithm's own; only exhausted memory leads here.
            std::process::abort();
        };
        Self {
            key: LessSafeKey::new(key),
            number: 0,
            blocks: 0,
            most_blocks: cipher.most_blocks(),
        }
    }

    /// The nonce of the next packet, which counts from here on.
    fn next(&mut self, associated: usize, text: usize) -> Result<Nonce, RecordError> {
        let blocks = [associated, text]
            .into_iter()
            .map(|length| length.div_ceil(16) as u64)
            .try_fold(self.blocks + 1, u64::checked_add)
            .filter(|blocks| *blocks <= self.most_blocks)
            .ok_or(RecordError::Exhausted)?;
        let mut nonce = [0; 12];
        if let Some(number) = nonce.last_chunk_mut::<8>() {
            *number = self.number.to_be_bytes();
        }
        self.blocks = blocks;
        // A packet is a block at least, so the number stays below their limit.
        self.number += 1;
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    fn wants_rekey(&self) -> bool {
        self.blocks >= self.most_blocks / 4 * 3
    }
}

/// Seals the packets of one direction.
pub struct Sealer(Counted);

impl Sealer {
    /// Seals with this key, from packet 0 on. AES-128 takes the first half of the key. A key is for one
    /// sealer: two would use the same nonces.
    #[must_use]
    pub fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        Self(Counted::new(cipher, key))
    }

    /// Encrypts `packet` in place and returns its tag, which also covers `associated`.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`]; `packet` is as it was.
    pub fn seal_in_place(
        &mut self,
        associated: &[u8],
        packet: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], RecordError> {
        let nonce = self.0.next(associated.len(), packet.len())?;
        let tag = self
            .0
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(associated), packet);
        tag.ok()
            .and_then(|tag| tag.as_ref().try_into().ok())
            .ok_or(RecordError::Exhausted)
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

/// Opens the packets of one direction.
pub struct Opener {
    counted: Counted,
    refused: bool,
}

impl Opener {
    /// Opens with this key, from packet 0 on.
    #[must_use]
    pub fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        Self {
            counted: Counted::new(cipher, key),
            refused: false,
        }
    }

    /// Opens `packet` (ciphertext and tag) in place and returns the plaintext in it.
    ///
    /// # Errors
    /// [`RecordError`]: what `packet` holds means nothing, and no later packet opens.
    pub fn open_in_place<'a>(
        &mut self,
        associated: &[u8],
        packet: &'a mut [u8],
    ) -> Result<&'a mut [u8], RecordError> {
        if self.refused {
            return Err(RecordError::Forged);
        }
        self.refused = true;
        let text = packet.len().checked_sub(TAG_LENGTH);
        let text = text.ok_or(RecordError::Forged)?;
        let nonce = self.counted.next(associated.len(), text)?;
        let opened = self
            .counted
            .key
            .open_in_place(nonce, Aad::from(associated), packet)
            .map_err(|_| RecordError::Forged)?;
        self.refused = false;
        Ok(opened)
    }

    /// Whether three quarters of what the key may do are done: time to agree on new keys.
    #[must_use]
    pub fn wants_rekey(&self) -> bool {
        self.counted.wants_rekey()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener(next packet {})", self.counted.number)
    }
}

#[cfg(test)]
mod tests;
