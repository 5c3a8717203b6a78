//! The site's own settings in the store, and their copy in memory.

use std::sync::{Arc, PoisonError, RwLockReadGuard};

use countersign_proto::name::Zone;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::SiteError;
use super::runtime::{RUNTIME, StoredSettings};
use crate::engine::{Refusal, Site};
use crate::lockdown::Lockdowns;
use crate::offer::Offer;
use crate::site_key::{BrokerKeys, KeyRecord, Setups, StoredBrokerKeys};
use crate::store::{Change, Setting, Store, StoreError};
use crate::timestamp::Timestamp;
use crate::web_origin::WebOrigin;

pub(super) use crate::site_key::{BROKER_KEYS, SERVER_SETUPS, SITE_KEY};

pub(super) const CONFIG: &str = "config";
/// The name of the setting with the lockdowns in force, as JSON.
pub(in crate::engine) const LOCKDOWNS: &str = "lockdowns";
/// The name of the setting with the encryption options on offer: an [`Offer`], as JSON.
pub const OFFER: &str = "encryption_options";
/// The name of the setting with the time of the newest backup: a [`Timestamp`], as JSON.
pub const LAST_BACKUP: &str = "last_backup";

/// The settings that an admin can change. They are in the store, so that all nodes of a site share
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// The zone of account names that are given without one. Fixed when the site is created.
    #[schemars(with = "String")]
    pub zone: Zone,
    /// The lifetime of a session, in seconds. Then its account has to log in again.
    pub session_lifetime: u32,
    /// The lifetime of a session's keys, in seconds. The client has to renew them before it ends.
    #[serde(default = "key_lifetime")]
    pub key_lifetime: u32,
    /// The greatest lifetime of a new access token, in seconds.
    #[serde(default = "access_token_lifetime")]
    pub access_token_lifetime: u32,
    /// The origins of web pages that may call operations over HTTP (CORS); none by default.
    #[serde(default)]
    pub web_origins: Vec<WebOrigin>,
}

fn access_token_lifetime() -> u32 {
    SiteConfig::ACCESS_TOKEN_LIFETIME
}

fn key_lifetime() -> u32 {
    SiteConfig::KEY_LIFETIME
}

impl SiteConfig {
    /// The default lifetime of a session, in seconds: 12 hours, so that a working day needs one
    /// login.
    pub const SESSION_LIFETIME: u32 = 12 * 60 * 60;
    /// The default lifetime of a session's keys, in seconds: one hour. It bounds how much traffic a
    /// stolen key decrypts and how long a session can stay suspended.
    pub const KEY_LIFETIME: u32 = 60 * 60;
    /// The default of the greatest lifetime of an access token, in seconds: 90 days, so that a
    /// forgotten token ends within a quarter of a year.
    pub const ACCESS_TOKEN_LIFETIME: u32 = 90 * 24 * 60 * 60;
    /// The maximum number of web origins.
    pub const MAX_WEB_ORIGINS: usize = 16;
}

/// The copy of the settings in memory.
pub(in crate::engine) struct SiteRecord {
    pub(in crate::engine) config: SiteConfig,
    pub(super) config_revision: u64,
    /// What admins set of the settings of the program that runs the site.
    pub(super) runtime: StoredSettings,
    pub(super) runtime_revision: u64,
    /// The encryption options on offer.
    pub(in crate::engine) offer: Offer,
    pub(super) offer_revision: u64,
    pub(in crate::engine) key: KeyRecord,
    /// The lockdowns in force.
    pub(in crate::engine) lockdowns: Arc<Lockdowns>,
    pub(in crate::engine) lockdowns_revision: u64,
    pub(super) key_revision: u64,
    /// The OPAQUE server setups, sealed under the root secret.
    pub(super) sealed_setups: Vec<u8>,
    pub(super) setups_revision: u64,
    /// The broker's keys, sealed likewise.
    pub(super) sealed_broker_keys: Vec<u8>,
    pub(super) broker_keys_revision: u64,
}

impl SiteRecord {
    /// Reads the settings; `None` if the store contains no site yet.
    pub(super) async fn read(store: &dyn Store) -> Result<Option<Self>, SiteError> {
        let Some(key) = store.setting(SITE_KEY).await? else {
            return Ok(None);
        };
        let missing = |name: &str| {
            SiteError::Store(StoreError::Damaged {
                problem: format!("the setting {name} is missing"),
            })
        };
        let config = store
            .setting(CONFIG)
            .await?
            .ok_or_else(|| missing(CONFIG))?;
        let setups = store
            .setting(SERVER_SETUPS)
            .await?
            .ok_or_else(|| missing(SERVER_SETUPS))?;
        let broker_keys = store
            .setting(BROKER_KEYS)
            .await?
            .ok_or_else(|| missing(BROKER_KEYS))?;
        // A site from before this setting existed offers the default options.
        let (offer, offer_revision) = match store.setting(OFFER).await? {
            Some(offer) => (parse(OFFER, &offer)?, offer.revision),
            None => (Offer::default(), 0),
        };
        let (runtime, runtime_revision) = match store.setting(RUNTIME).await? {
            Some(runtime) => (parse(RUNTIME, &runtime)?, runtime.revision),
            None => (StoredSettings::default(), 0),
        };
        let (lockdowns, lockdowns_revision) = match store.setting(LOCKDOWNS).await? {
            Some(lockdowns) => (parse(LOCKDOWNS, &lockdowns)?, lockdowns.revision),
            None => (Lockdowns::default(), 0),
        };
        Ok(Some(Self {
            config: parse(CONFIG, &config)?,
            config_revision: config.revision,
            runtime,
            runtime_revision,
            offer,
            offer_revision,
            key: parse(SITE_KEY, &key)?,
            lockdowns: Arc::new(lockdowns),
            lockdowns_revision,
            key_revision: key.revision,
            sealed_setups: setups.value,
            setups_revision: setups.revision,
            sealed_broker_keys: broker_keys.value,
            broker_keys_revision: broker_keys.revision,
        }))
    }
}

/// Returns the change that stores `value` under this name.
pub(in crate::engine) fn put(
    name: &'static str,
    value: &impl Serialize,
    revision: u64,
) -> Result<Change, serde_json::Error> {
    let value = serde_json::to_vec(value)?;
    Ok(Change::PutSetting {
        name,
        setting: Setting { value, revision },
    })
}

fn parse<T: DeserializeOwned>(name: &str, setting: &Setting) -> Result<T, SiteError> {
    serde_json::from_slice(&setting.value).map_err(|error| {
        SiteError::Store(StoreError::Damaged {
            problem: format!("the setting {name} cannot be read: {error}"),
        })
    })
}

impl Site {
    pub(in crate::engine) fn record(&self) -> RwLockReadGuard<'_, SiteRecord> {
        self.0.record.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the change that stores the time of the newest backup.
    pub(crate) async fn record_backup(store: &dyn Store, at: Timestamp) -> Result<Change, Refusal> {
        let was = store.setting(LAST_BACKUP).await?;
        let revision = was.map_or(0, |setting| setting.revision).saturating_add(1);
        put(LAST_BACKUP, &at, revision).map_err(|error| Refusal::internal(error.to_string()))
    }

    /// Returns the time of the newest backup.
    pub(crate) async fn last_backup(&self) -> Result<Option<Timestamp>, StoreError> {
        let last = self.store().setting(LAST_BACKUP).await?;
        let parsed = last.map(|setting| serde_json::from_slice(&setting.value));
        parsed.transpose().map_err(|error| StoreError::Damaged {
            problem: format!("the setting {LAST_BACKUP} cannot be read: {error}"),
        })
    }

    /// Replaces a setting in memory after its commit. Calls are in commit order.
    pub(crate) fn renew_setting(&self, name: &str, setting: &Setting) {
        let record = self.0.record.write();
        let mut throttle = record.unwrap_or_else(PoisonError::into_inner);
        let record = &mut *throttle;
        match name {
            CONFIG => replace(&mut record.config, &mut record.config_revision, setting),
            RUNTIME => replace(&mut record.runtime, &mut record.runtime_revision, setting),
            LOCKDOWNS => {
                let mut lockdowns = Lockdowns::clone(&record.lockdowns);
                replace(&mut lockdowns, &mut record.lockdowns_revision, setting);
                record.lockdowns = Arc::new(lockdowns);
            }
            OFFER => replace(&mut record.offer, &mut record.offer_revision, setting),
            // A notice tells the new key after a rotation.
            SITE_KEY => replace(&mut record.key, &mut record.key_revision, setting),
            SERVER_SETUPS => {
                record.sealed_setups = setting.value.clone();
                record.setups_revision = setting.revision;
                drop(throttle);
                self.renew_unsealed();
            }
            BROKER_KEYS => {
                record.sealed_broker_keys = setting.value.clone();
                record.broker_keys_revision = setting.revision;
                drop(throttle);
                self.renew_unsealed();
            }
            // Other settings are read from the store when they are needed.
            _ => {}
        }
    }

    /// Returns the changed configuration and the change to commit.
    pub(crate) fn change_config(
        &self,
        change: impl FnOnce(&mut SiteConfig),
    ) -> Result<(SiteConfig, Change), Refusal> {
        let record = self.record();
        let mut config = record.config.clone();
        change(&mut config);
        let revision = record.config_revision.saturating_add(1);
        let change =
            put(CONFIG, &config, revision).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok((config, change))
    }

    /// Returns a copy of the encryption options on offer and the revision for a changed offer.
    pub(crate) fn offer(&self) -> (Offer, u64) {
        let record = self.record();
        (
            record.offer.clone(),
            record.offer_revision.saturating_add(1),
        )
    }

    /// Returns the change that stores an offer.
    pub(crate) fn store_offer(offer: &Offer, revision: u64) -> Result<Change, Refusal> {
        put(OFFER, offer, revision).map_err(|error| Refusal::internal(error.to_string()))
    }

    /// Returns the change that stores changed keys of the broker. It is based on the stored keys, so
    /// that of two changes at once one is stale.
    pub(crate) fn change_broker_keys(
        &self,
        change: impl FnOnce(&BrokerKeys, &mut StoredBrokerKeys) -> Result<(), Refusal>,
    ) -> Result<Change, Refusal> {
        let opened = self.expect_unsealed()?;
        let record = self.record();
        let damaged = || Refusal::internal("the stored keys of the broker are damaged");
        let stored = StoredBrokerKeys::open(&opened.root, &record.sealed_broker_keys);
        let mut stored = stored.ok_or_else(damaged)?;
        let keys = |stored: &StoredBrokerKeys| {
            BrokerKeys::new(&opened.root, record.config.zone.to_string(), stored)
        };
        let before = keys(&stored).map_err(|_| damaged())?;
        change(&before, &mut stored)?;
        // Checked before the keys are stored, so that the broker never has one that it cannot use.
        keys(&stored).map_err(|error| Refusal::invalid("private_key", error))?;
        let sealed = stored.sealed(&opened.root, &mut self.entropy());
        Ok(Change::PutSetting {
            name: BROKER_KEYS,
            setting: Setting {
                value: sealed.map_err(|error| Refusal::internal(error.to_string()))?,
                revision: record.broker_keys_revision.saturating_add(1),
            },
        })
    }

    /// Returns changed OPAQUE server setups and the change that stores them, which is based on the
    /// stored ones.
    pub(crate) fn change_setups(
        &self,
        change: impl FnOnce(Setups) -> Result<Setups, Refusal>,
    ) -> Result<(Setups, Change), Refusal> {
        let opened = self.expect_unsealed()?;
        let (sealed, revision) = {
            let record = self.record();
            (record.sealed_setups.clone(), record.setups_revision)
        };
        let damaged = || Refusal::internal("the stored OPAQUE server setups are damaged");
        let stored = Setups::open(&opened.root, &sealed).ok_or_else(damaged)?;
        let setups = change(stored)?;
        let sealed = setups.sealed(&opened.root, &mut self.entropy());
        let change = Change::PutSetting {
            name: SERVER_SETUPS,
            setting: Setting {
                value: sealed.map_err(|error| Refusal::internal(error.to_string()))?,
                revision: revision.saturating_add(1),
            },
        };
        Ok((setups, change))
    }

    /// Returns a copy of the stored site key and the revision for a changed one.
    pub(crate) fn key_record(&self) -> (KeyRecord, u64) {
        let record = self.record();
        (record.key.clone(), record.key_revision.saturating_add(1))
    }

    /// Returns the change that stores a changed site key or its slots.
    pub(crate) fn store_key(key: &KeyRecord, revision: u64) -> Result<Change, Refusal> {
        put(SITE_KEY, key, revision).map_err(|error| Refusal::internal(error.to_string()))
    }
}

/// Replaces a setting in memory. Only this program writes settings, so the value parses; if it did
/// not, memory would stay as it is and the next start would report the setting as damaged.
fn replace<T: DeserializeOwned>(value: &mut T, revision: &mut u64, setting: &Setting) {
    if let Ok(new) = serde_json::from_slice(&setting.value) {
        *value = new;
        *revision = setting.revision;
    }
}
