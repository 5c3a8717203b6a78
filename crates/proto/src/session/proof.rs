//! Proof tokens: values that only a verifier can make. A session cannot be built without one, so code
//! that forgot to verify does not compile.

use countersign_crypto::secret::Secret;

/// The client proved the account's pass phrase (OPAQUE KE3 verified).
#[derive(Debug)]
pub struct PassphraseProof(());

/// The client proved the private key of a registered certificate (Noise message 1 opened, and the key
/// in it is the certificate's; or it decrypted what was sealed to the certificate).
#[derive(Debug)]
pub struct KeyProof(());

/// The client proved that it is the one that had the session (RESUME verified).
#[derive(Debug)]
pub struct SessionProof(());

/// The other end proved that it holds the pinned site key.
#[derive(Debug)]
pub struct SiteProof(());

impl PassphraseProof {
    pub(super) fn by_ke3(_: &Secret<64>) -> Self {
        Self(())
    }
}

impl KeyProof {
    /// Of the option `delivered-key`: only the key's owner could decrypt the code that gives the proof.
    pub(super) fn by_session_code(told: &Secret<32>, expected: &Secret<32>) -> Option<Self> {
        (told == expected).then_some(Self(()))
    }

    pub(super) fn by_handshake(
        registered: &countersign_crypto::agreement::AgreementPublic,
        proved: &countersign_crypto::agreement::AgreementPublic,
    ) -> Option<Self> {
        (registered == proved).then_some(Self(()))
    }
}

impl SessionProof {
    pub(super) fn by_resumption(_: &super::keys::ResumptionSecret) -> Self {
        Self(())
    }
}

impl SiteProof {
    pub(super) fn by_signature(
        site: &countersign_crypto::site_key::SitePublicKey,
        said: &[u8; 32],
        signature: &countersign_crypto::sign::Signature,
    ) -> Option<Self> {
        site.signing.verify(said, signature).ok().map(|()| Self(()))
    }

    pub(super) fn by_handshake(_: &countersign_crypto::noise::HandshakeKeys) -> Self {
        Self(())
    }
}
