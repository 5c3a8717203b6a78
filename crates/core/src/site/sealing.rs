//! Sealed and open: what a site can only do once its key was opened, and how its other secrets are
//! kept until then.
//!
//! What is sealed is `salt (16) ‖ ciphertext ‖ tag (16)`: AES-256-GCM under the site's own secret of its label,
//! derived once more with the salt, so that every sealing has a key of its own.

use std::fmt;
use std::sync::{Arc, PoisonError};

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::kdf;
use countersign_crypto::passphrase::ServerSetup;
use countersign_crypto::record::{Opener, RecordCipher, Sealer};
use countersign_crypto::rsa::RsaKeyError;
use countersign_crypto::secret::{Secret, SecretBytes};
use countersign_crypto::site_key::SiteKey;
use countersign_crypto::site_key_slots::{OpenError, SlotSecret};
use countersign_proto::name::Zone;

use super::Site;
use crate::audit::AuditDraft;
use crate::caller::Caller;
use crate::engine::Notice;
use crate::refusal::Refusal;
use crate::store::{ChangeSet, StoreError};
use crate::tickets::{BrokerKeys, V1Keys};
use crate::timestamp::Timestamp;

const SETUP_LABEL: &str = "server setup";
const V1_KEYS_LABEL: &str = "broker v1 keys";
const MADE_UP_LABEL: &str = "made up";
const SALT: usize = 16;

/// What an open site has in memory.
pub struct Opened {
    /// The site key.
    pub key: Arc<SiteKey>,
    /// The OPAQUE server setup.
    pub setup: Arc<ServerSetup>,
    /// What the answers to unknown names are derived from.
    pub made_up: Secret<32>,
    /// The site as a party of the broker's dialogs.
    pub broker: Arc<BrokerKeys>,
    pub(super) v1_keys: V1Keys,
}

impl Opened {
    pub(super) fn new(
        key: SiteKey,
        setup: ServerSetup,
        zone: &Zone,
        v1_keys: V1Keys,
    ) -> Result<Self, UnsealError> {
        let made_up = key.derive(MADE_UP_LABEL);
        let broker = BrokerKeys::new(&key, zone.to_string(), &v1_keys);
        Ok(Self {
            broker: Arc::new(broker.map_err(|_| UnsealError::BrokerKeysDamaged)?),
            key: Arc::new(key),
            setup: Arc::new(setup),
            made_up,
            v1_keys,
        })
    }

    /// The same with other keys for edition v1 of the broker.
    pub(super) fn with_v1_keys(&self, zone: &Zone, v1_keys: V1Keys) -> Result<Self, RsaKeyError> {
        Ok(Self {
            broker: Arc::new(BrokerKeys::new(&self.key, zone.to_string(), &v1_keys)?),
            key: self.key.clone(),
            setup: self.setup.clone(),
            made_up: self.made_up.clone(),
            v1_keys,
        })
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(..)")
    }
}

/// The site stays sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The secret does not open the site key.
    #[error(transparent)]
    Key(#[from] OpenError),
    /// The key opened, and what is sealed under it does not.
    #[error(
        "the OPAQUE server setup does not open under the site key; restore the newest sound backup"
    )]
    SetupDamaged,
    /// The key opened, and the broker's keys do not.
    #[error("the broker's keys do not open under the site key; restore the newest sound backup")]
    BrokerKeysDamaged,
    /// The store is in trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Site {
    /// Opens the site key; says whether the site was sealed until now. Audited. Trying a pass phrase
    /// takes about a second of computing: do not call this where others wait for the thread.
    ///
    /// # Errors
    /// [`UnsealError`]; the site is as before.
    pub async fn unseal(
        &self,
        caller: &Caller,
        secret: SlotSecret<'_>,
        now: Timestamp,
    ) -> Result<bool, UnsealError> {
        let kind = secret.kind();
        let opened = self.try_open(secret)?;
        if !self.is_sealed() {
            return Ok(false);
        }
        let audit = AuditDraft {
            details: serde_json::json!({ "slot": kind }).to_string(),
            ..AuditDraft::done(caller, "site.unseal", now)
        };
        let set = ChangeSet {
            notices: vec![Notice::Unsealed(Arc::new(opened))],
            ..ChangeSet::new(Vec::new(), audit)
        };
        self.store().commit(set).await?;
        Ok(true)
    }

    /// The site is unsealed from now on, if it was not before.
    pub(crate) fn unsealed(&self, opened: &Arc<Opened>) {
        let state = self.0.opened.write();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.get_or_insert_with(|| Arc::clone(opened));
    }

    /// The broker has other keys of edition v1 from now on. While the site is sealed there is nothing to renew.
    pub(super) fn renew_v1_keys(&self, zone: &Zone, sealed: &[u8]) {
        let Some(opened) = self.opened() else {
            return;
        };
        let keys = open_v1_keys(&opened.key, sealed);
        let renewed = keys.and_then(|keys| opened.with_v1_keys(zone, keys).ok());
        if let Some(renewed) = renewed {
            let state = self.0.opened.write();
            *state.unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(renewed));
        }
    }

    fn try_open(&self, secret: SlotSecret<'_>) -> Result<Opened, UnsealError> {
        let (wrapped, _) = self.wrapped_key();
        let key = wrapped.open(secret)?;
        let record = self.record();
        let setup = open_setup(&key, &record.sealed_setup)?;
        let v1_keys = match &record.sealed_v1_keys {
            Some(sealed) => open_v1_keys(&key, sealed).ok_or(UnsealError::BrokerKeysDamaged)?,
            None => V1Keys::default(),
        };
        Opened::new(key, setup, &record.config.zone, v1_keys)
    }

    /// Whether the site key was not opened yet.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.opened().is_none()
    }

    /// What an open site has in memory; `None` while it is sealed.
    #[must_use]
    pub fn opened(&self) -> Option<Arc<Opened>> {
        self.0
            .opened
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What an open site has in memory, for a handler.
    pub(crate) fn expect_open(&self) -> Result<Arc<Opened>, Refusal> {
        self.opened().ok_or_else(Refusal::sealed)
    }
}

pub(super) fn seal_setup(key: &SiteKey, setup: &ServerSetup, entropy: &mut dyn Entropy) -> Vec<u8> {
    seal(key, SETUP_LABEL, setup.to_bytes().expose(), entropy)
}

fn open_setup(key: &SiteKey, sealed: &[u8]) -> Result<ServerSetup, UnsealError> {
    let text = open(key, SETUP_LABEL, sealed).ok_or(UnsealError::SetupDamaged)?;
    ServerSetup::from_bytes(text.expose()).map_err(|_| UnsealError::SetupDamaged)
}

pub(super) fn seal_v1_keys(
    key: &SiteKey,
    keys: &V1Keys,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, serde_json::Error> {
    let text = SecretBytes::from(serde_json::to_vec(keys)?);
    Ok(seal(key, V1_KEYS_LABEL, text.expose(), entropy))
}

fn open_v1_keys(key: &SiteKey, sealed: &[u8]) -> Option<V1Keys> {
    let text = open(key, V1_KEYS_LABEL, sealed)?;
    serde_json::from_slice(text.expose()).ok()
}

fn seal(key: &SiteKey, label: &str, text: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
    let salt: [u8; SALT] = fresh(entropy);
    // Sealed in place: the plaintext is gone afterwards.
    let mut text = text.to_vec();
    let sealed = Sealer::new(RecordCipher::Aes256Gcm, &salted(key, label, &salt))
        .seal_in_place(label.as_bytes(), &mut text);
    let Ok(tag) = sealed else {
        // A fresh key seals a few kilobytes.
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
    // Wiped when dropped.
    drop(SecretBytes::from(text));
    opened
}

fn salted(key: &SiteKey, label: &str, salt: &[u8; SALT]) -> Secret<32> {
    let secret: Secret<32> = key.derive(label);
    kdf::derive(secret.expose(), label, salt)
}
