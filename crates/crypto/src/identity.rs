//! Identities: the private keys of an account or device, derived from one seed that is never sent.
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

/// The 32-byte seed from which an [`Identity`] is derived. A party that has it can act as the
/// identity.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentitySeed(pub Secret<32>);

impl fmt::Debug for IdentitySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentitySeed(..)")
    }
}

/// An identity: private keys and certificate.
pub struct Identity {
    seed: IdentitySeed,
    signing: SigningKey,
    agreement: AgreementKey,
    certificate: Certificate,
}

impl Identity {
    /// Derives the identity from a seed.
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

    /// Generates a new identity.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self::from_seed(IdentitySeed(Secret::generate(entropy)))
    }

    /// The certificate, which the site stores.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs `message`; [`Certificate::signing`] verifies it. The message has to contain its
    /// purpose, so that the signature cannot be used for another one.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.signing.sign(message)
    }

    /// The key-agreement key for handshakes; [`Certificate::agreement`] is its public key.
    #[must_use]
    pub fn agreement(&self) -> &AgreementKey {
        &self.agreement
    }

    /// The seed, which has to be stored sealed.
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

/// The Ed25519 private key that is derived from this seed, in the form of other tools.
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
    fn a_seed_determines_its_identity() {
        assert_eq!(identity(1).certificate(), identity(1).certificate());
        assert_ne!(identity(1).certificate(), identity(2).certificate());
    }

    #[test]
    fn the_certificate_contains_both_public_keys() {
        let identity = identity(1);
        let signature = identity.sign(b"message");
        let certificate = identity.certificate();
        assert_eq!(certificate.signing().verify(b"message", &signature), Ok(()));
        assert_eq!(&certificate.agreement(), identity.agreement().public());
    }

    #[test]
    fn an_identity_prints_only_its_thumbprint() {
        let identity = identity(1);
        let shown = format!("{identity:?} {:?}", identity.seed());
        let thumbprint = identity.certificate().thumbprint();
        assert_eq!(shown, format!("Identity({thumbprint}) IdentitySeed(..)"));
    }
}
