//! Unauthenticated ciphers: AES in the modes of NIST SP 800-38A. An attacker can change a
//! ciphertext and so the plaintext. They are only for the Serveros protocol, which has no others,
//! and only for signed messages.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey,
    EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;

use crate::secret::SecretBytes;

/// The length of an initialization vector, in bytes: one block in every mode.
pub const IV_LENGTH: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mode {
    /// With PKCS #7 padding.
    Cbc,
    /// The complete vector is the first counter block and is incremented as one number.
    Ctr,
    /// Feedback of whole blocks.
    Cfb,
    Ofb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Size {
    Aes128,
    Aes192,
    Aes256,
}

/// A cipher with its name in OpenSSL, which is also its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cipher {
    name: &'static str,
    size: Size,
    mode: Mode,
}

const fn cipher(name: &'static str, size: Size, mode: Mode) -> Cipher {
    Cipher { name, size, mode }
}

impl Cipher {
    /// All ciphers, those first that every implementation supports. Some ciphers have two names, of
    /// which a peer may support only one.
    pub const ALL: [Self; 15] = [
        cipher("aes-256-cbc", Size::Aes256, Mode::Cbc),
        cipher("aes-192-cbc", Size::Aes192, Mode::Cbc),
        cipher("aes-128-cbc", Size::Aes128, Mode::Cbc),
        cipher("aes256", Size::Aes256, Mode::Cbc),
        cipher("aes192", Size::Aes192, Mode::Cbc),
        cipher("aes128", Size::Aes128, Mode::Cbc),
        cipher("aes-256-ctr", Size::Aes256, Mode::Ctr),
        cipher("aes-192-ctr", Size::Aes192, Mode::Ctr),
        cipher("aes-128-ctr", Size::Aes128, Mode::Ctr),
        cipher("aes-256-cfb", Size::Aes256, Mode::Cfb),
        cipher("aes-192-cfb", Size::Aes192, Mode::Cfb),
        cipher("aes-128-cfb", Size::Aes128, Mode::Cfb),
        cipher("aes-256-ofb", Size::Aes256, Mode::Ofb),
        cipher("aes-192-ofb", Size::Aes192, Mode::Ofb),
        cipher("aes-128-ofb", Size::Aes128, Mode::Ofb),
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The key length, in bytes.
    #[must_use]
    pub const fn key_length(self) -> usize {
        match self.size {
            Size::Aes128 => 16,
            Size::Aes192 => 24,
            Size::Aes256 => 32,
        }
    }

    fn key(self, key: &[u8]) -> Result<UnboundCipherKey, CipherError> {
        let algorithm: &'static Algorithm = match self.size {
            Size::Aes128 => &AES_128,
            Size::Aes192 => &AES_192,
            Size::Aes256 => &AES_256,
        };
        UnboundCipherKey::new(algorithm, key).map_err(|_| CipherError)
    }

    /// Encrypts a text. The same key and vector must not be used for another text.
    ///
    /// # Errors
    /// [`CipherError`] if key or vector have a wrong length.
    pub fn encrypt(self, key: &[u8], iv: &[u8], text: &[u8]) -> Result<Vec<u8>, CipherError> {
        let context = EncryptionContext::Iv128(vector(iv)?);
        let key = self.key(key)?;
        let mut text = text.to_vec();
        let done =
            match self.mode {
                Mode::Cbc => PaddedBlockEncryptingKey::cbc_pkcs7(key)
                    .and_then(|key| key.less_safe_encrypt(&mut text, context)),
                Mode::Ctr => EncryptingKey::ctr(key)
                    .and_then(|key| key.less_safe_encrypt(&mut text, context)),
                Mode::Cfb => EncryptingKey::cfb128(key)
                    .and_then(|key| key.less_safe_encrypt(&mut text, context)),
                Mode::Ofb => EncryptingKey::ofb(key)
                    .and_then(|key| key.less_safe_encrypt(&mut text, context)),
            };
        done.map(|_| text).map_err(|_| CipherError)
    }

    /// Decrypts a ciphertext.
    ///
    /// # Errors
    /// [`CipherError`] if key or vector have a wrong length, or the padding is wrong. Callers must
    /// respond to wrong padding in the same way as to an invalid plaintext.
    pub fn decrypt(
        self,
        key: &[u8],
        iv: &[u8],
        encrypted: &[u8],
    ) -> Result<SecretBytes, CipherError> {
        let context = DecryptionContext::Iv128(vector(iv)?);
        let key = self.key(key)?;
        let mut text = encrypted.to_vec();
        let length =
            match self.mode {
                Mode::Cbc => PaddedBlockDecryptingKey::cbc_pkcs7(key)
                    .and_then(|key| Ok(key.decrypt(&mut text, context)?.len())),
                Mode::Ctr => DecryptingKey::ctr(key)
                    .and_then(|key| Ok(key.decrypt(&mut text, context)?.len())),
                Mode::Cfb => DecryptingKey::cfb128(key)
                    .and_then(|key| Ok(key.decrypt(&mut text, context)?.len())),
                Mode::Ofb => DecryptingKey::ofb(key)
                    .and_then(|key| Ok(key.decrypt(&mut text, context)?.len())),
            };
        text.truncate(length.map_err(|_| CipherError)?);
        Ok(text.into())
    }
}

fn vector(iv: &[u8]) -> Result<FixedLength<IV_LENGTH>, CipherError> {
    FixedLength::try_from(iv).map_err(|_| CipherError)
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Cipher {
    type Err = UnknownCipher;

    fn from_str(name: &str) -> Result<Self, UnknownCipher> {
        let known = Self::ALL.into_iter().find(|cipher| cipher.name == name);
        known.ok_or(UnknownCipher)
    }
}

/// The cipher name is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphers are aes-{{128,192,256}}-{{cbc,ctr,cfb,ofb}}, aes128, aes192 and aes256")]
pub struct UnknownCipher;

/// The length of key or vector, or the padding, is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text cannot be encrypted or decrypted with this cipher and key")]
pub struct CipherError;

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use serde_json::Value;

    use super::*;

    fn bytes(value: &Value) -> Vec<u8> {
        BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap()
    }

    /// Texts that the reference implementation encrypted.
    #[test]
    fn recorded_texts_are_encrypted_and_decrypted() {
        let recorded = include_str!("../../../vectors/serveros/primitives.json");
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        let mut known = 0;
        for case in recorded["ciphers"].as_array().unwrap() {
            let name = case["cipher"].as_str().unwrap();
            let Ok(cipher) = name.parse::<Cipher>() else {
                let closed = ["camellia", "-cfb8", "-cfb1"];
                assert!(closed.iter().any(|part| name.contains(part)), "{name}");
                continue;
            };
            known += 1;
            let (key, iv, made) = (&case["key"], &case["iv"], bytes(&case["ciphertext"]));
            let text = case["plaintext"].as_str().unwrap().as_bytes();
            assert_eq!(cipher.name(), name);
            assert_eq!(cipher.key_length(), bytes(key).len(), "{name}");
            let encrypted = cipher.encrypt(&bytes(key), &bytes(iv), text);
            assert_eq!(encrypted.unwrap(), made, "{name}");
            let decrypted = cipher.decrypt(&bytes(key), &bytes(iv), &made).unwrap();
            assert_eq!(decrypted.expose(), text, "{name}");
        }
        assert_eq!(known, 11);
    }

    #[test]
    fn every_cipher_decrypts_what_it_encrypted_and_rejects_other_lengths() {
        for cipher in Cipher::ALL {
            let key = vec![7; cipher.key_length()];
            for length in [0, 1, 15, 16, 17, 1_000] {
                let text = vec![3; length];
                let encrypted = cipher.encrypt(&key, &[1; 16], &text).unwrap();
                let again = cipher.decrypt(&key, &[1; 16], &encrypted).unwrap();
                assert_eq!(again.expose(), text, "{cipher}");
            }
            assert_eq!(
                cipher.encrypt(&key[1..], &[1; 16], b"text"),
                Err(CipherError)
            );
            assert_eq!(cipher.encrypt(&key, &[1; 15], b"text"), Err(CipherError));
            assert!(cipher.decrypt(&key, &[1; 17], &[0; 16]).is_err());
        }
    }

    #[test]
    fn a_partial_block_or_wrong_padding_is_rejected() {
        let cipher: Cipher = "aes-256-cbc".parse().unwrap();
        for encrypted in [&[][..], &[0; 15], &[0; 17], &[0; 32]] {
            assert!(cipher.decrypt(&[7; 32], &[1; 16], encrypted).is_err());
        }
    }
}
