//! Parses a key file from any text, with and without a pass phrase.

use std::sync::LazyLock;

use countersign_crypto::key_file::{KeyFileError, read_identity};
use countersign_crypto::secret::Passphrase;

use super::text;

static PASSPHRASE: LazyLock<Passphrase> =
    LazyLock::new(|| Passphrase::from(String::from("correct horse battery staple")));

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    // The key stretching function costs some 100 ms, so it runs only if the file needs it.
    if let Err(KeyFileError::NeedsPassphrase) = read_identity(text, None) {
        let _ = read_identity(text, Some(&PASSPHRASE));
    }
}
