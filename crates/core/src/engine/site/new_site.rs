//! Creating a site and opening an existing one.

use std::sync::Arc;

use countersign_crypto::site_key_slots::{NewSlot, SlotError};
use countersign_proto::name::Zone;
use countersign_proto::session::Strength;

use super::Parts;
use super::record::{self, SiteConfig, SiteRecord};
use super::runtime::StoredSettings;
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::engine::Site;
use crate::offer::Offer;
use crate::site_key::{KeyRecord, NewKeyError, Setups, StoredBrokerKeys, UnsealedKeys};
use crate::store::{Change, ChangeSet, Setting, Store, StoreError, Thing};
use crate::timestamp::Timestamp;

/// The parameters of a new site.
pub struct NewSite<'a> {
    /// The zone of account names that are given without one. It is part of every name, so it cannot
    /// change.
    pub zone: Zone,
    /// The key slots of the site key; at least one.
    pub slots: &'a [NewSlot<'a>],
    /// The key slots of the next site key, to which the first key event commits; at least one. Keep
    /// their secrets apart from the site: `site key new` asks for one.
    pub next_slots: &'a [NewSlot<'a>],
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

impl From<NewKeyError> for SiteError {
    fn from(error: NewKeyError) -> Self {
        match error {
            NewKeyError::NoSlot => Self::NoSlot,
            NewKeyError::Slot(error) => error.into(),
            NewKeyError::Events(error) => unwritten(error),
        }
    }
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
        let (slots, next_slots) = (new_site.slots, new_site.next_slots);
        let new = KeyRecord::generate(slots, next_slots, now, entropy)?;
        let setups = Setups::generate(now, entropy);
        let broker_keys = StoredBrokerKeys::generate(now, entropy);
        let sealed = Sealed {
            setups: setups.sealed(&new.root, entropy).map_err(unwritten)?,
            broker_keys: broker_keys.sealed(&new.root, entropy).map_err(unwritten)?,
        };
        let config = SiteConfig {
            zone: new_site.zone,
            session_lifetime: SiteConfig::SESSION_LIFETIME,
            key_lifetime: SiteConfig::KEY_LIFETIME,
            access_token_lifetime: SiteConfig::ACCESS_TOKEN_LIFETIME,
            web_origins: Vec::new(),
        };
        let offer = parts.offer.clone();
        let changes = changes(&new.record, &config, &offer, &sealed).map_err(unwritten)?;
        let details = serde_json::json!({
            "site": new.record.known.id().to_string(),
            "site_key": new.key.public().to_string(),
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
        let events = new.record.events.clone();
        let (key, zone) = (Arc::new(new.key), &config.zone);
        let opened = UnsealedKeys::new(key, events, new.root, setups, zone, broker_keys)
            .map_err(unwritten)?;
        let record = SiteRecord {
            config,
            config_revision: 1,
            runtime: StoredSettings::default(),
            runtime_revision: 0,
            offer,
            offer_revision: 1,
            key: new.record,
            lockdowns: Arc::default(),
            lockdowns_revision: 0,
            key_revision: 1,
            sealed_setups: sealed.setups,
            setups_revision: 1,
            sealed_broker_keys: sealed.broker_keys,
            broker_keys_revision: 1,
        };
        let root = opened.root.clone();
        let site = Self::assemble(parts, record, Some(opened));
        site.broker().cache().open_with(Some(root));
        Ok(site)
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
        let site = Self::assemble(parts, record, None);
        site.recall_voids().await?;
        Ok(site)
    }
}

fn check_offer(offer: &Offer, floor: Strength) -> Result<(), SiteError> {
    if offer.options(floor).ranked().is_empty() {
        return Err(SiteError::NothingOffered { floor });
    }
    Ok(())
}

/// The secrets of a new site, sealed under its root secret.
struct Sealed {
    setups: Vec<u8>,
    broker_keys: Vec<u8>,
}

fn unwritten(error: impl std::fmt::Display) -> SiteError {
    SiteError::Store(StoreError::Unavailable {
        problem: error.to_string(),
    })
}

fn changes(
    key: &KeyRecord,
    config: &SiteConfig,
    offer: &Offer,
    sealed: &Sealed,
) -> Result<Vec<Change>, serde_json::Error> {
    let put = |name, value: &Vec<u8>| Change::PutSetting {
        name,
        setting: Setting {
            value: value.clone(),
            revision: 1,
        },
    };
    Ok(vec![
        record::put(record::SITE_KEY, key, 1)?,
        record::put(record::CONFIG, config, 1)?,
        record::put(record::OFFER, offer, 1)?,
        put(record::SERVER_SETUPS, &sealed.setups),
        put(record::BROKER_KEYS, &sealed.broker_keys),
    ])
}
