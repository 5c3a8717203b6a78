//! The site's keys as broker, in memory while the site is unsealed.
//!
//! The keys of edition v2 are derived from the root secret. Those of v1 are RSA keys, stored sealed
//! under it. A site has none until an admin creates one.

use std::fmt;
use std::sync::Arc;

use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::legacy::Cipher;
use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaKeyError};
use countersign_crypto::secret::{Secret, SecretText};
use countersign_proto::broker::{v1, v2};
use serde::{Deserialize, Serialize};

use super::RootSecret;
use crate::timestamp::Timestamp;

const LABEL: &str = "broker";
const DECOY_LABEL: &str = "broker stranger";
const TICKETS_LABEL: &str = "broker ticket keys";

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
    /// [`RsaKeyError`] if a key of edition v1 is invalid.
    pub(crate) fn new(root: &RootSecret, id: String, v1: &V1Keys) -> Result<Self, RsaKeyError> {
        let party = |label| {
            let seed = IdentitySeed(root.derive(label));
            PartyKey::new(Arc::new(Identity::from_seed(seed)))
        };
        let keys = v1.keys.iter().map(|key| RsaKey::from_pem(&key.private));
        let keys: Vec<RsaKey> = keys.collect::<Result<_, _>>()?;
        let master = (!keys.is_empty()).then(|| v1::site::V1Site {
            keys,
            ciphers: Cipher::ALL.to_vec(),
            hashes: RsaHash::ALL.to_vec(),
        });
        Ok(Self {
            site: v2::site::Site {
                id,
                keys: vec![party(LABEL)],
            },
            decoy: party(DECOY_LABEL).public().clone(),
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

    /// Returns the public keys of edition v1 in PEM, newest first.
    #[must_use]
    pub fn v1_public(&self) -> Vec<String> {
        let keys = self.master.iter().flat_map(|master| &master.keys);
        keys.map(|key| key.public().to_pem()).collect()
    }
}

impl fmt::Debug for BrokerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerKeys({})", self.site.id)
    }
}

/// The site's private keys of edition v1, newest first, in the form that is sealed in the store.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct V1Keys {
    pub(crate) keys: Vec<V1Key>,
}

/// A private key of edition v1.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct V1Key {
    /// The private key in PEM.
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    pub(crate) private: SecretText,
    pub(crate) added: Timestamp,
}

fn expose<S: serde::Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    // Only `seal_v1_keys` serialises this type, and it seals the result.
    serializer.serialize_str(text.expose())
}

fn hide<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
    String::deserialize(deserializer).map(SecretText::from)
}

impl fmt::Debug for V1Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V1Keys({})", self.keys.len())
    }
}
