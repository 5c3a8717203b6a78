//! The root secret of a site: the secret that a new site key does not change.
//!
//! ```text
//! site key ── seals ── root secret ─┬─ derive, mac_key: secrets that are not stored
//!                                   └─ seal: secrets in the store
//! ```
//!
//! A new site key seals the same root secret again. So everything that is derived from it or sealed
//! under it stays valid, and nothing else is encrypted again.

use std::fmt;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::kdf;
use countersign_crypto::mac::{MacHash, MacKey};
use countersign_crypto::secret::{Secret, SecretBytes};
use countersign_crypto::site_key::SiteKey;

use super::sealing;

const LABEL: &str = "root secret";

/// The root secret of a site. A party that has it and the database can read every secret of the
/// site except the seeds of its keys.
#[derive(Clone)]
pub struct RootSecret(Secret<32>);

impl RootSecret {
    pub(crate) const fn new(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// The root secret of a new site.
    pub(crate) fn generate(entropy: &mut dyn Entropy) -> Self {
        Self::new(Secret::generate(entropy))
    }

    /// Opens the root secret with the site key that it is sealed under.
    pub(crate) fn open_with(key: &SiteKey, sealed: &[u8]) -> Option<Self> {
        let secret = sealing::open(&key.derive(LABEL), LABEL, sealed)?;
        Secret::try_from_slice(secret.expose()).map(Self::new)
    }

    /// Seals the root secret under a site key.
    pub(crate) fn sealed_under(&self, key: &SiteKey, entropy: &mut dyn Entropy) -> Vec<u8> {
        sealing::seal(&key.derive(LABEL), LABEL, self.0.expose(), entropy)
    }

    /// Derives a secret with this label. It is not stored: it can be derived again while the site
    /// is unsealed. Secrets with different labels are independent.
    pub(crate) fn derive<const N: usize>(&self, label: &str) -> Secret<N> {
        kdf::derive(self.0.expose(), "site root", label.as_bytes())
    }

    /// Derives a MAC key with this label. The site uses it to authenticate values that it issues
    /// and later receives back.
    pub(crate) fn mac_key(&self, label: &str) -> MacKey {
        MacKey::new(MacHash::Sha256, self.derive::<32>(label).expose())
    }

    /// Seals a secret for the store.
    pub(crate) fn seal(&self, label: &str, text: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
        sealing::seal(&self.derive(label), label, text, entropy)
    }

    /// Opens a secret of the store; `None` if it was changed or sealed with another label.
    pub(crate) fn open(&self, label: &str, sealed: &[u8]) -> Option<SecretBytes> {
        sealing::open(&self.derive(label), label, sealed)
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;
    use countersign_crypto::site_key::SiteSeed;

    use super::*;

    fn key() -> SiteKey {
        SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy))
    }

    #[test]
    fn a_root_secret_that_is_sealed_under_another_key_derives_the_same_secrets() {
        let entropy = &mut SystemEntropy;
        let (old, new) = (key(), key());
        let root = RootSecret::generate(entropy);
        let sealed = root.seal("a", b"text", entropy);
        let first = root.sealed_under(&old, entropy);
        let opened = RootSecret::open_with(&old, &first).unwrap();
        let second = opened.sealed_under(&new, entropy);
        let opened = RootSecret::open_with(&new, &second).unwrap();
        assert_eq!(opened.derive::<32>("a"), root.derive::<32>("a"));
        assert_ne!(opened.derive::<32>("a"), root.derive::<32>("b"));
        assert_eq!(opened.open("a", &sealed).unwrap().expose(), b"text");
        assert!(opened.open("b", &sealed).is_none());
        assert!(RootSecret::open_with(&old, &second).is_none());
        assert!(RootSecret::open_with(&new, &first).is_none());
        assert_eq!(format!("{opened:?}"), "RootSecret(..)");
    }

    #[test]
    fn a_sealed_secret_that_was_changed_does_not_open() {
        let entropy = &mut SystemEntropy;
        let root = RootSecret::generate(entropy);
        let sealed = root.seal("a", b"text", entropy);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(root.open("a", &changed).is_none(), "byte {at}");
            assert!(root.open("a", &sealed[..at]).is_none(), "{at} bytes");
        }
    }
}
