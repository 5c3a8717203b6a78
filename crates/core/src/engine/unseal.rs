//! Unsealing a site: opening its key and what is sealed under it.

use std::sync::{Arc, PoisonError};

use countersign_crypto::site_key_slots::{OpenError, SlotSecret};
use countersign_proto::name::Zone;

use super::{Refusal, Site};
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::site_key::{RootSecret, UnsealedKeys, V1Keys, open_setup, open_v1_keys};
use crate::store::{ChangeSet, Notice, StoreError};
use crate::timestamp::Timestamp;

/// Why the site stays sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The secret does not open the site key.
    #[error(transparent)]
    Key(#[from] OpenError),
    /// The site key opened, but the root secret that is sealed under it did not.
    #[error("the root secret cannot be opened with the site key; restore the newest intact backup")]
    RootDamaged,
    /// The site key opened, but the server setup that is sealed under it did not.
    #[error(
        "the OPAQUE server setup cannot be opened with the site key; restore the newest intact backup"
    )]
    SetupDamaged,
    /// The site key opened, but the broker's keys that are sealed under it did not.
    #[error(
        "the broker's keys cannot be opened with the site key; restore the newest intact backup"
    )]
    BrokerKeysDamaged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Site {
    /// Unseals the site. Returns whether it was sealed before. Audited. With a pass phrase this
    /// computes for about a second, so do not call it on a thread on which other tasks wait.
    ///
    /// # Errors
    /// [`UnsealError`]; the site stays as it was.
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

    /// Stores the opened keys in memory, unless the site is unsealed already.
    pub(crate) fn set_unsealed(&self, opened: &Arc<UnsealedKeys>) {
        let state = self.0.unsealed_keys.write();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.get_or_insert_with(|| Arc::clone(opened));
    }

    /// Replaces the broker's keys of edition v1 in memory. Does nothing while the site is sealed.
    pub(super) fn renew_v1_keys(&self, zone: &Zone, sealed: &[u8]) {
        let Some(opened) = self.unsealed_keys() else {
            return;
        };
        let keys = open_v1_keys(&opened.root, sealed);
        let renewed = keys.and_then(|keys| opened.with_v1_keys(zone, keys).ok());
        if let Some(renewed) = renewed {
            let state = self.0.unsealed_keys.write();
            *state.unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(renewed));
        }
    }

    fn try_open(&self, secret: SlotSecret<'_>) -> Result<UnsealedKeys, UnsealError> {
        let (stored, _) = self.key_record();
        let key = stored.current.open(secret)?;
        let root = RootSecret::open_with(&key, &stored.sealed_root);
        let root = root.ok_or(UnsealError::RootDamaged)?;
        let record = self.record();
        let setup = open_setup(&root, &record.sealed_setup).ok_or(UnsealError::SetupDamaged)?;
        let v1_keys = match &record.sealed_v1_keys {
            Some(sealed) => open_v1_keys(&root, sealed).ok_or(UnsealError::BrokerKeysDamaged)?,
            None => V1Keys::default(),
        };
        let zone = &record.config.zone;
        UnsealedKeys::new(key, stored.events, root, setup, zone, v1_keys)
            .map_err(|_| UnsealError::BrokerKeysDamaged)
    }

    /// Returns whether the site is sealed: its key has not been opened since the site started.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.unsealed_keys().is_none()
    }

    /// Returns the keys of an unsealed site; `None` while it is sealed.
    #[must_use]
    pub fn unsealed_keys(&self) -> Option<Arc<UnsealedKeys>> {
        self.0
            .unsealed_keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the keys of an unsealed site, or refuses as sealed.
    pub(crate) fn expect_unsealed(&self) -> Result<Arc<UnsealedKeys>, Refusal> {
        self.unsealed_keys().ok_or_else(Refusal::sealed)
    }
}
