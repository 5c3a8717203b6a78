//! The sealed message: enciphered under a key of its own, which is locked to the recipient with RSA, and
//! signed over the text of both.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::legacy::{Cipher, IV_LENGTH};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::{SecretBytes, SecretText};
use data_encoding::BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits;
use super::message::secret;

/// A message as it travels. Unknown members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1SealedMessage {
    /// `Base64(enciphered) ":" Base64(lock)`.
    pub message: String,
    /// Base64 of the signature over the text of `message`.
    pub signature: String,
}

/// What the recipient's key opens. It owns its texts: JSON may spell any character as an escape (RFC 8259,
/// section 7), and an escaped text cannot be borrowed.
#[derive(Serialize, Deserialize)]
struct Lock {
    #[serde(with = "secret")]
    key: SecretText,
    iv: String,
    algorithm: String,
}

/// What was opened: of whom, it does not say.
pub(super) struct Opened {
    pub(super) text: SecretBytes,
    /// What it was enciphered with.
    pub(super) cipher: Cipher,
    /// Which of the keys opened it.
    pub(super) key: usize,
}

/// Why nothing was opened.
pub(super) enum NotOpened {
    /// It is for somebody else, or is broken.
    Garbled,
    /// It is locked to one of the keys, with a cipher that is not accepted.
    Cipher(Option<String>),
}

/// Something cannot be sealed: the recipient's key is too short for the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be sealed to this key")]
pub(super) struct NotSealed;

impl V1SealedMessage {
    pub(super) fn seal(
        text: &SecretBytes,
        (cipher, hash): (Cipher, RsaHash),
        to: &RsaPublicKey,
        signer: &RsaKey,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, NotSealed> {
        let mut secret = vec![0; cipher.key_length() + IV_LENGTH];
        entropy.fill(&mut secret);
        let secret = SecretBytes::from(secret);
        let (key, iv) = secret.expose().split_at(cipher.key_length());
        let enciphered = cipher
            .encrypt(key, iv, text.expose())
            .map_err(|_| NotSealed)?;
        let lock = SecretBytes::from(
            serde_json::to_vec(&Lock {
                key: BASE64.encode(key).into(),
                iv: BASE64.encode(iv),
                algorithm: cipher.name().to_owned(),
            })
            .map_err(|_| NotSealed)?,
        );
        let lock = to.seal(lock.expose()).map_err(|_| NotSealed)?;
        let message = format!("{}:{}", BASE64.encode(&enciphered), BASE64.encode(&lock));
        let signature = signer
            .sign(hash, message.as_bytes())
            .map_err(|_| NotSealed)?;
        Ok(Self {
            message,
            signature: BASE64.encode(&signature),
        })
    }

    /// Whether the owner of one of these keys signed it with this hash; of which.
    pub(super) fn signed_by(&self, hash: RsaHash, keys: &[RsaPublicKey]) -> Option<usize> {
        let signature = BASE64.decode(self.signature.as_bytes()).ok()?;
        let text = self.message.as_bytes();
        keys.iter()
            .position(|key| key.verify(hash, text, &signature).is_ok())
    }

    /// Opens it with the first of the keys that it is locked to.
    pub(super) fn open(&self, keys: &[RsaKey], accepted: &[Cipher]) -> Result<Opened, NotOpened> {
        if self.message.len() > limits::SEALED {
            return Err(NotOpened::Garbled);
        }
        let (enciphered, lock) = self.message.split_once(':').ok_or(NotOpened::Garbled)?;
        let decode = |text: &str| {
            let decoded = BASE64.decode(text.as_bytes());
            decoded.map_err(|_| NotOpened::Garbled)
        };
        let (enciphered, lock) = (decode(enciphered)?, decode(lock)?);
        // A lock is as long as the modulus that it is for: other keys cost nothing.
        let (at, lock) = keys
            .iter()
            .enumerate()
            .take(limits::KEYS)
            .filter(|(_, key)| key.sealed_length() == lock.len())
            .find_map(|(at, key)| Some((at, key.open(&lock).ok()?)))
            .ok_or(NotOpened::Garbled)?;
        let lock: Lock = read(&lock).ok_or(NotOpened::Garbled)?;
        let named = lock.algorithm.parse::<Cipher>().ok();
        let cipher = named
            .filter(|cipher| accepted.contains(cipher))
            .ok_or_else(|| NotOpened::Cipher(repeatable(&lock.algorithm)))?;
        let key = SecretBytes::from(decode(lock.key.expose())?);
        let iv = decode(&lock.iv)?;
        let text = cipher
            .decrypt(key.expose(), &iv, &enciphered)
            .map_err(|_| NotOpened::Garbled)?;
        Ok(Opened {
            text,
            cipher,
            key: at,
        })
    }
}

/// A name that may be repeated to whoever sent it.
pub(super) fn repeatable(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.".contains(&byte);
    let fine = !name.is_empty() && name.len() <= limits::NAME && name.bytes().all(plain);
    fine.then(|| name.to_owned())
}

/// Reads JSON that was deciphered. Some implementations pad what they encipher in a stream, which a cipher
/// that does not pad leaves there: as many bytes as their value says.
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
    serde_json::from_slice(text).ok()
}

/// Writes JSON to be sealed.
pub(super) fn write<T: Serialize>(message: &T) -> Result<SecretBytes, NotSealed> {
    // No copy of a secret is left behind when the text grows.
    let mut text = Vec::with_capacity(limits::SEALED);
    serde_json::to_writer(&mut text, message).map_err(|_| NotSealed)?;
    Ok(text.into())
}
