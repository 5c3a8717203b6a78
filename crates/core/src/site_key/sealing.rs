//! Sealed secrets: `salt (16) ‖ ciphertext ‖ tag (16)`, with AES-256-GCM. The key is derived from a
//! secret with a label and then with the salt, so that every sealing uses a new key.

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::kdf;
use countersign_crypto::record::{Opener, RecordCipher, Sealer};
use countersign_crypto::secret::{Secret, SecretBytes};

const SALT: usize = 16;

/// Seals `text` under a secret that was derived with `label`.
pub(super) fn seal(
    secret: &Secret<32>,
    label: &str,
    text: &[u8],
    entropy: &mut dyn Entropy,
) -> Vec<u8> {
    let salt: [u8; SALT] = fresh(entropy);
    // Encrypts in place, so that no copy of the plaintext remains.
    let mut text = text.to_vec();
    let sealed = Sealer::new(RecordCipher::Aes256Gcm, &salted(secret, label, &salt))
        .seal_in_place(label.as_bytes(), &mut text);
    let Ok(tag) = sealed else {
        // Cannot fail: the key is new and the text is a few kilobytes.
        std::process::abort();
    };
    [&salt[..], &text, &tag].concat()
}

/// Opens what [`seal`] sealed; `None` if it was changed or sealed under another secret.
pub(super) fn open(secret: &Secret<32>, label: &str, sealed: &[u8]) -> Option<SecretBytes> {
    let (salt, text) = sealed.split_first_chunk::<SALT>()?;
    let mut text = text.to_vec();
    let opened = Opener::new(RecordCipher::Aes256Gcm, &salted(secret, label, salt))
        .open_in_place(label.as_bytes(), &mut text)
        .ok()
        .map(|plain| SecretBytes::from(plain.to_vec()));
    // Dropping it as `SecretBytes` zeroizes it.
    drop(SecretBytes::from(text));
    opened
}

fn salted(secret: &Secret<32>, label: &str, salt: &[u8; SALT]) -> Secret<32> {
    kdf::derive(secret.expose(), label, salt)
}
