//! An account's or a device's own keys, all derived from one seed that never leaves its side.
//!
//! ```text
//! seed ── "identity signing"   ── Ed25519 key ─┬─ certificate ── thumbprint
//!      └─ "identity agreement" ── X25519 key ──┘
//! ```

use std::fmt;

use crate::{
    agreement::AgreementKey,
    certificate::Certificate,
    entropy::Entropy,
    kdf::derive,
    secret::Secret,
    sign::{Signature, SigningKey},
};

const SIGNING_LABEL: &str = "identity signing";
const AGREEMENT_LABEL: &str = "identity agreement";

/// The 32 bytes from which an [`Identity`] follows. Whoever has them is that identity.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentitySeed(pub Secret<32>);

impl fmt::Debug for IdentitySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentitySeed(..)")
    }
}

/// An identity: its keys, ready for use, and its certificate.
pub struct Identity {
    seed: IdentitySeed,
    signing: SigningKey,
    agreement: AgreementKey,
    certificate: Certificate,
}

impl Identity {
    /// The identity of this seed, always the same.
    #[must_use]
    pub fn from_seed(seed: IdentitySeed) -> Self {
        let signing = SigningKey::from_secret(&signing_secret(&seed));
        let agreement = AgreementKey::from_secret(derive(seed.0.expose(), AGREEMENT_LABEL, &[]));
        let certificate = Certificate::issue(&signing, *agreement.public());
        Self {
            seed,
            signing,
            agreement,
            certificate,
        }
    }

    /// A new identity.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self::from_seed(IdentitySeed(Secret::generate(entropy)))
    }

    /// The public half, which the site stores.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs `message`; [`Certificate::signing`] checks it. Say in the message what it is for, so
    /// that no signature can be used for another purpose.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.signing.sign(message)
    }

    /// The key for handshakes; [`Certificate::agreement`] is its public half.
    #[must_use]
    pub fn agreement(&self) -> &AgreementKey {
        &self.agreement
    }

    /// The seed, to be stored sealed.
    #[must_use]
    pub fn seed(&self) -> &IdentitySeed {
        &self.seed
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.certificate.thumbprint())
    }
}

/// The Ed25519 private key of this seed, as other tools know it.
pub(crate) fn signing_secret(seed: &IdentitySeed) -> Secret<32> {
    derive(seed.0.expose(), SIGNING_LABEL, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(byte: u8) -> Identity {
        Identity::from_seed(IdentitySeed(Secret::from_bytes([byte; 32])))
    }

    #[test]
    fn one_seed_gives_one_identity_and_another_seed_another() {
        assert_eq!(identity(1).certificate(), identity(1).certificate());
        assert_ne!(identity(1).certificate(), identity(2).certificate());
    }

    #[test]
    fn the_certificate_carries_the_public_halves() {
        let identity = identity(1);
        let signature = identity.sign(b"message");
        let certificate = identity.certificate();
        assert_eq!(certificate.signing().verify(b"message", &signature), Ok(()));
        assert_eq!(&certificate.agreement(), identity.agreement().public());
    }

    #[test]
    fn an_identity_prints_its_thumbprint_alone() {
        let identity = identity(1);
        let shown = format!("{identity:?} {:?}", identity.seed());
        let thumbprint = identity.certificate().thumbprint();
        assert_eq!(shown, format!("Identity({thumbprint}) IdentitySeed(..)"));
    }
}
