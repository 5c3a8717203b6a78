//! The keys of an unsealed site, and how the site's other secrets are derived from its root secret
//! or sealed under it.

mod broker_keys;
mod key_record;
mod root_secret;
mod rotation;
mod sealing;
mod secret_text;
mod setups;

use std::fmt;
use std::sync::Arc;

use countersign_crypto::passphrase::{ServerSetup, SetupId};
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::SiteKey;
use countersign_proto::name::Zone;
use countersign_proto::site_identity::SignedKeyEvent;

pub use broker_keys::BrokerKeys;
pub(crate) use broker_keys::{BadBrokerKeys, MAX_V2_KEYS, StoredBrokerKeys, V1Key, V2Key};
pub(crate) use key_record::{KeyRecord, NewKeyError};
pub use root_secret::RootSecret;
pub(crate) use rotation::{Rotation, RotationError};
pub(crate) use setups::{MAX_SETUPS, Setups};

/// The setting with the site key: wrapped keys, key events and sealed root secret.
pub(crate) const SITE_KEY: &str = "site_key";
/// The setting with the sealed OPAQUE server setups.
pub(crate) const SERVER_SETUPS: &str = "server_setups";
/// The setting with the broker's sealed keys.
pub(crate) const BROKER_KEYS: &str = "broker_keys";

const DECOY_LABEL: &str = "made up";

/// The keys of an unsealed site.
pub struct UnsealedKeys {
    /// The site key.
    pub key: Arc<SiteKey>,
    /// All key events of the site; the newest has this key.
    pub events: Arc<[SignedKeyEvent]>,
    /// The secret that a new site key does not change.
    pub root: RootSecret,
    /// The OPAQUE server setup of new pass phrases.
    pub setup: Arc<ServerSetup>,
    /// The OPAQUE server setup for replies to unknown names.
    pub decoy_setup: Arc<ServerSetup>,
    /// The secret from which decoys for unknown names are derived.
    pub decoy: Secret<32>,
    /// The site's keys as broker.
    pub broker: Arc<BrokerKeys>,
    pub(crate) setups: Setups,
    pub(crate) stored_broker_keys: StoredBrokerKeys,
}

impl UnsealedKeys {
    pub(crate) fn new(
        key: Arc<SiteKey>,
        events: Arc<[SignedKeyEvent]>,
        root: RootSecret,
        setups: Setups,
        zone: &Zone,
        stored_broker_keys: StoredBrokerKeys,
    ) -> Result<Self, BadBrokerKeys> {
        let broker = BrokerKeys::new(&root, zone.to_string(), &stored_broker_keys);
        Ok(Self {
            broker: Arc::new(broker?),
            decoy: root.derive(DECOY_LABEL),
            setup: setups.newest().clone(),
            decoy_setup: setups.oldest().clone(),
            key,
            events,
            root,
            setups,
            stored_broker_keys,
        })
    }

    /// The OPAQUE server setup with this id; `None` if it was retired.
    pub(crate) fn setup_of(&self, id: SetupId) -> Option<&Arc<ServerSetup>> {
        self.setups.find(id)
    }
}

impl fmt::Debug for UnsealedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsealedKeys(..)")
    }
}
