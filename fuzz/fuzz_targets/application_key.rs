//! Keys of applications from any text: party keys, and RSA keys of both kinds and forms.

#![no_main]

use countersign_crypto::party::PartyPublic;
use countersign_crypto::rsa::{RsaKey, RsaPublicKey};
use countersign_crypto::secret::SecretText;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = PartyPublic::from_pem(text);
    let private = RsaKey::from_pem(&SecretText::from(text.to_owned()));
    let public = RsaPublicKey::from_pem(text);
    // What is taken for a public key never holds a private one.
    assert!(private.is_err() || public.is_err());
});
