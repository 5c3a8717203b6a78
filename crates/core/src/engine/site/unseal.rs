//! Unsealing and sealing a site: opening its key and what is sealed under it, and forgetting both.

use std::fmt;
use std::sync::{Arc, PoisonError};

use countersign_crypto::site_key::SiteKey;
use countersign_crypto::site_key_slots::{
    OpenError, SlotId, SlotSecret, SlotSummary, WrappedSiteKey,
};

use super::record::SiteRecord;
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::engine::{Refusal, Site};
use crate::site_key::{RootSecret, Setups, StoredBrokerKeys, UnsealedKeys};
use crate::store::{ChangeSet, Notice, StoreError};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// Why a secret does not open a site key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The secret opens no slot.
    #[error("{error}; its slots are {slots}")]
    Wrong {
        /// What is wrong with the secret.
        error: OpenError,
        /// The slots of the key.
        slots: SlotList,
    },
    /// Too many secrets were wrong. The secret was not tried.
    #[error("too many secrets for the site key were wrong; this one was not tried")]
    Wait {
        /// The milliseconds after which a secret is tried again.
        milliseconds: u64,
    },
}

/// The slots of a key, for a message. Displayed as `1 (pass phrase), 2 (recovery code)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotList(Vec<SlotSummary>);

impl SlotList {
    /// The slots of a wrapped key.
    #[must_use]
    pub fn of(key: &WrappedSiteKey) -> Self {
        Self(key.slots().collect())
    }
}

impl fmt::Display for SlotList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.0.iter();
        let slots: Vec<String> = slots
            .map(|slot| format!("{} ({})", slot.id, slot.kind))
            .collect();
        f.write_str(&slots.join(", "))
    }
}

/// Why the site stays sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The secret does not open the site key.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// The site key opened, but the root secret that is sealed under it did not.
    #[error("the root secret cannot be opened with the site key; restore the newest intact backup")]
    RootDamaged,
    /// The site key opened, but the OPAQUE server setups did not.
    #[error(
        "the OPAQUE server setups cannot be opened with the site key; restore the newest intact backup"
    )]
    SetupDamaged,
    /// The site key opened, but the broker's keys did not.
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
        let (stored, _) = self.key_record();
        let (_, key) = self.open_slot(&stored.current, secret, now)?;
        let key = Arc::new(key);
        // The projection opens what is stored then; a damaged part has to be reported now.
        let opened = opened_with(&self.record(), &key)?;
        if !self.is_sealed() {
            return Ok(false);
        }
        self.seal_clear_data(&opened.root, now).await?;
        let audit = AuditDraft {
            details: serde_json::json!({ "slot": kind }).to_string(),
            ..AuditDraft::done(caller, "site.unseal", now)
        };
        let set = ChangeSet {
            notices: vec![Notice::Unsealed(key)],
            ..ChangeSet::new(Vec::new(), audit)
        };
        self.store().commit(set).await?;
        Ok(true)
    }

    /// Opens a wrapped key of the site; returns the slot that did, and the key. Wrong secrets are
    /// slowed down, and never locked out: see [`Rate::SiteKeySecret`].
    pub(crate) fn open_slot(
        &self,
        wrapped: &WrappedSiteKey,
        secret: SlotSecret<'_>,
        now: Timestamp,
    ) -> Result<(SlotId, SiteKey), SecretError> {
        let wait = self.throttle().rates().wait(Rate::SiteKeySecret, now);
        if let Some(milliseconds) = wait {
            return Err(SecretError::Wait { milliseconds });
        }
        wrapped.open_slot(secret).map_err(|error| {
            // Counted after the attempt, so that a right secret costs nothing. Operations that
            // open a slot take turns.
            let _ = self.throttle().rates().take(Rate::SiteKeySecret, now);
            SecretError::Wrong {
                error,
                slots: SlotList::of(wrapped),
            }
        })
    }

    /// Holds the keys that an opened site key opens, unless the site is unsealed already.
    pub(crate) fn key_opened(&self, key: &Arc<SiteKey>) {
        if self.is_sealed() {
            self.hold(key);
        }
    }

    /// Holds the keys of a new site key, unless the site was sealed meanwhile.
    pub(crate) fn key_replaced(&self, key: &Arc<SiteKey>) {
        if !self.is_sealed() {
            self.hold(key);
        }
    }

    /// Opens again what the store holds under the root secret. Does nothing while the site is
    /// sealed.
    pub(super) fn renew_unsealed(&self) {
        if let Some(opened) = self.unsealed_keys() {
            self.hold(&opened.key);
        }
    }

    /// Forgets the keys: the site is sealed. They are erased when the last task that uses them
    /// ends.
    pub(crate) fn forget_keys(&self) {
        self.broker().cache().open_with(None);
        let state = self.0.unsealed_keys.write();
        *state.unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Opens what is stored with this key. If it is not the current key any more, or if a part is
    /// damaged, the site keeps what it has.
    fn hold(&self, key: &Arc<SiteKey>) {
        let opened = {
            let record = self.record();
            let is_current = record.key.current.public() == key.public();
            is_current.then(|| opened_with(&record, key))
        };
        if let Some(Ok(opened)) = opened {
            self.broker().cache().open_with(Some(opened.root.clone()));
            let state = self.0.unsealed_keys.write();
            *state.unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(opened));
        }
    }

    /// Returns whether the site is sealed: no slot of its key has been opened since the site
    /// started or was sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.unsealed_keys().is_none()
    }

    /// Returns the keys of an unsealed site; `None` while it is sealed. Do not keep them: they
    /// change with a new site key, and a sealed site must not have them in memory.
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

/// Opens what is sealed under the root secret, which is sealed under this key.
fn opened_with(record: &SiteRecord, key: &Arc<SiteKey>) -> Result<UnsealedKeys, UnsealError> {
    let root = RootSecret::open_with(key, &record.key.sealed_root);
    let root = root.ok_or(UnsealError::RootDamaged)?;
    let setups = Setups::open(&root, &record.sealed_setups).ok_or(UnsealError::SetupDamaged)?;
    let broker = StoredBrokerKeys::open(&root, &record.sealed_broker_keys);
    let broker = broker.ok_or(UnsealError::BrokerKeysDamaged)?;
    let (events, zone) = (record.key.events.clone(), &record.config.zone);
    UnsealedKeys::new(key.clone(), events, root, setups, zone, broker)
        .map_err(|_| UnsealError::BrokerKeysDamaged)
}
