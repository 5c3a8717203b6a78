//! The data that a fresh proof within a session covers (`docs/protocol/operations.md`, Fresh
//! proofs). Both ends compute it independently.

use countersign_crypto::passphrase::LoginSuite;

use super::SessionId;
use crate::site_identity::SiteId;

/// The login suite of a proof by pass phrase. It does not depend on the session's encryption
/// option.
pub const SUITE: LoginSuite = LoginSuite::Hybrid;

/// The OPAQUE context of a proof by pass phrase.
#[must_use]
pub fn passphrase_context(session: &SessionId) -> Vec<u8> {
    [b"countersign/1 fresh proof\0", &session.0[..]].concat()
}

/// The message that a proof by key signs.
#[must_use]
pub fn key_message(site: &SiteId, session: &SessionId, challenge: &[u8; 32]) -> Vec<u8> {
    [
        b"countersign/1 fresh proof by key\0",
        &site.0[..],
        &session.0,
        challenge,
    ]
    .concat()
}
