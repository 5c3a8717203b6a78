//! Parses application keys from any text: party keys, and public and private RSA keys in both
//! formats.

use countersign_crypto::party::PartyPublic;
use countersign_crypto::rsa::{RsaKey, RsaPublicKey};
use countersign_crypto::secret::SecretText;

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    let _ = PartyPublic::from_pem(text);
    let private = RsaKey::from_pem(&SecretText::from(text.to_owned()));
    let public = RsaPublicKey::from_pem(text);
    // A parsed public key never contains a private one.
    assert!(private.is_err() || public.is_err());
}
