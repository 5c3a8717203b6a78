//! Parses a key file from any text, with and without a pass phrase.

#![no_main]

use std::sync::LazyLock;

use countersign_crypto::key_file::{KeyFileError, read_identity};
use countersign_crypto::secret::Passphrase;
use libfuzzer_sys::fuzz_target;

static PASSPHRASE: LazyLock<Passphrase> =
    LazyLock::new(|| Passphrase::from(String::from("correct horse battery staple")));

fuzz_target!(|text: &str| {
    // The key stretching function costs some 100 ms, so it runs only if the file needs it.
    if let Err(KeyFileError::NeedsPassphrase) = read_identity(text, None) {
        let _ = read_identity(text, Some(&PASSPHRASE));
    }
});
