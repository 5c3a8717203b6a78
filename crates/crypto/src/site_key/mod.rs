//! The site key: the site's long-term secret, one seed from which its keys are derived.
//!
//! ```text
//! seed ─┬─ "site signing"   ── Ed25519 key ─┬─ SitePublicKey, which clients pin
//!       ├─ "site agreement" ── X25519 key ──┘
//!       └─ "site secret"    ── further secrets of the site, one per label
//! ```

mod public;

use std::fmt;

pub use public::{BadSitePublicKey, SitePublicKey};

use crate::{
    agreement::AgreementKey,
    entropy::Entropy,
    kdf::derive,
    mac::{MacHash, MacKey},
    secret::Secret,
    sign::{Signature, SigningKey},
};

const SIGNING_LABEL: &str = "site signing";
const AGREEMENT_LABEL: &str = "site agreement";
const SECRET_LABEL: &str = "site secret";

/// The 32-byte seed from which a [`SiteKey`] is derived. A party that has it can act as the site.
#[derive(Clone, PartialEq, Eq)]
pub struct SiteSeed(pub Secret<32>);

impl SiteSeed {
    /// The seed of a new site.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Secret::generate(entropy))
    }
}

impl fmt::Debug for SiteSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteSeed(..)")
    }
}

/// An unwrapped site key. While a server has none, its site is sealed.
pub struct SiteKey {
    seed: SiteSeed,
    signing: SigningKey,
    agreement: AgreementKey,
}

impl SiteKey {
    /// Derives the site key from a seed.
    #[must_use]
    pub fn from_seed(seed: SiteSeed) -> Self {
        let bytes = seed.0.expose();
        let signing = SigningKey::from_secret(&derive(bytes, SIGNING_LABEL, &[]));
        let agreement = AgreementKey::from_secret(derive(bytes, AGREEMENT_LABEL, &[]));
        Self {
            seed,
            signing,
            agreement,
        }
    }

    /// The public keys, by which clients identify the site.
    #[must_use]
    pub fn public(&self) -> SitePublicKey {
        SitePublicKey {
            signing: self.signing.verifying(),
            agreement: *self.agreement.public(),
        }
    }

    /// The key that signs for the site.
    #[must_use]
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Signs `message`; [`SitePublicKey::signing`] verifies it. The message has to contain its
    /// purpose, so that the signature cannot be used for another one.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.signing.sign(message)
    }

    /// The key-agreement key for handshakes.
    #[must_use]
    pub fn agreement(&self) -> &AgreementKey {
        &self.agreement
    }

    /// Derives a secret of the site with this label. It is not stored: it can be derived again
    /// whenever the site key is unwrapped. Secrets with different labels are independent.
    #[must_use]
    pub fn derive<const N: usize>(&self, label: &str) -> Secret<N> {
        derive(self.seed.0.expose(), SECRET_LABEL, label.as_bytes())
    }

    /// Derives a MAC key with this label, as [`SiteKey::derive`] does. The site uses it to
    /// authenticate values that it issues and later receives back.
    #[must_use]
    pub fn mac_key(&self, label: &str) -> MacKey {
        MacKey::new(MacHash::Sha256, self.derive::<32>(label).expose())
    }

    /// The seed, for the slots that wrap it.
    pub(crate) fn seed(&self) -> &SiteSeed {
        &self.seed
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteKey({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, IdentitySeed};

    fn site(byte: u8) -> SiteKey {
        SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
    }

    #[test]
    fn a_seed_determines_its_site_key() {
        assert_eq!(site(1).public(), site(1).public());
        assert_ne!(site(1).public(), site(2).public());
        assert_eq!(site(1).derive::<32>("a"), site(1).derive::<32>("a"));
        assert_ne!(site(1).derive::<32>("a"), site(2).derive::<32>("a"));
        assert_ne!(site(1).derive::<32>("a"), site(1).derive::<32>("b"));
        let code = site(1).mac_key("a").authenticate(b"message");
        assert_eq!(site(1).mac_key("a").verify(b"message", &code), Ok(()));
        assert!(site(1).mac_key("b").verify(b"message", &code).is_err());
        assert!(site(2).mac_key("a").verify(b"message", &code).is_err());
    }

    #[test]
    fn the_public_key_contains_both_public_keys() {
        let site = site(1);
        let public = site.public();
        let signature = site.sign(b"message");
        assert_eq!(public.signing.verify(b"message", &signature), Ok(()));
        assert_eq!(signature, site.signing().sign(b"message"));
        assert_eq!(&public.agreement, site.agreement().public());
    }

    #[test]
    fn an_identity_with_the_same_seed_has_different_keys() {
        let seed = Secret::from_bytes([1; 32]);
        let identity = Identity::from_seed(IdentitySeed(seed.clone()));
        let public = SiteKey::from_seed(SiteSeed(seed)).public();
        assert_ne!(identity.certificate().signing(), public.signing);
        assert_ne!(identity.certificate().agreement(), public.agreement);
    }

    #[test]
    fn a_site_key_prints_only_its_public_key() {
        let site = site(1);
        let shown = format!("{site:?} {:?}", site.seed());
        assert_eq!(shown, format!("SiteKey({}) SiteSeed(..)", site.public()));
    }
}
