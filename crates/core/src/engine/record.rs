//! What a site keeps about itself, as settings in the store.

use std::sync::{PoisonError, RwLockReadGuard};

use countersign_crypto::secret::SecretText;
use countersign_crypto::site_key_slots::WrappedSiteKey;
use countersign_proto::name::Zone;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Site, SiteError};
use crate::engine::Refusal;
use crate::offer::Offer;
use crate::site_key::{V1Key, seal_v1_keys};
use crate::store::{Change, Setting, Store, StoreError};
use crate::timestamp::Timestamp;

pub(super) const SITE_KEY: &str = "site_key";
pub(super) const SERVER_SETUP: &str = "server_setup";
pub(super) const V1_KEYS: &str = "broker_v1_keys";
pub(super) const CONFIG: &str = "config";
/// The setting with what the site offers: an [`Offer`], as JSON.
pub const OFFER: &str = "encryption_options";
/// The setting with the time of the newest backup: a [`Timestamp`], as JSON.
pub const LAST_BACKUP: &str = "last_backup";

/// What the admin may set; kept in the store, so that every node of a site has the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// The zone of names that are given without one. Settled when the site is made.
    #[schemars(with = "String")]
    pub zone: Zone,
    /// How long a session lasts, in seconds, before its account has to log in anew.
    pub session_lifetime: u32,
    /// How long a session's keys last, in seconds: a client renews them before that.
    #[serde(default = "key_lifetime")]
    pub key_lifetime: u32,
}

fn key_lifetime() -> u32 {
    SiteConfig::KEY_LIFETIME
}

impl SiteConfig {
    /// Half a day: a working day ends with a new login.
    pub const SESSION_LIFETIME: u32 = 12 * 60 * 60;
    /// An hour: a client that is gone for longer has to log in, and what one stolen key opens is short.
    pub const KEY_LIFETIME: u32 = 60 * 60;
}

/// What is kept in memory of the settings.
pub(super) struct SiteRecord {
    pub(super) config: SiteConfig,
    pub(super) config_revision: u64,
    /// The encryption options on offer.
    pub(super) offer: Offer,
    pub(super) offer_revision: u64,
    pub(super) wrapped_key: WrappedSiteKey,
    pub(super) key_revision: u64,
    /// The OPAQUE server setup, sealed under a key that follows from the site key.
    pub(super) sealed_setup: Vec<u8>,
    /// The broker's keys of edition v1, sealed likewise, if there are any.
    pub(super) sealed_v1_keys: Option<Vec<u8>>,
    pub(super) v1_keys_revision: u64,
}

impl SiteRecord {
    /// `None` when the store holds no site yet.
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
        let setup = store
            .setting(SERVER_SETUP)
            .await?
            .ok_or_else(|| missing(SERVER_SETUP))?;
        // A site that was made before options were kept offers what a new one does.
        let (offer, offer_revision) = match store.setting(OFFER).await? {
            Some(offer) => (parse(OFFER, &offer)?, offer.revision),
            None => (Offer::default(), 0),
        };
        let v1_keys = store.setting(V1_KEYS).await?;
        Ok(Some(Self {
            config: parse(CONFIG, &config)?,
            config_revision: config.revision,
            offer,
            offer_revision,
            wrapped_key: parse(SITE_KEY, &key)?,
            key_revision: key.revision,
            sealed_setup: setup.value,
            v1_keys_revision: v1_keys.as_ref().map_or(0, |setting| setting.revision),
            sealed_v1_keys: v1_keys.map(|setting| setting.value),
        }))
    }
}

/// The change that keeps `value` under that name.
pub(super) fn put(
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
            problem: format!("the setting {name} does not read: {error}"),
        })
    })
}

impl Site {
    pub(super) fn record(&self) -> RwLockReadGuard<'_, SiteRecord> {
        self.0.record.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The change that keeps the time of the newest backup.
    pub(crate) async fn record_backup(store: &dyn Store, at: Timestamp) -> Result<Change, Refusal> {
        let was = store.setting(LAST_BACKUP).await?;
        let revision = was.map_or(0, |setting| setting.revision).saturating_add(1);
        put(LAST_BACKUP, &at, revision).map_err(|error| Refusal::internal(error.to_string()))
    }

    /// A committed setting replaces the one in memory. Commits arrive in their order.
    pub(crate) fn renew_setting(&self, name: &str, setting: &Setting) {
        let record = self.0.record.write();
        let mut throttle = record.unwrap_or_else(PoisonError::into_inner);
        let record = &mut *throttle;
        match name {
            CONFIG => replace(&mut record.config, &mut record.config_revision, setting),
            OFFER => replace(&mut record.offer, &mut record.offer_revision, setting),
            SITE_KEY => replace(&mut record.wrapped_key, &mut record.key_revision, setting),
            V1_KEYS => {
                record.sealed_v1_keys = Some(setting.value.clone());
                record.v1_keys_revision = setting.revision;
                let zone = record.config.zone.clone();
                drop(throttle);
                self.renew_v1_keys(&zone, &setting.value);
            }
            // The others are read from the store when they are needed.
            _ => {}
        }
    }

    /// The configuration after `change`, and the change to commit.
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

    /// The encryption options on offer, to be changed in a copy, and the revision that the copy will have.
    pub(crate) fn offer(&self) -> (Offer, u64) {
        let record = self.record();
        (
            record.offer.clone(),
            record.offer_revision.saturating_add(1),
        )
    }

    /// The change that keeps an offer.
    pub(crate) fn keep_offer(offer: &Offer, revision: u64) -> Result<Change, Refusal> {
        put(OFFER, offer, revision).map_err(|error| Refusal::internal(error.to_string()))
    }

    /// The change that puts one more key before the broker's keys of edition v1, of which the newest `kept` stay.
    pub(crate) fn add_v1_key(
        &self,
        private: SecretText,
        kept: usize,
        now: Timestamp,
    ) -> Result<Change, Refusal> {
        let opened = self.expect_open()?;
        let record = self.record();
        let mut keys = opened.v1_keys.clone();
        keys.keys.truncate(kept);
        keys.keys.insert(
            0,
            V1Key {
                private,
                added: now,
            },
        );
        let internal = |error: serde_json::Error| Refusal::internal(error.to_string());
        let sealed = seal_v1_keys(&opened.key, &keys, &mut self.entropy()).map_err(internal)?;
        // A key that the broker cannot use is refused before it is stored.
        opened
            .with_v1_keys(&record.config.zone, keys)
            .map_err(|error| Refusal::invalid("private_key", error))?;
        let setting = Setting {
            value: sealed,
            revision: record.v1_keys_revision.saturating_add(1),
        };
        let name = V1_KEYS;
        Ok(Change::PutSetting { name, setting })
    }

    /// The wrapped site key, to be changed in a copy, and the revision that the copy will have.
    pub(crate) fn wrapped_key(&self) -> (WrappedSiteKey, u64) {
        let record = self.record();
        (
            record.wrapped_key.clone(),
            record.key_revision.saturating_add(1),
        )
    }

    /// The change that keeps a wrapped site key.
    pub(crate) fn rewrap_key(key: &WrappedSiteKey, revision: u64) -> Result<Change, Refusal> {
        put(SITE_KEY, key, revision).map_err(|error| Refusal::internal(error.to_string()))
    }
}

/// Only this program writes settings, in the form that it reads: one that does not read changes nothing in memory,
/// and is found when the site is opened next.
fn replace<T: DeserializeOwned>(value: &mut T, revision: &mut u64, setting: &Setting) {
    if let Ok(new) = serde_json::from_slice(&setting.value) {
        *value = new;
        *revision = setting.revision;
    }
}
