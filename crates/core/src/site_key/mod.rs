//! The keys of an unsealed site, and how the site's other secrets are sealed under the site key.
//!
//! A sealed secret is `salt (16) ‖ ciphertext ‖ tag (16)`, with AES-256-GCM. Its key is derived
//! from the site key with a label and then with the salt, so that every sealing uses a new key.

mod broker_keys;

use std::fmt;
use std::sync::Arc;

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::kdf;
use countersign_crypto::passphrase::ServerSetup;
use countersign_crypto::record::{Opener, RecordCipher, Sealer};
use countersign_crypto::rsa::RsaKeyError;
use countersign_crypto::secret::{Secret, SecretBytes};
use countersign_crypto::site_key::SiteKey;
use countersign_proto::name::Zone;

pub(crate) use broker_keys::V1Key;
pub use broker_keys::{BrokerKeys, V1Keys};

const SETUP_LABEL: &str = "server setup";
const V1_KEYS_LABEL: &str = "broker v1 keys";
const DECOY_LABEL: &str = "made up";
const SALT: usize = 16;

/// The keys of an unsealed site.
pub struct UnsealedKeys {
    /// The site key.
    pub key: Arc<SiteKey>,
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
        setup: ServerSetup,
        zone: &Zone,
        v1_keys: V1Keys,
    ) -> Result<Self, RsaKeyError> {
        let decoy = key.derive(DECOY_LABEL);
        let broker = BrokerKeys::new(&key, zone.to_string(), &v1_keys);
        Ok(Self {
            broker: Arc::new(broker?),
            key: Arc::new(key),
            setup: Arc::new(setup),
            decoy,
            v1_keys,
        })
    }

    /// Returns the same keys with other broker keys of edition v1.
    pub(crate) fn with_v1_keys(&self, zone: &Zone, v1_keys: V1Keys) -> Result<Self, RsaKeyError> {
        Ok(Self {
            broker: Arc::new(BrokerKeys::new(&self.key, zone.to_string(), &v1_keys)?),
            key: self.key.clone(),
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

pub(crate) fn seal_setup(key: &SiteKey, setup: &ServerSetup, entropy: &mut dyn Entropy) -> Vec<u8> {
    seal(key, SETUP_LABEL, setup.to_bytes().expose(), entropy)
}

pub(crate) fn open_setup(key: &SiteKey, sealed: &[u8]) -> Option<ServerSetup> {
    let text = open(key, SETUP_LABEL, sealed)?;
    ServerSetup::from_bytes(text.expose()).ok()
}

pub(crate) fn seal_v1_keys(
    key: &SiteKey,
    keys: &V1Keys,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, serde_json::Error> {
    let text = SecretBytes::from(serde_json::to_vec(keys)?);
    Ok(seal(key, V1_KEYS_LABEL, text.expose(), entropy))
}

pub(crate) fn open_v1_keys(key: &SiteKey, sealed: &[u8]) -> Option<V1Keys> {
    let text = open(key, V1_KEYS_LABEL, sealed)?;
    serde_json::from_slice(text.expose()).ok()
}

fn seal(key: &SiteKey, label: &str, text: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
    let salt: [u8; SALT] = fresh(entropy);
    // Encrypts in place, so that no copy of the plaintext remains.
    let mut text = text.to_vec();
    let sealed = Sealer::new(RecordCipher::Aes256Gcm, &salted(key, label, &salt))
        .seal_in_place(label.as_bytes(), &mut text);
    let Ok(tag) = sealed else {
        // Cannot fail: the key is new and the text is a few kilobytes.
        std::process::abort();
    };
    [&salt[..], &text, &tag].concat()
}

fn open(key: &SiteKey, label: &str, sealed: &[u8]) -> Option<SecretBytes> {
    let (salt, text) = sealed.split_first_chunk::<SALT>()?;
    let mut text = text.to_vec();
    let opened = Opener::new(RecordCipher::Aes256Gcm, &salted(key, label, salt))
        .open_in_place(label.as_bytes(), &mut text)
        .ok()
        .map(|plain| SecretBytes::from(plain.to_vec()));
    // Dropping it as `SecretBytes` zeroizes it.
    drop(SecretBytes::from(text));
    opened
}

fn salted(key: &SiteKey, label: &str, salt: &[u8; SALT]) -> Secret<32> {
    let secret: Secret<32> = key.derive(label);
    kdf::derive(secret.expose(), label, salt)
}
