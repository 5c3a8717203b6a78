//! Proof tokens: values that only a verifier can make. A session cannot be built without one, so
//! code that forgets to verify does not compile.

use countersign_crypto::secret::Secret;

/// The client authenticated with the account's pass phrase (OPAQUE KE3 was verified).
#[derive(Debug)]
pub struct PassphraseProof(());

/// The client authenticated with the private key of a registered certificate: it decrypted data
/// sealed to the certificate, or its Noise handshake used the certificate's key.
#[derive(Debug)]
pub struct KeyProof(());

/// The client authenticated as the owner of the session that it resumes (RESUME was verified).
#[derive(Debug)]
pub struct SessionProof(());

/// The server authenticated with the pinned site key.
#[derive(Debug)]
pub struct SiteProof(());

impl PassphraseProof {
    pub(super) fn by_ke3(_: &Secret<64>) -> Self {
        Self(())
    }
}

impl KeyProof {
    /// Option `delivered-key`: only the key's owner can decrypt the session code.
    pub(super) fn by_session_code(received: &Secret<32>, expected: &Secret<32>) -> Option<Self> {
        (received == expected).then_some(Self(()))
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
        transcript: &[u8; 32],
        signature: &countersign_crypto::sign::Signature,
    ) -> Option<Self> {
        site.signing
            .verify(transcript, signature)
            .ok()
            .map(|()| Self(()))
    }

    pub(super) fn by_handshake(_: &countersign_crypto::noise::HandshakeKeys) -> Self {
        Self(())
    }
}
