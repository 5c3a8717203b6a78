//! Sealed and open: what a site can only do once its key was opened, and how its other secrets are
//! kept until then.
//!
//! A sealed setup is `salt (16) ‖ ciphertext ‖ tag (16)`: AES-256-GCM under the site's own secret
//! `server setup`, derived once more with the salt, so that every sealing has a key of its own.

use std::fmt;
use std::sync::{Arc, PoisonError};

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::kdf;
use countersign_crypto::passphrase::ServerSetup;
use countersign_crypto::record::{Opener, RecordCipher, Sealer};
use countersign_crypto::secret::{Secret, SecretBytes};
use countersign_crypto::site_key::SiteKey;
use countersign_crypto::site_key_slots::{OpenError, SlotSecret};

use super::Site;
use crate::audit::AuditDraft;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::store::{ChangeSet, StoreError};
use crate::timestamp::Timestamp;

const SETUP_LABEL: &str = "server setup";
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
}

impl Opened {
    pub(super) fn new(key: SiteKey, setup: ServerSetup) -> Self {
        let made_up = key.derive(MADE_UP_LABEL);
        Self {
            key: Arc::new(key),
            setup: Arc::new(setup),
            made_up,
        }
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
        let changes = Vec::new();
        self.store().commit(ChangeSet { changes, audit }).await?;
        let mut state = self
            .0
            .opened
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        state.get_or_insert_with(|| Arc::new(opened));
        Ok(true)
    }

    fn try_open(&self, secret: SlotSecret<'_>) -> Result<Opened, UnsealError> {
        let (wrapped, _) = self.wrapped_key();
        let key = wrapped.open(secret)?;
        let setup = open_setup(&key, &self.record().sealed_setup)?;
        Ok(Opened::new(key, setup))
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
    let salt: [u8; SALT] = fresh(entropy);
    // Sealed in place: the plaintext is gone afterwards.
    let mut text = setup.to_bytes().expose().to_vec();
    let sealed = Sealer::new(RecordCipher::Aes256Gcm, &setup_key(key, &salt))
        .seal_in_place(SETUP_LABEL.as_bytes(), &mut text);
    let Ok(tag) = sealed else {
        // A fresh key seals a few hundred bytes.
        std::process::abort();
    };
    [&salt[..], &text, &tag].concat()
}

fn open_setup(key: &SiteKey, sealed: &[u8]) -> Result<ServerSetup, UnsealError> {
    let (salt, text) = sealed
        .split_first_chunk::<SALT>()
        .ok_or(UnsealError::SetupDamaged)?;
    let mut text = text.to_vec();
    let setup = Opener::new(RecordCipher::Aes256Gcm, &setup_key(key, salt))
        .open_in_place(SETUP_LABEL.as_bytes(), &mut text)
        .ok()
        .and_then(|plain| ServerSetup::from_bytes(plain).ok());
    // Wiped when dropped.
    drop(SecretBytes::from(text));
    setup.ok_or(UnsealError::SetupDamaged)
}

fn setup_key(key: &SiteKey, salt: &[u8; SALT]) -> Secret<32> {
    let secret: Secret<32> = key.derive(SETUP_LABEL);
    kdf::derive(secret.expose(), SETUP_LABEL, salt)
}
