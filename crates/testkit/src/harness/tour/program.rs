//! The settings of the program that runs the site of a tour.

use std::sync::Arc;

use countersign_core::engine::{
    Refusal, RuntimeConfig, RuntimeSetting, SettingSource, StoredSettings,
};

use super::super::TestSite;

const KEY: &str = "limits.sessions_per_account";

/// A program with one setting.
struct Program;

/// Runs a site in this program.
pub(super) fn configure(test: &TestSite) {
    test.site.configure_with(Arc::new(Program));
}

impl RuntimeConfig for Program {
    fn list(&self, stored: &StoredSettings) -> Vec<RuntimeSetting> {
        let value = stored.get(KEY).cloned();
        vec![RuntimeSetting {
            key: KEY.to_owned(),
            source: match value {
                Some(_) => SettingSource::Database,
                None => SettingSource::Default,
            },
            value: value.or_else(|| Some(8.into())),
            at_run_time: true,
            overridden: None,
            lowered: None,
        }]
    }

    fn check(&self, key: &str, _: &StoredSettings, after: &StoredSettings) -> Result<(), Refusal> {
        if key != KEY {
            return Err(Refusal::not_found("setting", key).of_field("key"));
        }
        match after.get(key) {
            Some(value) if !value.is_u64() => Err(Refusal::invalid("value", "is not a number")),
            _ => Ok(()),
        }
    }

    fn apply(&self, _: &StoredSettings) {}
}
