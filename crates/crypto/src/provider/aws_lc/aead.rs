//! AEAD ciphers.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

use crate::provider::{AeadCipher, NONCE, TAG};

/// A key of an AEAD cipher. The caller must not use a nonce twice.
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Creates the key. AES-128 uses the first 16 bytes.
    pub(crate) fn new(cipher: AeadCipher, key: &[u8; 32]) -> Self {
        let algorithm = match cipher {
            AeadCipher::Aes128Gcm => &AES_128_GCM,
            AeadCipher::Aes256Gcm => &AES_256_GCM,
            AeadCipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let bytes = key.get(..algorithm.key_len()).unwrap_or_default();
        let Ok(key) = UnboundKey::new(algorithm, bytes) else {
            // The length is the algorithm's own; only exhausted memory leads here.
            std::process::abort();
        };
        Self(LessSafeKey::new(key))
    }

    /// Encrypts `text` in place and returns its tag; `None` if it is too long for the cipher.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; TAG]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(associated), text);
        tag.ok()?.as_ref().try_into().ok()
    }

    /// Decrypts `sealed`, a ciphertext with its tag, in place; `None` if it was not sealed with this
    /// key, nonce and associated data.
    pub(crate) fn open<'a>(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(associated), sealed);
        opened.ok()
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
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0
            .open_separate_gather(nonce, Aad::from(associated), text, tag, out)
            .is_ok()
    }
}
