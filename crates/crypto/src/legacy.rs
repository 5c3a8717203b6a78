//! Ciphers that do not authenticate: AES in the modes of NIST SP 800-38A. Whoever changes what they made
//! changes what comes out. For the Serveros protocol, which has nothing else, and there for nothing that
//! was not signed.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey,
    EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;

use crate::secret::SecretBytes;

/// The length of an initialization vector, in bytes: a block, in every mode.
pub const IV_LENGTH: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mode {
    /// With PKCS #7 padding.
    Cbc,
    /// The whole vector is the first counter block, and counts as one number.
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

/// A cipher under the name that OpenSSL gives it, which is its name on the wire.
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
    /// All of them, those first that every other implementation knows. Some have two names, and whoever
    /// knows one of the two need not know the other.
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

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The length of its key, in bytes.
    #[must_use]
    pub const fn key_length(self) -> usize {
        match self.size {
            Size::Aes128 => 16,
            Size::Aes192 => 24,
            Size::Aes256 => 32,
        }
    }

    fn key(self, key: &[u8]) -> Result<UnboundCipherKey, CipherFailed> {
        let algorithm: &'static Algorithm = match self.size {
            Size::Aes128 => &AES_128,
            Size::Aes192 => &AES_192,
            Size::Aes256 => &AES_256,
        };
        UnboundCipherKey::new(algorithm, key).map_err(|_| CipherFailed)
    }

    /// Enciphers. The same key and vector must never be used for another text.
    ///
    /// # Errors
    /// [`CipherFailed`] for a key or vector of another length.
    pub fn encipher(self, key: &[u8], iv: &[u8], text: &[u8]) -> Result<Vec<u8>, CipherFailed> {
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
        done.map(|_| text).map_err(|_| CipherFailed)
    }

    /// Deciphers.
    ///
    /// # Errors
    /// [`CipherFailed`] for a key or vector of another length, and for padding that is not what it should
    /// be: callers must answer that as they answer a text that makes no sense.
    pub fn decipher(
        self,
        key: &[u8],
        iv: &[u8],
        enciphered: &[u8],
    ) -> Result<SecretBytes, CipherFailed> {
        let context = DecryptionContext::Iv128(vector(iv)?);
        let key = self.key(key)?;
        let mut text = enciphered.to_vec();
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
        text.truncate(length.map_err(|_| CipherFailed)?);
        Ok(text.into())
    }
}

fn vector(iv: &[u8]) -> Result<FixedLength<IV_LENGTH>, CipherFailed> {
    FixedLength::try_from(iv).map_err(|_| CipherFailed)
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

/// No cipher of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphers are aes-{{128,192,256}}-{{cbc,ctr,cfb,ofb}}, aes128, aes192 and aes256")]
pub struct UnknownCipher;

/// The key, the vector or the padding is not what this cipher wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not enciphered like this")]
pub struct CipherFailed;

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use serde_json::Value;

    use super::*;

    fn bytes(value: &Value) -> Vec<u8> {
        BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap()
    }

    /// What the reference implementation made.
    #[test]
    fn recorded_texts_are_enciphered_and_deciphered() {
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
            let enciphered = cipher.encipher(&bytes(key), &bytes(iv), text);
            assert_eq!(enciphered.unwrap(), made, "{name}");
            let deciphered = cipher.decipher(&bytes(key), &bytes(iv), &made).unwrap();
            assert_eq!(deciphered.expose(), text, "{name}");
        }
        assert_eq!(known, 11);
    }

    #[test]
    fn every_cipher_reads_what_it_wrote_and_refuses_other_lengths() {
        for cipher in Cipher::ALL {
            let key = vec![7; cipher.key_length()];
            for length in [0, 1, 15, 16, 17, 1_000] {
                let text = vec![3; length];
                let enciphered = cipher.encipher(&key, &[1; 16], &text).unwrap();
                let again = cipher.decipher(&key, &[1; 16], &enciphered).unwrap();
                assert_eq!(again.expose(), text, "{cipher}");
            }
            assert_eq!(
                cipher.encipher(&key[1..], &[1; 16], b"text"),
                Err(CipherFailed)
            );
            assert_eq!(cipher.encipher(&key, &[1; 15], b"text"), Err(CipherFailed));
            assert!(cipher.decipher(&key, &[1; 17], &[0; 16]).is_err());
        }
    }

    #[test]
    fn what_is_no_whole_number_of_blocks_or_wrongly_padded_is_refused() {
        let cipher: Cipher = "aes-256-cbc".parse().unwrap();
        for enciphered in [&[][..], &[0; 15], &[0; 17], &[0; 32]] {
            assert!(cipher.decipher(&[7; 32], &[1; 16], enciphered).is_err());
        }
    }
}
