//! Files of any length, encrypted with a key slot's secret: used for backups.
//!
//! ```text
//! file key = derive(seed, "sealed file", SHA-256(header))     seed: new for each file
//! header   = the seed wrapped in key slots, as a site key is: Argon2id for a pass phrase
//! chunk n  = ChaCha20-Poly1305(file key, nonce n, text, associated data = 1 for the last chunk, else 0)
//! ```
//!
//! Every chunk except the last contains [`CHUNK`] bytes of text. A chunk can be opened only at its
//! position, and the last one only as the last, so truncated, reordered or combined files are
//! rejected.

use std::fmt;

use crate::{
    entropy::Entropy,
    hash::Sha256,
    record::{Opener, RecordCipher, RecordError, Sealer, TAG_LENGTH},
    secret::Secret,
    site_key::{SiteKey, SiteSeed},
    site_key_slots::{NewSlot, OpenError, SlotError, SlotSecret, WrappedSiteKey},
};

/// Length of the text in every chunk except the last, in bytes.
pub const CHUNK: usize = 64 * 1024;
/// Length of every sealed chunk except the last, in bytes.
pub const SEALED_CHUNK: usize = CHUNK + TAG_LENGTH;

/// ChaCha20-Poly1305 (RFC 8439): one key may encrypt more data than a disk can store.
const CIPHER: RecordCipher = RecordCipher::ChaCha20Poly1305;

/// Seals one file.
pub struct FileSealer(Sealer);

impl FileSealer {
    /// Starts a file that `secret` opens. Returns the header too, one line of JSON that precedes
    /// the chunks. `created` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// Only [`SlotError::PassphraseTooLong`].
    pub fn create(
        secret: NewSlot<'_>,
        created: i64,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, String), SlotError> {
        let key = SiteKey::from_seed(SiteSeed::generate(entropy));
        let slots = WrappedSiteKey::create(&key, secret, created, entropy)?;
        let Ok(header) = serde_json::to_string(&slots) else {
            // Numbers and strings can always be serialised.
            std::process::abort();
        };
        Ok((Self(Sealer::new(CIPHER, &file_key(&key, &header))), header))
    }

    /// Seals the next chunk; `last` marks the last one.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`] after 4 PiB.
    pub fn seal(&mut self, mut text: Vec<u8>, last: bool) -> Result<Vec<u8>, RecordError> {
        let tag = self.0.seal_in_place(&[u8::from(last)], &mut text)?;
        text.extend_from_slice(&tag);
        Ok(text)
    }
}

impl fmt::Debug for FileSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileSealer(..)")
    }
}

/// Opens one file, chunk by chunk.
pub struct FileOpener(Opener);

impl FileOpener {
    /// Opens the header of a file with a secret.
    ///
    /// # Errors
    /// [`FileOpenError`].
    pub fn open(header: &str, secret: SlotSecret<'_>) -> Result<Self, FileOpenError> {
        let slots: WrappedSiteKey =
            serde_json::from_str(header).map_err(|_| FileOpenError::Damaged)?;
        let key = slots.open(secret).map_err(|error| match error {
            OpenError::Damaged { .. } => FileOpenError::Damaged,
            OpenError::WrongSecret { .. } | OpenError::NoSuchSlot { .. } => {
                FileOpenError::WrongSecret
            }
        })?;
        Ok(Self(Opener::new(CIPHER, &file_key(&key, header))))
    }

    /// Opens the next chunk; `last` says whether it has to be the last one.
    ///
    /// # Errors
    /// [`RecordError::Forged`]; after that no later chunk can be opened.
    pub fn open_chunk(&mut self, mut chunk: Vec<u8>, last: bool) -> Result<Vec<u8>, RecordError> {
        let text = self.0.open_in_place(&[u8::from(last)], &mut chunk)?.len();
        chunk.truncate(text);
        Ok(chunk)
    }
}

impl fmt::Debug for FileOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileOpener(..)")
    }
}

/// Why a file cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileOpenError {
    /// The header is intact and the secret is wrong.
    #[error("the secret does not open it")]
    WrongSecret,
    /// The header is damaged.
    #[error("its header is damaged")]
    Damaged,
}

fn file_key(key: &SiteKey, header: &str) -> Secret<32> {
    let mut sum = Sha256::new();
    sum.update(header.as_bytes());
    let secret: Secret<32> = key.derive("sealed file");
    crate::kdf::derive(secret.expose(), "sealed file", &sum.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::secret::Passphrase;
    use crate::site_key_slots::Argon2idCost;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from(text.to_owned())
    }

    /// Header and chunks of a file with three chunks.
    fn sealed() -> (String, Vec<Vec<u8>>) {
        let cost = Argon2idCost::new(8, 1, 1).unwrap();
        let secret = passphrase("right");
        let slot = NewSlot::Passphrase(&secret, cost);
        let (mut sealer, header) = FileSealer::create(slot, 0, &mut SystemEntropy).unwrap();
        let chunks = [("one", false), ("two", false), ("three", true)]
            .map(|(text, last)| sealer.seal(text.as_bytes().to_vec(), last).unwrap());
        (header, chunks.to_vec())
    }

    fn open(header: &str, chunks: &[Vec<u8>]) -> Result<String, RecordError> {
        let secret = passphrase("right");
        let mut opener = FileOpener::open(header, SlotSecret::Passphrase(&secret)).unwrap();
        let mut text = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            text.extend(opener.open_chunk(chunk.clone(), at + 1 == chunks.len())?);
        }
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_sealed_file_opens_only_complete_and_in_order() {
        let (header, chunks) = sealed();
        assert_eq!(open(&header, &chunks).unwrap(), "onetwothree");
        let mut swapped = chunks.clone();
        swapped.swap(0, 1);
        let mut flipped = chunks.clone();
        flipped[1][0] ^= 1;
        let mut repeated = chunks.clone();
        repeated.insert(1, chunks[0].clone());
        let longer = [&chunks[..], &chunks[2..]].concat();
        for wrong in [
            &chunks[..2],
            &chunks[1..],
            &swapped,
            &flipped,
            &repeated,
            &longer,
        ] {
            assert_eq!(open(&header, wrong), Err(RecordError::Forged));
        }
        let (other, _) = sealed();
        assert_eq!(open(&other, &chunks), Err(RecordError::Forged));
    }

    #[test]
    fn a_wrong_secret_is_distinguished_from_damage() {
        let (header, _) = sealed();
        let wrong = passphrase("wrong");
        let open =
            |header: &str| FileOpener::open(header, SlotSecret::Passphrase(&wrong)).unwrap_err();
        assert_eq!(open(&header), FileOpenError::WrongSecret);
        assert_eq!(open(&header[1..]), FileOpenError::Damaged);
        let site = header.find("sealed").unwrap() + 12;
        let flipped = if &header[site..=site] == "A" {
            "B"
        } else {
            "A"
        };
        let damaged = format!("{}{flipped}{}", &header[..site], &header[site + 1..]);
        assert_eq!(open(&damaged), FileOpenError::Damaged);
    }
}
