//! Sealed and unsealed: what a site can only do once its key was opened.

use std::sync::{Arc, PoisonError};

use countersign_crypto::site_key_slots::{OpenError, SlotSecret};
use countersign_proto::name::Zone;

use super::{Refusal, Site};
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::site_key::{Opened, V1Keys, open_setup, open_v1_keys};
use crate::store::{ChangeSet, Notice, StoreError};
use crate::timestamp::Timestamp;

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
        let setup = open_setup(&key, &record.sealed_setup).ok_or(UnsealError::SetupDamaged)?;
        let v1_keys = match &record.sealed_v1_keys {
            Some(sealed) => open_v1_keys(&key, sealed).ok_or(UnsealError::BrokerKeysDamaged)?,
            None => V1Keys::default(),
        };
        Opened::new(key, setup, &record.config.zone, v1_keys)
            .map_err(|_| UnsealError::BrokerKeysDamaged)
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
