//! The site's keys as broker, in memory while the site is unsealed.
//!
//! The keys of both editions are stored, sealed under the root secret, so that they can be replaced
//! without a new site key. A new key overlaps with the older ones until these are retired:
//!
//! - requests may be sealed to any of them;
//! - in edition v2, the site signs with the oldest, which every application knows.

use std::fmt;
use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::legacy::Cipher;
use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaKeyError};
use countersign_crypto::secret::{Secret, SecretBytes, SecretText};
use countersign_proto::broker::{v1, v2};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};

use super::RootSecret;
use super::secret_text::{expose, hide};
use crate::timestamp::Timestamp;

const LABEL: &str = "broker keys";
const DECOY_LABEL: &str = "broker stranger";
const TICKETS_LABEL: &str = "broker ticket keys";
/// Maximum number of keys of edition v2, the newest included: a key statement has room for four.
pub(crate) const MAX_V2_KEYS: usize = v2::key_statement::MAX_KEYS;

/// The site's keys as broker.
pub struct BrokerKeys {
    pub(crate) site: v2::site::Site,
    /// A key without a known private half. It verifies requests of applications that are not
    /// registered, so that these take as long as others.
    pub(crate) decoy: PartyPublic,
    pub(crate) master: Option<v1::site::V1Site>,
    /// The secret from which the ticket keys of the symmetric ticket path are derived.
    pub(crate) tickets: Secret<32>,
}

impl BrokerKeys {
    /// Makes the keys of the site with this id, which is its zone.
    ///
    /// # Errors
    /// [`BadBrokerKeys`] if a stored key is invalid.
    pub(crate) fn new(
        root: &RootSecret,
        id: String,
        stored: &StoredBrokerKeys,
    ) -> Result<Self, BadBrokerKeys> {
        let party = |seed| PartyKey::new(Arc::new(Identity::from_seed(IdentitySeed(seed))));
        let v2 = stored.v2.iter().map(|key| key.seed().map(party));
        let v2: Vec<PartyKey> = v2.collect::<Option<_>>().ok_or(BadBrokerKeys::Seed)?;
        if v2.is_empty() {
            return Err(BadBrokerKeys::Seed);
        }
        let keys = stored.v1.iter().map(|key| RsaKey::from_pem(&key.private));
        let keys: Vec<RsaKey> = keys.collect::<Result<_, _>>()?;
        let master = (!keys.is_empty()).then(|| v1::site::V1Site {
            keys,
            ciphers: Cipher::ALL.to_vec(),
            hashes: RsaHash::ALL.to_vec(),
        });
        Ok(Self {
            site: v2::site::Site { id, keys: v2 },
            decoy: party(root.derive(DECOY_LABEL)).public().clone(),
            master,
            tickets: root.derive(TICKETS_LABEL),
        })
    }

    /// Returns the site's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.site.id
    }

    /// Returns the newest key of edition v2.
    #[must_use]
    pub fn party(&self) -> Option<&PartyKey> {
        self.site.keys.first()
    }

    /// Returns the oldest key of edition v2, with which the site signs.
    #[must_use]
    pub fn signing_party(&self) -> Option<&PartyKey> {
        self.site.keys.last()
    }

    /// Returns the public keys of edition v2, newest first.
    #[must_use]
    pub fn parties(&self) -> Vec<PartyPublic> {
        let keys = self.site.keys.iter();
        keys.map(|key| key.public().clone()).collect()
    }

    /// Returns the public keys of edition v1 in PEM, newest first.
    #[must_use]
    pub fn v1_public(&self) -> Vec<String> {
        let keys = self.master.iter().flat_map(|master| &master.keys);
        keys.map(|key| key.public().to_pem()).collect()
    }

    /// Returns the fingerprints of the keys of edition v2, newest first, as they are stored.
    pub(crate) fn v2_fingerprints(&self) -> impl Iterator<Item = String> {
        let keys = self.site.keys.iter();
        keys.map(|key| HEXLOWER.encode(&key.public().fingerprint()))
    }

    /// Returns the fingerprints of the keys of edition v1, newest first, as they are stored.
    pub(crate) fn v1_fingerprints(&self) -> impl Iterator<Item = String> {
        let keys = self.master.iter().flat_map(|master| &master.keys);
        keys.map(|key| HEXLOWER.encode(&key.public().thumbprint()))
    }
}

impl fmt::Debug for BrokerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerKeys({})", self.site.id)
    }
}

/// Why the stored keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadBrokerKeys {
    #[error("the seed of a key of edition v2 is missing or invalid")]
    Seed,
    #[error(transparent)]
    Rsa(#[from] RsaKeyError),
}

/// The site's private keys as broker, newest first, in the form that is sealed in the store.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredBrokerKeys {
    pub(crate) v2: Vec<V2Key>,
    pub(crate) v1: Vec<V1Key>,
}

/// A private key of edition v2.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct V2Key {
    /// The seed, in base64.
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    seed: SecretText,
    pub(crate) added: Timestamp,
}

/// A private key of edition v1.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct V1Key {
    /// The private key in PEM.
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    pub(crate) private: SecretText,
    pub(crate) added: Timestamp,
}

impl V2Key {
    pub(crate) fn generate(now: Timestamp, entropy: &mut dyn Entropy) -> Self {
        let seed: Secret<32> = Secret::generate(entropy);
        Self {
            seed: SecretText::from(BASE64.encode(seed.expose())),
            added: now,
        }
    }

    fn seed(&self) -> Option<Secret<32>> {
        let bytes = BASE64.decode(self.seed.expose().as_bytes()).ok()?;
        Secret::try_from_slice(SecretBytes::from(bytes).expose())
    }
}

impl StoredBrokerKeys {
    /// The keys of a new site: one of edition v2.
    pub(crate) fn generate(now: Timestamp, entropy: &mut dyn Entropy) -> Self {
        Self {
            v2: vec![V2Key::generate(now, entropy)],
            v1: Vec::new(),
        }
    }

    /// Seals the keys for the store.
    pub(crate) fn sealed(
        &self,
        root: &RootSecret,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let text = SecretBytes::from(serde_json::to_vec(self)?);
        Ok(root.seal(LABEL, text.expose(), entropy))
    }

    /// Opens the keys of the store; `None` if they are damaged.
    pub(crate) fn open(root: &RootSecret, sealed: &[u8]) -> Option<Self> {
        let text = root.open(LABEL, sealed)?;
        serde_json::from_slice(text.expose()).ok()
    }
}

impl fmt::Debug for StoredBrokerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredBrokerKeys({}, {})", self.v2.len(), self.v1.len())
    }
}
