//! The settings of a running site: a flag overrides an environment variable, which overrides the file, which
//! overrides the database (`config set`), which overrides the default.
//!
//! SIGHUP reads the file again. A change in the database comes from the projection of the site. Both apply what does
//! not need a restart.

use std::path::{Path, PathBuf};

use countersign_core::engine::StoredSettings;
use countersign_server::delivery::Channels;
use toml::{Table, Value};
use tracing::{info, warn};

use super::channels::channels;
use super::folder::Folder;
use super::listen::{Listen, apply_flags};
use crate::config::{self, Config, hidden};
use crate::failure::{Exit, Failure};
use crate::input;
use crate::log::Log;

/// The sources of a site's settings.
pub(super) struct Settings {
    /// The file that a flag names.
    file: Option<PathBuf>,
    /// The file in the site's folder.
    usual: PathBuf,
    /// Flags, which override the file.
    listen: Listen,
    /// The content of the file when it was last read.
    table: Table,
}

impl Settings {
    /// Reads the settings of the site in `folder`.
    pub(super) fn read(
        file: Option<PathBuf>,
        folder: &Folder,
        listen: Listen,
    ) -> Result<(Self, Config), Failure> {
        let mut settings = Self {
            file,
            usual: Folder::config_in(folder.path()),
            listen,
            table: Table::new(),
        };
        let (config, table) = settings.read_again()?;
        settings.table = table;
        Ok((settings, config))
    }

    /// Returns the settings of a configuration file with this text, which is about to be written into the folder of
    /// a new site.
    pub(super) fn of_new_file(text: &str, folder: &Folder, listen: Listen) -> Self {
        Self {
            file: None,
            usual: Folder::config_in(folder.path()),
            listen,
            table: text.parse().unwrap_or_default(),
        }
    }

    fn read_again(&self) -> Result<(Config, Table), Failure> {
        // Some programs replace a file by deleting and creating it. A file that is missing for a moment
        // must not reset the site to the defaults.
        if !self.table.is_empty() && !self.usual.exists() && self.file.is_none() {
            let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Failure::file(&self.usual, &gone));
        }
        let mut config = config::read_or_default(self.file.as_deref(), &self.usual)?;
        apply_flags(&mut config, self.listen.clone())?;
        Ok((config, table(self.path())))
    }

    /// Reads the file again and returns its settings, with those in the database, and the channels of these
    /// settings. A file with an error, also one that it names, changes nothing.
    pub(super) fn reload(
        &mut self,
        stored: &StoredSettings,
    ) -> Result<(Config, Channels), Failure> {
        let (_, table) = self.read_again()?;
        let config = self.merged(&table, stored)?;
        let channels = channels(&config)?;
        let (at_once, restart) = changes(&self.table, &table);
        info!(changed = at_once.join(", "), "settings reloaded");
        if Log::level_is_given() && at_once.iter().any(|change| change.starts_with("log.level")) {
            warn!("log.level has no effect: COUNTERSIGN_LOG overrides it");
        }
        if !restart.is_empty() {
            warn!(changed = restart.join(", "), "these changes need a restart");
        }
        self.table = table;
        Ok((config, channels))
    }

    /// The settings of flags and file, with those in the database that neither gives.
    pub(super) fn with_stored(&self, stored: &StoredSettings) -> Result<Config, Failure> {
        self.merged(&self.table, stored)
    }

    fn merged(&self, file: &Table, stored: &StoredSettings) -> Result<Config, Failure> {
        let mut merged = file.clone();
        // Without a file, the version that this program reads.
        merged
            .entry("version")
            .or_insert_with(|| Value::Integer(i64::from(config::VERSION)));
        for (key, value) in stored {
            // A later version of this program may have stored a setting that this one does not know, and an
            // earlier one a setting that only the file can have now.
            let known = config::find(key).filter(|setting| setting.applies.in_database());
            if known.is_none() || of_table(file, key).is_some() {
                continue;
            }
            let (section, name) = key.split_once('.').unwrap_or(("", key));
            let section = merged
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            let value = Value::try_from(value).map_err(|error| problem(key, &error.to_string()))?;
            if let Some(section) = section.as_table_mut() {
                section.insert(name.to_owned(), value);
            }
        }
        let mut config = config::from_table(merged).map_err(|text| problem("", &text))?;
        config.folder = config::folder_of(self.path());
        apply_flags(&mut config, self.listen.clone())?;
        Ok(config)
    }

    /// The value of a setting in the file.
    pub(super) fn in_file(&self, key: &str) -> Option<&Value> {
        of_table(&self.table, key)
    }

    /// The value of a flag that overrides the setting.
    pub(super) fn in_flags(&self, key: &str) -> Option<String> {
        let Listen {
            session_listen,
            http_listen,
            http_tls,
            device_listen,
            peer_listen,
            health_listen,
            public_host,
        } = &self.listen;
        match key {
            "listen.session" => session_listen.as_ref().map(ToString::to_string),
            "listen.http" => http_listen.as_ref().map(ToString::to_string),
            "listen.http_tls" => http_tls.as_ref().map(ToString::to_string),
            "listen.device" => device_listen.as_ref().map(ToString::to_string),
            "listen.peer" => peer_listen.as_ref().map(ToString::to_string),
            "listen.health" => health_listen.as_ref().map(ToString::to_string),
            "listen.public_host" => public_host.as_ref().map(ToString::to_string),
            _ => None,
        }
    }

    /// The file that these settings come from.
    pub(super) fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.usual)
    }
}

fn problem(key: &str, text: &str) -> Failure {
    let named = match key {
        "" => text.to_owned(),
        key => format!("{key}: {text}"),
    };
    Failure::new(Exit::Failure, "config", named)
}

/// The value of a setting in a table, by its full name.
fn of_table<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        Some((section, key)) => table.get(section)?.as_table()?.get(key),
        None => table.get(key),
    }
}

/// The content of a file; empty if there is none.
fn table(file: &Path) -> Table {
    let text = input::text(file).unwrap_or_default();
    text.parse().unwrap_or_default()
}

/// The differences: those that take effect at once, and those that need a restart.
fn changes(old: &Table, new: &Table) -> (Vec<String>, Vec<String>) {
    let (old, new) = (flat(old), flat(new));
    let value = |of: &[(String, String)], key: &str| {
        let found = of.iter().find(|(known, _)| known == key);
        found.map_or_else(|| hidden::DEFAULT.to_owned(), |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = old.iter().chain(&new).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| value(&old, key) != value(&new, key));
    let at_once =
        |key: &&String| config::find(key).is_some_and(|setting| setting.applies.at_reload());
    let (at_once, restart): (Vec<&String>, Vec<&String>) = keys.into_iter().partition(at_once);
    let changes = |keys: Vec<&String>| {
        let change = |key: &String| {
            let (was, is) = (value(&old, key), value(&new, key));
            format!(
                "{key}: {} -> {}",
                hidden::logged(key, &was),
                hidden::logged(key, &is)
            )
        };
        keys.into_iter().map(change).collect()
    };
    (changes(at_once), changes(restart))
}

/// Each key with its sections, as in `log.level`, and its value.
fn flat(table: &Table) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => {
                let inner = flat(section).into_iter();
                all.extend(inner.map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            Value::String(text) => all.push((key.clone(), text.clone())),
            value => all.push((key.clone(), value.to_string())),
        }
    }
    all
}

#[cfg(test)]
impl Settings {
    /// The settings of a file that has not been read.
    pub(super) fn without_flags(usual: PathBuf) -> Self {
        Self {
            file: None,
            usual,
            listen: Listen {
                session_listen: None,
                http_listen: None,
                http_tls: None,
                device_listen: None,
                peer_listen: None,
                health_listen: None,
                public_host: None,
            },
            table: Table::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `serve` looked for `mail.password` in the working directory, and `config check` beside the file.
    #[test]
    fn a_relative_path_begins_at_the_folder_of_the_file() {
        let mut settings = Settings::without_flags(PathBuf::from("/site/countersign.toml"));
        let folder = |settings: &Settings| {
            let config = settings.with_stored(&StoredSettings::new()).unwrap();
            config.folder
        };
        assert_eq!(folder(&settings), Path::new("/site"));
        settings.file = Some(PathBuf::from("other/countersign.toml"));
        assert_eq!(folder(&settings), Path::new("other"));
    }

    /// An admin with a stolen session set its own URL and `webhook.authorization_file` to a file of the site, which
    /// then sent the file to that URL. The database of such a site still has both.
    #[test]
    fn a_setting_that_only_the_file_can_have_has_no_effect_in_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::without_flags(folder.path().join("countersign.toml"));
        let stored = [
            ("webhook.url", "https://attacker.example/"),
            ("webhook.authorization_file", "site-key.slot"),
            ("mail.server", "attacker.example"),
            ("mail.ca_file", "/dev/zero"),
            ("listen.public_url", "https://attacker.example"),
        ];
        let stored: StoredSettings = stored
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let config = settings.with_stored(&stored).unwrap();
        let without = settings.with_stored(&StoredSettings::new()).unwrap();
        assert_eq!(config, without);
        std::fs::write(&settings.usual, "version = 1\n").unwrap();
        let (config, channels) = settings.reload(&stored).unwrap();
        assert_eq!((&config.mail.server, &config.webhook.url), (&None, &None));
        assert!(channels.mail.is_none() && channels.webhook.is_none());
    }

    /// A file whose secrets could not be read was refused, and the next change in the database applied its limits.
    #[test]
    fn a_file_that_names_a_missing_secret_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::without_flags(folder.path().join("countersign.toml"));
        let lines =
            "version = 1\n[webhook]\nurl = \"https://a.example/\"\nsecret_file = \"none\"\n";
        std::fs::write(&settings.usual, lines).unwrap();
        assert!(settings.reload(&StoredSettings::new()).is_err());
        assert!(settings.table.is_empty());
    }

    /// A program that replaces the file had deleted the old one when the signal came: the site fell back
    /// to the defaults, without its limits and its trusted proxies.
    #[test]
    fn a_missing_file_does_not_reset_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let usual = folder.path().join("countersign.toml");
        let mut settings = Settings::without_flags(usual.clone());
        assert!(settings.read_again().is_ok(), "a site needs no file");
        std::fs::write(&usual, "version = 1\n[limits]\nunauthenticated = 7\n").unwrap();
        settings.table = settings.read_again().unwrap().1;
        std::fs::remove_file(&usual).unwrap();
        assert!(settings.read_again().is_err());
    }

    #[test]
    fn changes_that_need_a_restart_are_listed_apart() {
        let read = |text: &str| text.parse::<Table>().unwrap();
        let old = read("version = 1\n[log]\nlevel = \"info\"\n[listen]\nsession = \"a:1\"");
        let new = read(
            "version = 1\n[log]\nlevel = \"warn\"\nformat = \"json\"\n[listen]\n\
             http_proxies = []\n[limits]\nunauthenticated = 7",
        );
        let (at_once, restart) = changes(&old, &new);
        assert_eq!(
            at_once,
            [
                "limits.unauthenticated: default -> 7",
                "listen.http_proxies: default -> []",
                "log.level: info -> warn",
            ]
        );
        assert_eq!(
            restart,
            [
                "listen.session: a:1 -> default",
                "log.format: default -> json",
            ]
        );
        assert_eq!(changes(&old, &old), (Vec::new(), Vec::new()));
    }
}
