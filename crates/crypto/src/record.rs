//! Packets sealed in place: one key for each direction, numbered by the nonce.
//!
//! A [`Sealer`] and the peer's [`Opener`] count packets in step; the count is the nonce and never
//! travels. A packet that is lost, repeated, moved, altered, or read under other associated data
//! does not open, and after the first that did not, the opener opens no more: the session is over.
//!
//! The nonce is 4 zero bytes and the packet's number from 0 in 8 bytes, big endian (NIST SP 800-38D,
//! section 8.2.1; RFC 8439, section 2.8).

use std::fmt;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

use crate::secret::Secret;

/// Bytes of the tag that a sealed packet carries behind its ciphertext.
pub const TAG_LENGTH: usize = 16;

/// What seals packets.
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
    /// How many blocks of 16 bytes one key may seal, counting associated data and one for each tag.
    ///
    /// AES-GCM: 2^34, under the 2^34.5 that RFC 8446, section 5.5, allows a key; with packets of
    /// 64 KiB that is about 256 GiB. ChaCha20-Poly1305 has no such bound; 2^48 is what no session
    /// reaches.
    #[must_use]
    pub const fn block_limit(self) -> u64 {
        match self {
            Self::Aes256Gcm | Self::Aes128Gcm => 1 << 34,
            Self::ChaCha20Poly1305 => 1 << 48,
        }
    }

    fn algorithm(self) -> (&'static Algorithm, usize) {
        match self {
            Self::Aes256Gcm => (&AES_256_GCM, 32),
            Self::Aes128Gcm => (&AES_128_GCM, 16),
            Self::ChaCha20Poly1305 => (&CHACHA20_POLY1305, 32),
        }
    }
}

/// A key with the count of what passed under it.
struct Direction {
    key: LessSafeKey,
    number: u64,
    blocks: u64,
    limit: u64,
}

impl Direction {
    fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        let (algorithm, length) = cipher.algorithm();
        let key = key.expose().get(..length).unwrap_or_default();
        let Ok(key) = UnboundKey::new(algorithm, key) else {
            // The length is right for the algorithm; only exhausted memory leads here.
            std::process::abort();
        };
        Self {
            key: LessSafeKey::new(key),
            number: 0,
            blocks: 0,
            limit: cipher.block_limit(),
        }
    }

    /// The nonce of the next packet, which is then counted; `None` when the key may not seal it.
    fn next(&mut self, aad: usize, text: usize) -> Option<Nonce> {
        let blocks = (aad.div_ceil(16) as u64)
            .checked_add(text.div_ceil(16) as u64)?
            .checked_add(self.blocks)?
            .checked_add(1)?;
        if blocks > self.limit {
            return None;
        }
        let mut nonce = [0; 12];
        let (_, counter) = nonce.split_at_mut(4);
        counter.copy_from_slice(&self.number.to_be_bytes());
        self.blocks = blocks;
        // Every packet is at least one block, so the number stays below the limit.
        self.number += 1;
        Some(Nonce::assume_unique_for_key(nonce))
    }

    fn wants_rekey(&self) -> bool {
        self.blocks >= self.limit / 4 * 3
    }
}

/// Seals the packets of one direction.
pub struct Sealer(Direction);

impl Sealer {
    /// Starts with packet 0. AES-128 takes the first half of `key`. A key is for one sealer: two
    /// would use the same nonces.
    #[must_use]
    pub fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        Self(Direction::new(cipher, key))
    }

    /// Replaces the plaintext in `buffer` by its ciphertext and gives the tag, which travels behind
    /// it. `aad` is what the opener must know beforehand: it is authenticated and not sent.
    ///
    /// # Errors
    /// [`KeySpent`] when the key has sealed all it may; `buffer` is unchanged.
    pub fn seal_in_place(
        &mut self,
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], KeySpent> {
        let nonce = self.0.next(aad.len(), buffer.len()).ok_or(KeySpent)?;
        self.0
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), buffer)
            .ok()
            .and_then(|tag| tag.as_ref().try_into().ok())
            .ok_or(KeySpent)
    }

    /// The number of the next packet.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether three quarters of the key's limit are used up: time to agree on new keys.
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
    direction: Direction,
    over: bool,
}

impl Opener {
    /// Starts with packet 0, like the [`Sealer`] that was given the same key.
    #[must_use]
    pub fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        Self {
            direction: Direction::new(cipher, key),
            over: false,
        }
    }

    /// Replaces the ciphertext in `buffer`, which ends with its tag, by the plaintext, and gives
    /// that part of the buffer.
    ///
    /// # Errors
    /// [`OpenError`]; what `buffer` then holds means nothing. Nothing opens after an error.
    pub fn open_in_place<'buffer>(
        &mut self,
        aad: &[u8],
        buffer: &'buffer mut [u8],
    ) -> Result<&'buffer mut [u8], OpenError> {
        if self.over {
            return Err(OpenError::Over);
        }
        self.over = true;
        let text = buffer
            .len()
            .checked_sub(TAG_LENGTH)
            .ok_or(OpenError::Forged)?;
        let nonce = self.direction.next(aad.len(), text).ok_or(KeySpent)?;
        let plaintext = self
            .direction
            .key
            .open_in_place(nonce, Aad::from(aad), buffer)
            .map_err(|_| OpenError::Forged)?;
        self.over = false;
        Ok(plaintext)
    }

    /// The number of the next packet.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.direction.number
    }

    /// Whether three quarters of the key's limit are used up: time to agree on new keys.
    #[must_use]
    pub fn wants_rekey(&self) -> bool {
        self.direction.wants_rekey()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener(next packet {})", self.direction.number)
    }
}

/// The key has passed all that its cipher allows ([`RecordCipher::block_limit`]). New keys are due,
/// and were since [`Sealer::wants_rekey`] said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record key reached the limit of its cipher; the session must be given new keys")]
pub struct KeySpent;

/// A packet that did not open. End the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Altered, out of order, for another session, or too short to be a packet.
    #[error("a packet is not the next one that the peer sealed; the session must end")]
    Forged,
    /// See [`KeySpent`].
    #[error(transparent)]
    KeySpent(#[from] KeySpent),
    /// An earlier packet did not open.
    #[error("an earlier packet of this direction did not open; the session is over")]
    Over,
}

#[cfg(test)]
mod tests;
