//! The records of a sealed channel: AES-256-GCM with a key for each direction.
//!
//! ```text
//! record = length of the ciphertext (16-bit, big-endian) | ciphertext with its tag
//! ```
//!
//! The length is associated data, and the record's number is the nonce.

use std::fmt;

use countersign_crypto::record::{Opener, RecordCipher, RecordError, Sealer, TAG_LENGTH};
use countersign_crypto::secret::SecretBytes;

use super::super::Exporter;
use super::ChannelKeys;

/// The longest plaintext of a record in bytes. A receiver keeps one record in memory.
pub const MAX_SEALED_RECORD: usize = 4 * 1024;
/// The length of a record's length, in bytes.
const PREFIX: usize = 2;
/// The longest record with its length.
const MAX_WHOLE: usize = PREFIX + MAX_SEALED_RECORD + TAG_LENGTH;

/// Which end of the channel this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Site,
}

/// An open channel.
pub struct SealedChannel {
    sealer: Sealer,
    opener: Opener,
    exporter: Exporter,
    /// A record that has not arrived completely.
    partial: Vec<u8>,
}

/// Why a record is not accepted. The channel has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSealedRecord {
    /// It is longer than [`MAX_SEALED_RECORD`], or has no plaintext.
    #[error("a record has {0} bytes, which is too short or too long")]
    Length(u16),
    /// It was changed, repeated or reordered.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl SealedChannel {
    pub(super) fn new(keys: &ChannelKeys, end: End) -> Self {
        let (own, other) = match end {
            End::Client => (&keys.from_client, &keys.from_site),
            End::Site => (&keys.from_site, &keys.from_client),
        };
        Self {
            sealer: Sealer::new(RecordCipher::Aes256Gcm, own),
            opener: Opener::new(RecordCipher::Aes256Gcm, other),
            exporter: Exporter(*keys.exporter.expose()),
            partial: Vec::new(),
        }
    }

    /// 32 bytes that both ends of this channel have, and no other channel.
    #[must_use]
    pub const fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    /// Encrypts bytes to send, in as many records as they need.
    ///
    /// # Errors
    /// [`BadSealedRecord::Record`] if the key has reached its limit, which no dialog does.
    pub fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>, BadSealedRecord> {
        let records = text.len().div_ceil(MAX_SEALED_RECORD);
        let mut sealed = Vec::with_capacity(text.len() + records * (PREFIX + TAG_LENGTH));
        for part in text.chunks(MAX_SEALED_RECORD) {
            // A part has at most 4 KiB.
            let length = u16::try_from(part.len() + TAG_LENGTH).unwrap_or(u16::MAX);
            let prefix = length.to_be_bytes();
            sealed.extend_from_slice(&prefix);
            let begin = sealed.len();
            sealed.extend_from_slice(part);
            let (_, record) = sealed.split_at_mut(begin);
            let tag = self.sealer.seal_in_place(&prefix, record)?;
            sealed.extend_from_slice(&tag);
        }
        Ok(sealed)
    }

    /// How many bytes may be read at a time: at least 1.
    #[must_use]
    pub fn room(&self) -> usize {
        MAX_WHOLE - self.partial.len()
    }

    /// Takes bytes that arrived, of which those beyond [`Self::room`] do not count. Returns the
    /// plaintext of the records that are complete.
    ///
    /// # Errors
    /// [`BadSealedRecord`].
    pub fn receive(mut self, bytes: &[u8]) -> Result<(Self, SecretBytes), BadSealedRecord> {
        let (bytes, _) = bytes.split_at(bytes.len().min(self.room()));
        self.partial.extend_from_slice(bytes);
        let mut arrived = std::mem::take(&mut self.partial);
        let texts = self.open(&mut arrived);
        // It holds plaintext now, which is erased.
        drop(SecretBytes::from(arrived));
        Ok((self, texts?))
    }

    /// Decrypts the complete records in place, and keeps the rest for later.
    fn open(&mut self, arrived: &mut [u8]) -> Result<SecretBytes, BadSealedRecord> {
        let mut texts = Vec::with_capacity(arrived.len());
        let mut begin = 0;
        while let Some(prefix) = arrived
            .get(begin..)
            .and_then(|rest| rest.first_chunk().copied())
        {
            let length = u16::from_be_bytes(prefix);
            let whole = usize::from(length);
            if !(TAG_LENGTH + 1..=MAX_SEALED_RECORD + TAG_LENGTH).contains(&whole) {
                return Err(BadSealedRecord::Length(length));
            }
            let end = begin + PREFIX + whole;
            let Some(record) = arrived.get_mut(begin + PREFIX..end) else {
                break;
            };
            texts.extend_from_slice(self.opener.open_in_place(&prefix, record)?);
            begin = end;
        }
        let rest = arrived.get(begin..).unwrap_or_default();
        self.partial.extend_from_slice(rest);
        Ok(texts.into())
    }
}

impl fmt::Debug for SealedChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedChannel(..)")
    }
}
