//! Settings of the program around a site that an admin changes while the site runs, such as the limits of a server.
//!
//! The store holds what admins set. The program knows the settings, checks a change and applies it
//! ([`RuntimeConfig`]). After a commit, the projection tells the program, so that a change takes effect with its
//! commit and whatever becomes of the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::record::put;
use crate::engine::{Refusal, Site};
use crate::store::Change;

/// The name of the setting in the store that holds what admins set, as JSON.
pub(super) const RUNTIME: &str = "runtime_settings";

/// The settings in the store: their values by name, such as `limits.connections`.
pub type StoredSettings = BTreeMap<String, Value>;

/// The settings of the program that runs a site.
pub trait RuntimeConfig: Send + Sync {
    /// Returns all settings, also those that need a restart. `stored` are the settings in the store.
    fn list(&self, stored: &StoredSettings) -> Vec<RuntimeSetting>;

    /// Checks a change of one setting. `before` and `after` are the settings in the store; `after` lacks `key` if
    /// the setting is removed.
    ///
    /// # Errors
    /// The refusal of the change: an unknown setting, an invalid value, or a value that has no effect.
    fn check(
        &self,
        key: &str,
        before: &StoredSettings,
        after: &StoredSettings,
    ) -> Result<(), Refusal>;

    /// Applies the settings in the store, in the order of commits. Must not block, because the next change waits.
    fn apply(&self, stored: &StoredSettings);
}

/// A setting, its value and where the value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RuntimeSetting {
    /// The name of the setting, such as `limits.connections`.
    pub key: String,
    /// The value; absent if the setting has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Where the value comes from.
    pub source: SettingSource,
    /// Whether `config set` can change the setting while the site runs.
    pub at_run_time: bool,
    /// The value in the database, if the file or the environment overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Value>,
    /// The lower value that is in force instead; absent if `value` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowered: Option<LoweredSetting>,
}

/// The value in force of a setting that the program lowered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LoweredSetting {
    /// The value in force.
    pub in_force: u64,
    /// What the value has to fit: the name of another setting, such as `limits.connections`, or `open_files` for the
    /// number of files that the process may open (`ulimit -Hn`).
    pub to_fit: String,
}

impl LoweredSetting {
    /// The name in [`LoweredSetting::to_fit`] of the number of files that the process may open.
    pub const OPEN_FILES: &str = "open_files";
}

impl fmt::Display for LoweredSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_force, to_fit } = self;
        let to_fit = match to_fit.as_str() {
            Self::OPEN_FILES => "the number of files that the process may open",
            setting => setting,
        };
        write!(f, "lowered to {in_force} to fit {to_fit}")
    }
}

/// Where the value of a setting comes from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// A flag of the command line, or its environment variable.
    Flag,
    /// An environment variable without a flag.
    Environment,
    /// The configuration file.
    File,
    /// The database: `config set`.
    Database,
    /// The default.
    Default,
}

impl SettingSource {
    /// Returns the name of the source in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Database => "database",
            Self::Default => "default",
        }
    }
}

impl Site {
    /// Sets the settings of the program that runs this site. From now on admins can change them. It is called with
    /// each change; call [`Site::stored_settings`] for the present values.
    pub fn configure_with(&self, config: Arc<dyn RuntimeConfig>) {
        let slot = self.0.runtime.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = Some(config);
    }

    /// Returns the settings in the store. They are available while the site is sealed too.
    #[must_use]
    pub fn stored_settings(&self) -> StoredSettings {
        self.record().runtime.clone()
    }

    /// Returns the settings of the program.
    pub(crate) fn runtime_config(&self) -> Result<Arc<dyn RuntimeConfig>, Refusal> {
        let slot = self.0.runtime.read();
        let slot = slot.unwrap_or_else(PoisonError::into_inner);
        slot.clone().ok_or_else(|| {
            Refusal::conflict(
                "the program that runs this site has no settings that can be changed while it runs",
                "change its configuration and start it again",
            )
        })
    }

    /// Returns the changed settings, from `change` on a copy, and the change to commit.
    pub(crate) fn change_settings(
        &self,
        change: impl FnOnce(&mut StoredSettings),
    ) -> Result<(StoredSettings, Change), Refusal> {
        let record = self.record();
        let mut settings = record.runtime.clone();
        change(&mut settings);
        let revision = record.runtime_revision.saturating_add(1);
        let change = put(RUNTIME, &settings, revision)
            .map_err(|error| Refusal::internal(error.to_string()))?;
        Ok((settings, change))
    }

    /// Tells the program that the setting with this name in the store was changed.
    pub(crate) fn apply_setting(&self, name: &str) {
        if name == RUNTIME
            && let Ok(config) = self.runtime_config()
        {
            config.apply(&self.stored_settings());
        }
    }
}
