//! The keys of an unsealed site, and how the site's other secrets are derived from its root secret
//! or sealed under it.

mod broker_keys;
mod key_record;
mod root_secret;
mod sealing;

use std::fmt;
use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::passphrase::ServerSetup;
use countersign_crypto::rsa::RsaKeyError;
use countersign_crypto::secret::{Secret, SecretBytes};
use countersign_crypto::site_key::SiteKey;
use countersign_proto::name::Zone;
use countersign_proto::site_identity::SignedKeyEvent;

pub(crate) use broker_keys::V1Key;
pub use broker_keys::{BrokerKeys, V1Keys};
pub(crate) use key_record::{KeyRecord, NewKeyError};
pub use root_secret::RootSecret;

const SETUP_LABEL: &str = "server setup";
const V1_KEYS_LABEL: &str = "broker v1 keys";
const DECOY_LABEL: &str = "made up";

/// The keys of an unsealed site.
pub struct UnsealedKeys {
    /// The site key.
    pub key: Arc<SiteKey>,
    /// All key events of the site; the newest has this key.
    pub events: Arc<[SignedKeyEvent]>,
    /// The secret that a new site key does not change.
    pub root: RootSecret,
    /// The OPAQUE server setup.
    pub setup: Arc<ServerSetup>,
    /// The secret from which decoys for unknown names are derived.
    pub decoy: Secret<32>,
    /// The site's keys as broker.
    pub broker: Arc<BrokerKeys>,
    pub(crate) v1_keys: V1Keys,
}

impl UnsealedKeys {
    pub(crate) fn new(
        key: SiteKey,
        events: Arc<[SignedKeyEvent]>,
        root: RootSecret,
        setup: ServerSetup,
        zone: &Zone,
        v1_keys: V1Keys,
    ) -> Result<Self, RsaKeyError> {
        let decoy = root.derive(DECOY_LABEL);
        let broker = BrokerKeys::new(&root, zone.to_string(), &v1_keys);
        Ok(Self {
            broker: Arc::new(broker?),
            key: Arc::new(key),
            events,
            root,
            setup: Arc::new(setup),
            decoy,
            v1_keys,
        })
    }

    /// Returns the same keys with other broker keys of edition v1.
    pub(crate) fn with_v1_keys(&self, zone: &Zone, v1_keys: V1Keys) -> Result<Self, RsaKeyError> {
        Ok(Self {
            broker: Arc::new(BrokerKeys::new(&self.root, zone.to_string(), &v1_keys)?),
            key: self.key.clone(),
            events: self.events.clone(),
            root: self.root.clone(),
            setup: self.setup.clone(),
            decoy: self.decoy.clone(),
            v1_keys,
        })
    }
}

impl fmt::Debug for UnsealedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsealedKeys(..)")
    }
}

pub(crate) fn seal_setup(
    root: &RootSecret,
    setup: &ServerSetup,
    entropy: &mut dyn Entropy,
) -> Vec<u8> {
    root.seal(SETUP_LABEL, setup.to_bytes().expose(), entropy)
}

pub(crate) fn open_setup(root: &RootSecret, sealed: &[u8]) -> Option<ServerSetup> {
    let text = root.open(SETUP_LABEL, sealed)?;
    ServerSetup::from_bytes(text.expose()).ok()
}

pub(crate) fn seal_v1_keys(
    root: &RootSecret,
    keys: &V1Keys,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, serde_json::Error> {
    let text = SecretBytes::from(serde_json::to_vec(keys)?);
    Ok(root.seal(V1_KEYS_LABEL, text.expose(), entropy))
}

pub(crate) fn open_v1_keys(root: &RootSecret, sealed: &[u8]) -> Option<V1Keys> {
    let text = root.open(V1_KEYS_LABEL, sealed)?;
    serde_json::from_slice(text.expose()).ok()
}
