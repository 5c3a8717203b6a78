//! The part of the option `delivered-key` that both ends share (`docs/protocol/session.md`,
//! Delivered key): the original dialog, in which the site seals a random key and a session code to
//! the account's certificate.
//!
//! ```text
//! NONCE         random (32)
//! CERTIFICATE   length (2) | certificate | length (2) | encrypted private key
//! SESSION-KEY   HPKE to the certificate's X25519 key of: key (32) | session code (16)
//! SESSION-PROOF derive(session code, "session code", T("session code"))
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::kdf::derive;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::secret::{Secret, SecretBytes};

use super::transcript::Transcript;

/// The length of the client's NONCE in bytes.
pub(crate) const NONCE: usize = 32;
const KEY: usize = 32;
const CODE: usize = 16;

/// The secrets that the site seals to the account's certificate.
pub(crate) struct SessionSecrets {
    pub(crate) key: Secret<KEY>,
    code: Secret<CODE>,
}

impl SessionSecrets {
    pub(crate) fn generate(entropy: &mut dyn Entropy) -> Self {
        Self {
            key: Secret::generate(entropy),
            code: Secret::generate(entropy),
        }
    }

    pub(crate) fn to_bytes(&self) -> SecretBytes {
        SecretBytes::from([&self.key.expose()[..], self.code.expose()].concat())
    }

    pub(crate) fn from_bytes(bytes: &SecretBytes) -> Option<Self> {
        let (key, code) = bytes.expose().split_first_chunk::<KEY>()?;
        Some(Self {
            key: Secret::from_bytes(*key),
            code: Secret::try_from_slice(code)?,
        })
    }

    /// The proof that the session code was decrypted. `transcript` ends before SESSION-PROOF.
    pub(crate) fn proof(&self, transcript: &Transcript) -> Secret<32> {
        derive(
            self.code.expose(),
            "session code",
            &transcript.digest("session code"),
        )
    }
}

/// The HPKE info: a label and the transcript so far.
pub(crate) fn sealing_info(transcript: &Transcript) -> Vec<u8> {
    let digest = transcript.digest("delivered key");
    [&b"countersign/1 delivered-key\0"[..], &digest].concat()
}

/// The value of CERTIFICATE.
pub(crate) fn to_wire(key: &DeliveredKey) -> Vec<u8> {
    let mut wire = Vec::new();
    for part in [key.certificate().der(), key.encrypted_key()] {
        // Each part is at most MAX_DELIVERED bytes.
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        wire.extend_from_slice(&length.to_be_bytes());
        wire.extend_from_slice(part);
    }
    wire
}

/// Parses the value of CERTIFICATE.
pub(crate) fn from_wire(value: &[u8]) -> Option<DeliveredKey> {
    let (certificate, rest) = part(value)?;
    let (key, rest) = part(rest)?;
    if !rest.is_empty() {
        return None;
    }
    DeliveredKey::from_der(certificate, key).ok()
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
