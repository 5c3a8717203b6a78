//! AEAD ciphers.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;

use crate::provider::{AeadCipher, NONCE, TAG};

/// A key of an AEAD cipher. The caller must not use a nonce twice.
pub(crate) struct AeadKey(Cipher);

/// Boxed, because a key schedule of AES has up to 1 KiB.
enum Cipher {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
    ChaCha(Box<ChaCha20Poly1305>),
}

impl AeadKey {
    /// Creates the key. AES-128 uses the first 16 bytes.
    pub(crate) fn new(cipher: AeadCipher, key: &[u8; 32]) -> Self {
        Self(match cipher {
            AeadCipher::Aes128Gcm => {
                let (first, _) = key.split_at(16);
                let Ok(cipher) = Aes128Gcm::new_from_slice(first) else {
                    // The length is the cipher's own.
                    std::process::abort();
                };
                Cipher::Aes128(Box::new(cipher))
            }
            AeadCipher::Aes256Gcm => Cipher::Aes256(Box::new(Aes256Gcm::new(key.into()))),
            AeadCipher::ChaCha20Poly1305 => {
                Cipher::ChaCha(Box::new(ChaCha20Poly1305::new(key.into())))
            }
        })
    }

    /// Encrypts `text` in place and returns its tag; `None` if it is too long for the cipher.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; TAG]> {
        let (nonce, text) = (&nonce.into(), text.into());
        let tag = match &self.0 {
            Cipher::Aes128(cipher) => cipher.encrypt_inout_detached(nonce, associated, text),
            Cipher::Aes256(cipher) => cipher.encrypt_inout_detached(nonce, associated, text),
            Cipher::ChaCha(cipher) => cipher.encrypt_inout_detached(nonce, associated, text),
        };
        tag.ok().map(Into::into)
    }

    /// Decrypts `sealed`, a ciphertext with its tag, in place; `None` if it was not sealed with this
    /// key, nonce and associated data.
    pub(crate) fn open<'a>(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let (text, tag) = sealed.split_last_chunk_mut::<TAG>()?;
        self.open_detached(nonce, associated, text, tag)
            .then_some(text)
    }

    /// Decrypts `text` with its tag into `out`, which has the same length; `false` as for
    /// [`Self::open`].
    pub(crate) fn open_into(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        (text, tag): (&[u8], &[u8; TAG]),
        out: &mut [u8],
    ) -> bool {
        if text.len() != out.len() {
            return false;
        }
        out.copy_from_slice(text);
        self.open_detached(nonce, associated, out, tag)
    }

    fn open_detached(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG],
    ) -> bool {
        let (nonce, text, tag) = (&nonce.into(), text.into(), &(*tag).into());
        let opened = match &self.0 {
            Cipher::Aes128(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, tag),
            Cipher::Aes256(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, tag),
            Cipher::ChaCha(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, tag),
        };
        opened.is_ok()
    }
}
