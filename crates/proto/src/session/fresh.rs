//! What a fresh proof within a session covers (`docs/protocol/operations.md`, Fresh proofs): both ends
//! write it down for themselves.

use countersign_crypto::passphrase::LoginSuite;
use countersign_crypto::site_key::SitePublicKey;

use super::SessionId;

/// The suite of a proof with a pass phrase, whatever the session's encryption option is.
pub const SUITE: LoginSuite = LoginSuite::Hybrid;

/// OPAQUE's context of a proof with a pass phrase.
#[must_use]
pub fn passphrase_context(session: &SessionId) -> Vec<u8> {
    [b"countersign/1 fresh proof\0", &session.0[..]].concat()
}

/// What is signed for a proof with a key.
#[must_use]
pub fn key_message(site: &SitePublicKey, session: &SessionId, challenge: &[u8; 32]) -> Vec<u8> {
    [
        b"countersign/1 fresh proof by key\0",
        &site.to_bytes()[..],
        &session.0,
        challenge,
    ]
    .concat()
}
