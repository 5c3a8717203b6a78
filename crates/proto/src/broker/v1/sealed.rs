//! The sealed message: encrypted under a random key, which is encrypted to the recipient with RSA,
//! and signed.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::legacy::{Cipher, IV_LENGTH};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::{SecretBytes, SecretText};
use data_encoding::BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits;
use super::message::secret;
use crate::json;

/// A sealed message as it is transmitted. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1SealedMessage {
    /// `Base64(ciphertext) ":" Base64(encrypted key)`.
    pub message: String,
    /// Base64 of the signature over the text of `message`.
    pub signature: String,
}

/// The RSA-encrypted part. It owns its texts, since JSON may escape any character (RFC 8259,
/// section 7), and an escaped text cannot be borrowed.
#[derive(Serialize, Deserialize)]
struct EncryptedKey {
    #[serde(with = "secret")]
    key: SecretText,
    iv: String,
    algorithm: String,
}

/// A decrypted message. Its sender is not authenticated.
pub(super) struct OpenedMessage {
    pub(super) text: SecretBytes,
    /// The cipher of the message.
    pub(super) cipher: Cipher,
    /// The index of the key that decrypted it.
    pub(super) key: usize,
}

/// Why decryption failed.
pub(super) enum DecryptError {
    /// The message is for another recipient, or is malformed.
    Malformed,
    /// One of the keys decrypts it, but the cipher is not accepted.
    Cipher(Option<String>),
}

/// Encryption failed: the recipient's key is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be sealed to this key")]
pub(super) struct EncryptError;

impl V1SealedMessage {
    pub(super) fn seal(
        text: &SecretBytes,
        (cipher, hash): (Cipher, RsaHash),
        to: &RsaPublicKey,
        signer: &RsaKey,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, EncryptError> {
        let mut secret = vec![0; cipher.key_length() + IV_LENGTH];
        entropy.fill(&mut secret);
        let secret = SecretBytes::from(secret);
        let (key, iv) = secret.expose().split_at(cipher.key_length());
        let enciphered = cipher
            .encrypt(key, iv, text.expose())
            .map_err(|_| EncryptError)?;
        let lock = SecretBytes::from(
            serde_json::to_vec(&EncryptedKey {
                key: BASE64.encode(key).into(),
                iv: BASE64.encode(iv),
                algorithm: cipher.name().to_owned(),
            })
            .map_err(|_| EncryptError)?,
        );
        let lock = to.seal(lock.expose()).map_err(|_| EncryptError)?;
        let message = format!("{}:{}", BASE64.encode(&enciphered), BASE64.encode(&lock));
        let signature = signer
            .sign(hash, message.as_bytes())
            .map_err(|_| EncryptError)?;
        Ok(Self {
            message,
            signature: BASE64.encode(&signature),
        })
    }

    /// The index of the first key that verifies the signature with this hash.
    pub(super) fn signed_by(&self, hash: RsaHash, keys: &[RsaPublicKey]) -> Option<usize> {
        let signature = BASE64.decode(self.signature.as_bytes()).ok()?;
        let text = self.message.as_bytes();
        keys.iter()
            .position(|key| key.verify(hash, text, &signature).is_ok())
    }

    /// Decrypts it with the first matching key.
    pub(super) fn open(
        &self,
        keys: &[RsaKey],
        accepted: &[Cipher],
    ) -> Result<OpenedMessage, DecryptError> {
        if self.message.len() > limits::SEALED {
            return Err(DecryptError::Malformed);
        }
        let (enciphered, lock) = self
            .message
            .split_once(':')
            .ok_or(DecryptError::Malformed)?;
        let decode = |text: &str| {
            let decoded = BASE64.decode(text.as_bytes());
            decoded.map_err(|_| DecryptError::Malformed)
        };
        let (enciphered, lock) = (decode(enciphered)?, decode(lock)?);
        // An RSA ciphertext is as long as its modulus, so keys of another length need no try.
        let (at, lock) = keys
            .iter()
            .enumerate()
            .take(limits::KEYS)
            .filter(|(_, key)| key.sealed_length() == lock.len())
            .find_map(|(at, key)| Some((at, key.open(&lock).ok()?)))
            .ok_or(DecryptError::Malformed)?;
        let lock: EncryptedKey = read(&lock).ok_or(DecryptError::Malformed)?;
        let named = lock.algorithm.parse::<Cipher>().ok();
        let cipher = named
            .filter(|cipher| accepted.contains(cipher))
            .ok_or_else(|| DecryptError::Cipher(safe_to_repeat(&lock.algorithm)))?;
        let key = SecretBytes::from(decode(lock.key.expose())?);
        let iv = decode(&lock.iv)?;
        let text = cipher
            .decrypt(key.expose(), &iv, &enciphered)
            .map_err(|_| DecryptError::Malformed)?;
        Ok(OpenedMessage {
            text,
            cipher,
            key: at,
        })
    }
}

/// The name, if it is safe to repeat in a refusal.
pub(super) fn safe_to_repeat(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.".contains(&byte);
    let fine = !name.is_empty() && name.len() <= limits::NAME && name.bytes().all(plain);
    fine.then(|| name.to_owned())
}

/// Parses decrypted JSON. Some implementations add block padding with stream ciphers, which such a
/// cipher does not remove; it is removed here.
pub(super) fn read<T: DeserializeOwned>(text: &SecretBytes) -> Option<T> {
    let text = text.expose();
    let padded = text.last().map_or(0, |last| usize::from(*last));
    let padding = text.len().checked_sub(padded).map(|at| text.split_at(at));
    let text = match padding {
        Some((rest, padding))
            if (1..=16).contains(&padded)
                && padding.iter().all(|byte| usize::from(*byte) == padded) =>
        {
            rest
        }
        _ => text,
    };
    json::read(text).ok()
}

/// Serialises a message before it is sealed.
pub(super) fn write<T: Serialize>(message: &T) -> Result<SecretBytes, EncryptError> {
    // The buffer never reallocates, so no copy of a secret stays behind.
    let mut text = Vec::with_capacity(limits::SEALED);
    serde_json::to_writer(&mut text, message).map_err(|_| EncryptError)?;
    Ok(text.into())
}
