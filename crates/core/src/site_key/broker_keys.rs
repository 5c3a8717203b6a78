//! The site as a party of the broker's dialogs: its keys, which exist while it is open.
//!
//! Those of edition v2 follow from the site key. Those of v1 are RSA, and are kept sealed under it: there are
//! none until somebody needs them.

use std::fmt;
use std::sync::Arc;

use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::legacy::Cipher;
use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaKeyError};
use countersign_crypto::secret::{Secret, SecretText};
use countersign_crypto::site_key::SiteKey;
use countersign_proto::broker::{v1, v2};
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

const LABEL: &str = "broker";
const DECOY_LABEL: &str = "broker stranger";
const TICKETS_LABEL: &str = "broker ticket keys";

/// The site as a party.
pub struct BrokerKeys {
    pub(crate) site: v2::site::Site,
    /// A key whose private half is not used: requests of applications that are not registered are verified with it.
    pub(crate) decoy: PartyPublic,
    pub(crate) master: Option<v1::site::V1Site>,
    /// What the ticket keys of the symmetric ticket path are derived from.
    pub(crate) tickets: Secret<32>,
}

impl BrokerKeys {
    /// Of the site of that id, which is its zone.
    ///
    /// # Errors
    /// [`RsaKeyError`] when a key of v1 is none.
    pub(crate) fn new(key: &SiteKey, id: String, v1: &V1Keys) -> Result<Self, RsaKeyError> {
        let party = |label| {
            let seed = IdentitySeed(key.derive(label));
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
            tickets: key.derive(TICKETS_LABEL),
        })
    }

    /// The site's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.site.id
    }

    /// The keys of v2.
    #[must_use]
    pub fn party(&self) -> Option<&PartyKey> {
        self.site.keys.first()
    }

    /// The public keys of v1 in PEM, the newest first.
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

/// The site's private keys of edition v1, the newest first, as they are sealed in the store.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct V1Keys {
    pub(crate) keys: Vec<V1Key>,
}

/// One of them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct V1Key {
    /// In PEM.
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    pub(crate) private: SecretText,
    pub(crate) added: Timestamp,
}

fn expose<S: serde::Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    // Into what is sealed, and nowhere else.
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
