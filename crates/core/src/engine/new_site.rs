//! Creating a site and opening an existing one.

use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::passphrase::ServerSetup;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_crypto::site_key_slots::{NewSlot, SlotError, WrappedSiteKey};
use countersign_proto::name::Zone;
use countersign_proto::session::Strength;

use super::record::{self, SiteConfig, SiteRecord};
use super::runtime::StoredSettings;
use super::{Parts, Site};
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::offer::Offer;
use crate::site_key::{self, UnsealedKeys, V1Keys};
use crate::store::{Change, ChangeSet, Setting, Store, StoreError, Thing};
use crate::timestamp::Timestamp;

/// The parameters of a new site.
pub struct NewSite<'a> {
    /// The zone of account names that are given without one. It is part of every name, so it cannot
    /// change.
    pub zone: Zone,
    /// The key slots of the site key; at least one.
    pub slots: &'a [NewSlot<'a>],
}

/// Why a site cannot be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The store contains no site.
    #[error("there is no site here; create one first")]
    NoSite,
    /// The store already contains a site.
    #[error("there is already a site here; open it instead")]
    Exists,
    /// No key slot was given. Without one the site key could never be unwrapped again.
    #[error("a site key needs at least one key slot")]
    NoSlot,
    /// A key slot cannot be created.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// Every enabled encryption option is weaker than the floor in the configuration, so that no
    /// client could log in.
    #[error(
        "every enabled encryption option is weaker than the configured floor, {floor}; start with a lower floor, enable a stronger option, and raise the floor again"
    )]
    NothingOffered {
        /// The floor in the configuration.
        floor: Strength,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Site {
    /// Returns whether the store contains a site.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn exists(store: &dyn Store) -> Result<bool, StoreError> {
        Ok(store.setting(record::SITE_KEY).await?.is_some())
    }

    /// Creates a new site in an empty store, with its key, its OPAQUE server setup and its
    /// configuration. The returned site is unsealed.
    ///
    /// # Errors
    /// [`SiteError`]; nothing was created then.
    pub async fn create(
        mut parts: Parts,
        new_site: NewSite<'_>,
        now: Timestamp,
    ) -> Result<Self, SiteError> {
        check_offer(&parts.offer, parts.floor)?;
        let entropy = &mut *parts.entropy;
        let key = SiteKey::from_seed(SiteSeed::generate(entropy));
        let wrapped_key = wrap(&key, new_site.slots, now, entropy)?;
        let setup = ServerSetup::generate(entropy);
        let sealed_setup = site_key::seal_setup(&key, &setup, entropy);
        let config = SiteConfig {
            zone: new_site.zone,
            session_lifetime: SiteConfig::SESSION_LIFETIME,
            key_lifetime: SiteConfig::KEY_LIFETIME,
        };
        let offer = parts.offer.clone();
        let changes =
            changes(&wrapped_key, &config, &offer, sealed_setup.clone()).map_err(|error| {
                SiteError::Store(StoreError::Unavailable {
                    problem: error.to_string(),
                })
            })?;
        let details = serde_json::json!({
            "site": wrapped_key.public().to_string(),
            "zone": config.zone.as_str(),
        });
        let audit = AuditDraft {
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), "site.created", now)
        };
        parts
            .store
            .commit(ChangeSet::new(changes, audit))
            .await
            .map_err(|error| match error {
                StoreError::Stale {
                    what: Thing::Setting,
                } => SiteError::Exists,
                other => SiteError::Store(other),
            })?;
        let opened = UnsealedKeys::new(key, setup, &config.zone, V1Keys::default());
        let opened = opened.map_err(|error| {
            SiteError::Store(StoreError::Unavailable {
                problem: error.to_string(),
            })
        })?;
        let record = SiteRecord {
            config,
            config_revision: 1,
            runtime: StoredSettings::default(),
            runtime_revision: 0,
            offer,
            offer_revision: 1,
            lockdowns: Arc::default(),
            lockdowns_revision: 0,
            wrapped_key,
            key_revision: 1,
            sealed_setup,
            sealed_v1_keys: None,
            v1_keys_revision: 0,
        };
        Ok(Self::assemble(parts, record, Some(opened)))
    }

    /// Opens the site that the store contains. It is sealed until [`Site::unseal`].
    ///
    /// # Errors
    /// [`SiteError`].
    pub async fn open(parts: Parts) -> Result<Self, SiteError> {
        let record = SiteRecord::read(&*parts.store)
            .await?
            .ok_or(SiteError::NoSite)?;
        check_offer(&record.offer, parts.floor)?;
        Ok(Self::assemble(parts, record, None))
    }
}

fn check_offer(offer: &Offer, floor: Strength) -> Result<(), SiteError> {
    if offer.options(floor).ranked().is_empty() {
        return Err(SiteError::NothingOffered { floor });
    }
    Ok(())
}

fn wrap(
    key: &SiteKey,
    slots: &[NewSlot<'_>],
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> Result<WrappedSiteKey, SiteError> {
    let (first, others) = slots.split_first().ok_or(SiteError::NoSlot)?;
    let mut wrapped = WrappedSiteKey::create(key, *first, now.millis(), entropy)?;
    for slot in others {
        wrapped.add(key, *slot, now.millis(), entropy)?;
    }
    Ok(wrapped)
}

fn changes(
    key: &WrappedSiteKey,
    config: &SiteConfig,
    offer: &Offer,
    sealed_setup: Vec<u8>,
) -> Result<Vec<Change>, serde_json::Error> {
    Ok(vec![
        record::put(record::SITE_KEY, key, 1)?,
        record::put(record::CONFIG, config, 1)?,
        record::put(record::OFFER, offer, 1)?,
        Change::PutSetting {
            name: record::SERVER_SETUP,
            setting: Setting {
                value: sealed_setup,
                revision: 1,
            },
        },
    ])
}
