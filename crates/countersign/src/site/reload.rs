//! Reads the settings again on SIGHUP and applies those that do not need a restart.

use std::path::{Path, PathBuf};

use countersign_server::Server;
use toml::{Table, Value};
use tracing::{error, info, warn};

use super::channels::channels;
use super::folder::Folder;
use super::listen::{Listen, apply_flags, proxies};
use crate::config::{self, Applies, Config};
use crate::failure::Failure;
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

    fn read_again(&self) -> Result<(Config, Table), Failure> {
        // Some programs replace a file by deleting and creating it. A file that is missing for a moment
        // must not reset the site to the defaults.
        if !self.table.is_empty() && !self.usual.exists() && self.file.is_none() {
            let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Failure::file(&self.usual, &gone));
        }
        let mut config = config::read_or_default(self.file.as_deref(), &self.usual)?;
        apply_flags(&mut config, self.listen.clone())?;
        Ok((config, table(self.file.as_deref().unwrap_or(&self.usual))))
    }

    /// Reads the settings again and applies to the running site those that do not need a restart. A file
    /// with an error changes nothing.
    pub(super) fn reload(&mut self, log: &Log, server: &Server) {
        let read = self.read_again();
        let read = read.and_then(|(config, table)| {
            let channels = channels(&config)?;
            log.reload(&config)?;
            Ok((config, channels, table))
        });
        let (config, channels, table) = match read {
            Ok(read) => read,
            Err(failure) => {
                error!(
                    problem = failure.message,
                    "the settings were not reloaded; the site keeps its current settings"
                );
                return;
            }
        };
        server.reload(config.limits(), proxies(&config));
        server.deliver_over(channels);
        let (at_once, restart) = changes(&self.table, &table);
        info!(changed = at_once.join(", "), "settings reloaded");
        if Log::level_is_given() && at_once.iter().any(|change| change.starts_with("log.level")) {
            warn!("log.level has no effect: COUNTERSIGN_LOG overrides it");
        }
        if !restart.is_empty() {
            warn!(changed = restart.join(", "), "these changes need a restart");
        }
        self.table = table;
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
        found.map_or_else(|| "default".to_owned(), |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = old.iter().chain(&new).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| value(&old, key) != value(&new, key));
    let at_once =
        |key: &&String| config::find(key).is_some_and(|setting| setting.applies == Applies::Reload);
    let (at_once, restart): (Vec<&String>, Vec<&String>) = keys.into_iter().partition(at_once);
    let changes = |keys: Vec<&String>| {
        let change = |key: &String| format!("{key}: {} -> {}", value(&old, key), value(&new, key));
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
mod tests {
    use super::*;

    /// A program that replaces the file had deleted the old one when the signal came: the site fell back
    /// to the defaults, without its limits and its trusted proxies.
    #[test]
    fn a_missing_file_does_not_reset_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let usual = folder.path().join("countersign.toml");
        let mut settings = Settings {
            file: None,
            usual: usual.clone(),
            listen: Listen {
                session_listen: None,
                http_listen: None,
                public_host: None,
            },
            table: Table::new(),
        };
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
