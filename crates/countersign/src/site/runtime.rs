//! The settings of `serve` that change while the site runs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_core::engine::{
    LoweredSetting, Refusal, RuntimeConfig, RuntimeSetting, SettingSource, StoredSettings,
};
use countersign_server::Reloader;
use countersign_server::delivery::Channels;
use countersign_server::limits::Limits;
use serde_json::Value;
use toml::Table;
use tracing::{error, warn};

use super::listen::proxies;
use super::reload::Settings;
use crate::config::{self, Config, Kind, Setting, hidden};
use crate::failure::Failure;
use crate::log::{LEVEL, Level, Log};

/// The setting of the log's level, which an environment variable overrides.
const LOG_LEVEL: &str = "log.level";

/// The settings of a site, and what they are applied to.
pub(super) struct Runtime {
    running: Mutex<Running>,
    level: Level,
}

struct Running {
    settings: Settings,
    /// The settings in the database.
    stored: StoredSettings,
    /// The server, once it has started.
    server: Option<Reloader>,
}

impl Runtime {
    pub(super) fn new(settings: Settings, log: &Log) -> Self {
        Self {
            running: Mutex::new(Running {
                settings,
                stored: StoredSettings::default(),
                server: None,
            }),
            level: log.level(),
        }
    }

    /// Returns the settings with those in the database. If they do not fit together, a site starts without those in
    /// the database, because only a running site can change them.
    pub(super) fn start(&self, stored: StoredSettings) -> Result<Config, Failure> {
        let mut running = self.running();
        for key in stored.keys() {
            match config::find(key) {
                None => warn!(%key, "the database has a setting that this version does not know"),
                Some(setting) if !setting.applies.in_database() => warn!(
                    %key,
                    "the database has a setting that only the configuration file can have; it has no effect; \
                     remove it with `countersign config unset`"
                ),
                Some(_) => {}
            }
        }
        running.stored = stored;
        let config = match self.usable(&running.settings, &running.stored) {
            Ok(config) => config,
            Err(failure) => {
                error!(
                    problem = failure.message,
                    "the settings in the database do not fit the configuration file and have no effect; \
                     remove one with `countersign config unset`"
                );
                self.usable(&running.settings, &StoredSettings::default())?
            }
        };
        self.level.reload(&config)?;
        Ok(config)
    }

    /// From now on changes are applied to this server. A change that was made while it started is applied now.
    pub(super) fn attach(&self, server: Reloader, started_with: &StoredSettings) {
        let mut running = self.running();
        running.server = Some(server);
        if running.stored != *started_with {
            let config = running.settings.with_stored(&running.stored);
            self.apply_to(&running, config.map(|config| (config, None)));
        }
    }

    /// Reads the file again, on SIGHUP.
    pub(super) fn reload(&self) {
        let mut running = self.running();
        let stored = running.stored.clone();
        let read = running.settings.reload(&stored);
        self.apply_to(
            &running,
            read.map(|(config, channels)| (config, Some(channels))),
        );
    }

    /// Returns the settings, if all of them can take effect.
    fn usable(&self, settings: &Settings, stored: &StoredSettings) -> Result<Config, Failure> {
        let config = settings.with_stored(stored)?;
        self.level.check(&config)?;
        Ok(config)
    }

    /// Applies settings. Channels come with a file that was read again; a change in the database leaves them as
    /// they are and reads no file, because the next change waits for it.
    fn apply_to(&self, running: &Running, read: Result<(Config, Option<Channels>), Failure>) {
        let read = read.and_then(|(config, channels)| {
            self.level.reload(&config)?;
            Ok((config, channels))
        });
        match (read, &running.server) {
            (Ok((config, channels)), Some(server)) => {
                server.reload(config.limits(), proxies(&config));
                if let Some(channels) = channels {
                    server.deliver_over(channels);
                }
            }
            (Ok(_), None) => {}
            (Err(failure), _) => error!(
                problem = failure.message,
                "the settings were not reloaded; the site keeps its current settings"
            ),
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RuntimeConfig for Runtime {
    fn list(&self, stored: &StoredSettings) -> Vec<RuntimeSetting> {
        let running = self.running();
        let settings = &running.settings;
        let config = self.usable(settings, stored);
        let config = config.or_else(|_| self.usable(settings, &StoredSettings::default()));
        let asked = config.ok().map(|config| config.limits());
        let in_force = asked.as_ref().map(|asked| match &running.server {
            Some(server) => server.fitting(asked),
            None => asked.clone(),
        });
        let limits = asked.zip(in_force);
        let with_limits = |setting: &Setting| {
            let listed = listed(setting, settings, stored);
            let lowered = limits.as_ref();
            let lowered =
                lowered.and_then(|(asked, in_force)| lowered_of(setting, &listed, asked, in_force));
            RuntimeSetting { lowered, ..listed }
        };
        config::all().map(with_limits).collect()
    }

    fn check(
        &self,
        key: &str,
        before: &StoredSettings,
        after: &StoredSettings,
    ) -> Result<(), Refusal> {
        let running = self.running();
        let settings = &running.settings;
        let fits = self.usable(settings, after);
        if !after.contains_key(key) {
            // A setting can be removed to make the others fit.
            return match (fits, self.usable(settings, before)) {
                (Err(failure), Ok(_)) => Err(Refusal::invalid("key", failure.message)),
                _ => Ok(()),
            };
        }
        let setting = config::find(key).ok_or_else(|| unknown(key))?;
        let file = settings.path().display();
        if setting.applies.at_reload() && !setting.applies.in_database() {
            return Err(Refusal::conflict(
                format!("{key} can be set only in the configuration file"),
                format!("set it in {file} and send SIGHUP to the site"),
            ));
        }
        if !setting.applies.in_database() {
            return Err(Refusal::conflict(
                format!("{key} cannot be changed while the site runs"),
                format!("set it in {file} and start the site again"),
            ));
        }
        if settings.in_file(key).is_some() {
            return Err(Refusal::conflict(
                format!("the configuration file sets {key} and overrides the database"),
                format!(
                    "change it in {file}, or remove the line there, and send SIGHUP to the site"
                ),
            ));
        }
        if key == LOG_LEVEL && Log::level_is_given() {
            return Err(Refusal::conflict(
                format!("the environment variable {LEVEL} overrides {key}"),
                "start the site without the variable",
            ));
        }
        let config = fits.map_err(|failure| Refusal::invalid("value", failure.message))?;
        match &running.server {
            Some(server) => has_files(setting, &config.limits(), server),
            None => Ok(()),
        }
    }

    fn apply(&self, stored: &StoredSettings) {
        let mut running = self.running();
        running.stored.clone_from(stored);
        let config = running.settings.with_stored(stored);
        self.apply_to(&running, config.map(|config| (config, None)));
    }
}

/// Refuses a limit for which the process may open too few files: the server would lower it.
fn has_files(setting: &Setting, limits: &Limits, server: &Reloader) -> Result<(), Refusal> {
    let Kind::Limit(limit) = &setting.kind else {
        return Ok(());
    };
    let (asked, most) = ((limit.get)(limits), (limit.get)(&server.fitting(limits)));
    if asked <= most {
        return Ok(());
    }
    let key = setting.name();
    Err(Refusal::invalid(
        "value",
        format_args!("this process may open too few files for {key} = {asked}; give at most {most}"),
    )
    .with_hint(
        "to allow more, raise the hard limit on open files of the site's process (ulimit -Hn, LimitNOFILE=) and \
         start it again",
    ))
}

fn unknown(key: &str) -> Refusal {
    let problem = match config::nearest(key) {
        Some(nearest) => format!("there is no setting {key}; did you mean {nearest}?"),
        None => format!("there is no setting {key}"),
    };
    Refusal::invalid("key", problem)
}

fn listed(setting: &Setting, settings: &Settings, stored: &StoredSettings) -> RuntimeSetting {
    let key = setting.name();
    let at_run_time = setting.applies.in_database();
    let in_database = stored.get(&key).filter(|_| at_run_time).cloned();
    let environment = std::env::var(LEVEL).ok();
    let environment = environment.filter(|level| key == LOG_LEVEL && !level.is_empty());
    let overriding = if let Some(flag) = settings.in_flags(&key) {
        Some((flag.into(), SettingSource::Flag))
    } else if let Some(level) = environment {
        Some((level.into(), SettingSource::Environment))
    } else {
        let value = settings.in_file(&key).map(json);
        let value = value.map(|value| hidden::shown(setting, value));
        value.map(|value| (value, SettingSource::File))
    };
    let (value, source, overridden) = match (overriding, in_database) {
        (Some((value, source)), overridden) => (Some(value), source, overridden),
        (None, Some(value)) => (Some(value), SettingSource::Database, None),
        (None, None) => (default(setting), SettingSource::Default, None),
    };
    RuntimeSetting {
        key,
        value,
        source,
        at_run_time,
        overridden,
        lowered: None,
    }
}

/// What a limit was lowered to: a default to fit another limit (`asked`), any limit to fit the files that the process
/// may open (`in_force`).
fn lowered_of(
    setting: &Setting,
    listed: &RuntimeSetting,
    asked: &Limits,
    in_force: &Limits,
) -> Option<LoweredSetting> {
    let Kind::Limit(limit) = &setting.kind else {
        return None;
    };
    let shown = listed.value.as_ref()?.as_u64()?;
    let (asked, in_force) = ((limit.get)(asked), (limit.get)(in_force));
    if in_force >= shown {
        return None;
    }
    let to_fit = match in_force < asked {
        true => LoweredSetting::OPEN_FILES.to_owned(),
        false => config::bound_of(setting)?,
    };
    Some(LoweredSetting { in_force, to_fit })
}

fn json(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The default of a setting; `None` if it has none.
fn default(setting: &Setting) -> Option<Value> {
    let preset = setting.preset().ok()?;
    let table: Table = format!("value = {preset}").parse().ok()?;
    table.get("value").map(json)
}

#[cfg(test)]
mod tests {
    use countersign_proto::operation::Code;
    use serde_json::json;

    use super::*;

    fn stored(settings: &[(&str, Value)]) -> StoredSettings {
        let settings = settings.iter().cloned();
        settings
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn runtime(file: &std::path::Path, level: Level) -> Runtime {
        let mut settings = Settings::without_flags(file.to_owned());
        settings.reload(&StoredSettings::new()).unwrap();
        Runtime {
            running: Mutex::new(Running {
                settings,
                stored: StoredSettings::new(),
                server: None,
            }),
            level,
        }
    }

    /// With a stolen session of an admin, an attacker set its own `webhook.url` and a file of the site as
    /// `webhook.authorization_file`, and read the file in the next request.
    #[test]
    fn no_admin_can_set_where_the_site_sends_alarms_and_which_files_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (level, _layer) = Level::of_no_log();
        let runtime = runtime(&folder.path().join("countersign.toml"), level);
        let before = StoredSettings::new();
        let mut refused = 0;
        for setting in config::all() {
            let key = setting.name();
            let is_channel = ["mail", "webhook"].contains(&setting.section);
            if !is_channel && key != "listen.public_url" {
                continue;
            }
            let preset = setting.preset().unwrap_or_else(str::to_owned);
            let table: Table = format!("value = {preset}").parse().unwrap();
            let after = stored(&[(&key, json(&table["value"]))]);
            let refusal = runtime.check(&key, &before, &after).unwrap_err();
            assert_eq!(refusal.kind(), Code::CONFLICT, "{key}");
            // One that an earlier version stored can be removed.
            assert!(runtime.check(&key, &after, &before).is_ok(), "{key}");
            let listed = runtime.list(&after);
            let listed = listed.iter().find(|one| one.key == key).unwrap();
            assert!(!listed.at_run_time && listed.source == SettingSource::Default);
            refused += 1;
        }
        assert_eq!(refused, 21);
    }

    /// `config list` showed a default that was lowered to fit another limit as if it were in force.
    #[test]
    fn a_lowered_default_is_listed_with_the_value_in_force_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("countersign.toml");
        std::fs::write(&file, "version = 1\n[limits]\nconnections = 100\n").unwrap();
        let (level, _layer) = Level::of_no_log();
        let runtime = runtime(&file, level);
        let stored = stored(&[("limits.sessions_per_account", json!(8))]);
        let listed = runtime.list(&stored);
        let lowered = |key: &str| {
            let found = listed.iter().find(|setting| setting.key == key).unwrap();
            (found.source, found.lowered.clone())
        };
        let to = |in_force, to_fit: &str| {
            let to_fit = to_fit.to_owned();
            Some(LoweredSetting { in_force, to_fit })
        };
        for (key, source, expected) in [
            ("limits.connections", SettingSource::File, None),
            (
                "limits.connections_per_network",
                SettingSource::Default,
                to(100, "limits.connections"),
            ),
            ("limits.sessions_per_account", SettingSource::Database, None),
            (
                "limits.suspended_sessions_per_account",
                SettingSource::Default,
                to(7, "limits.sessions_per_account"),
            ),
            ("limits.unauthenticated", SettingSource::Default, None),
        ] {
            assert_eq!(lowered(key), (source, expected), "{key}");
        }
    }

    #[test]
    fn a_start_ignores_stored_settings_that_do_not_fit_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("countersign.toml");
        let lines = "version = 1\n[limits]\nunauthenticated_per_network = 9\n";
        std::fs::write(&file, lines).unwrap();
        let (level, _layer) = Level::of_no_log();
        let runtime = runtime(&file, level);
        let without = runtime.start(StoredSettings::new()).unwrap();
        let fits = stored(&[("limits.unauthenticated", json!(10))]);
        let config = runtime.start(fits.clone()).unwrap();
        assert_eq!(config.limits().unauthenticated, 10);
        let not = stored(&[("limits.unauthenticated", json!(8))]);
        let refused = runtime.check("limits.unauthenticated", &fits, &not);
        assert!(refused.is_err());
        let config = runtime.start(not).unwrap();
        assert_eq!(config.limits(), without.limits());
    }
}
