//! Records: one AEAD key a direction and a counter for a nonce.
//!
//! The nonce is 4 zero bytes and the packet's number, 8 bytes big-endian: a key never seals two packets
//! under one nonce, and a packet opens only as the number that it was sealed as.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

use crate::secret::Secret;

/// The length of a tag in bytes, for every cipher here.
pub const TAG_LENGTH: usize = 16;

/// How many packets one key seals or opens. For AES-GCM with packets of up to 1 MiB this keeps an
/// attacker's advantage under 2^-50 (RFC 8446, section 5.5 reasons the same way); the same limit serves
/// ChaCha20-Poly1305, which would allow more.
pub const MOST_PACKETS: u64 = 1 << 24;

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
    /// The key has done its [`MOST_PACKETS`].
    #[error("this key has done all the packets that it may")]
    Exhausted,
    /// The packet is not the one that was sealed under this number.
    #[error("the packet was changed, repeated or moved")]
    Forged,
}

struct Counted {
    key: LessSafeKey,
    next: u64,
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
            next: 0,
        }
    }

    fn nonce(&self) -> Result<Nonce, RecordError> {
        if self.next >= MOST_PACKETS {
            return Err(RecordError::Exhausted);
        }
        let mut nonce = [0; 12];
        if let Some(number) = nonce.last_chunk_mut::<8>() {
            *number = self.next.to_be_bytes();
        }
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Seals the packets of one direction.
pub struct Sealer(Counted);

impl Sealer {
    /// Seals with this key, from packet 0 on. AES-128 takes the first half of the key.
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
        let nonce = self.0.nonce()?;
        self.0.next += 1;
        let tag = self
            .0
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(associated), packet);
        tag.ok()
            .and_then(|tag| tag.as_ref().try_into().ok())
            .ok_or(RecordError::Exhausted)
    }
}

/// Opens the packets of one direction.
pub struct Opener(Counted);

impl Opener {
    /// Opens with this key, from packet 0 on.
    #[must_use]
    pub fn new(cipher: RecordCipher, key: &Secret<32>) -> Self {
        Self(Counted::new(cipher, key))
    }

    /// Opens `packet` (ciphertext and tag) in place and returns the plaintext in it.
    ///
    /// # Errors
    /// [`RecordError::Forged`]: `packet` holds no plaintext, and the stream is not to be trusted any more.
    pub fn open_in_place<'a>(
        &mut self,
        associated: &[u8],
        packet: &'a mut [u8],
    ) -> Result<&'a mut [u8], RecordError> {
        let nonce = self.0.nonce()?;
        let opened = self
            .0
            .key
            .open_in_place(nonce, Aad::from(associated), packet)
            .map_err(|_| RecordError::Forged)?;
        self.0.next += 1;
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CIPHERS: [RecordCipher; 3] = [
        RecordCipher::Aes256Gcm,
        RecordCipher::Aes128Gcm,
        RecordCipher::ChaCha20Poly1305,
    ];

    fn sealed(sealer: &mut Sealer, text: &[u8]) -> Vec<u8> {
        let mut packet = text.to_vec();
        let tag = sealer.seal_in_place(b"head", &mut packet).unwrap();
        packet.extend_from_slice(&tag);
        packet
    }

    #[test]
    fn packets_open_in_their_order_and_no_other() {
        let key = Secret::from_bytes([1; 32]);
        for cipher in CIPHERS {
            let mut sealer = Sealer::new(cipher, &key);
            let [first, second] = [&b"first"[..], b"second"].map(|text| sealed(&mut sealer, text));
            let mut opener = Opener::new(cipher, &key);
            assert_eq!(
                opener.open_in_place(b"head", &mut second.clone()),
                Err(RecordError::Forged)
            );
            assert_eq!(
                opener.open_in_place(b"head", &mut first.clone()).unwrap(),
                b"first"
            );
            assert_eq!(
                opener.open_in_place(b"head", &mut first.clone()),
                Err(RecordError::Forged)
            );
            assert_eq!(
                opener.open_in_place(b"head", &mut second.clone()).unwrap(),
                b"second"
            );
        }
    }

    #[test]
    fn a_key_does_its_packets_and_not_one_more() {
        let mut sealer = Sealer::new(RecordCipher::Aes256Gcm, &Secret::from_bytes([1; 32]));
        sealer.0.next = MOST_PACKETS - 1;
        assert!(sealer.seal_in_place(b"", &mut []).is_ok());
        assert_eq!(
            sealer.seal_in_place(b"", &mut []),
            Err(RecordError::Exhausted)
        );
    }

    proptest! {
        #[test]
        fn a_changed_packet_is_refused(text in proptest::collection::vec(any::<u8>(), 0..64), at: usize, bit in 0..8u32) {
            let key = Secret::from_bytes([1; 32]);
            for cipher in CIPHERS {
                let mut packet = sealed(&mut Sealer::new(cipher, &key), &text);
                let at = at % packet.len();
                packet[at] ^= 1u8 << bit;
                let opened = Opener::new(cipher, &key).open_in_place(b"head", &mut packet).map(|_| ());
                prop_assert_eq!(opened, Err(RecordError::Forged));
            }
        }
    }
}
