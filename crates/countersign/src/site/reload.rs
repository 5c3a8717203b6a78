//! Settings that are read again on SIGHUP, and which of them take effect without a restart.

use std::path::{Path, PathBuf};

use countersign_server::Server;
use toml::{Table, Value};
use tracing::{error, info, warn};

use super::folder::Folder;
use super::listen::{Listen, listen_as_told, proxies};
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::input;
use crate::log::Log;

/// Keys and sections that take effect at once.
const AT_ONCE: [&str; 4] = [
    "limits.",
    "log.level",
    "listen.http_proxies",
    "listen.http_forwarded",
];

/// Where a site's settings come from.
pub(super) struct Settings {
    file: Option<PathBuf>,
    usual: PathBuf,
    /// Flags, which outrank the file.
    listen: Listen,
    /// What the file says, as it was read last.
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
        // Some programs write a file by making it anew: for a moment there is none, which means no defaults.
        if !self.table.is_empty() && !self.usual.exists() && self.file.is_none() {
            let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Failure::file(&self.usual, &gone));
        }
        let mut config = config::read_or_default(self.file.as_deref(), &self.usual)?;
        listen_as_told(&mut config, self.listen.clone())?;
        Ok((config, table(self.file.as_deref().unwrap_or(&self.usual))))
    }

    /// Reads the settings again and lets the running site have what it can take. A file with a problem
    /// changes nothing.
    pub(super) fn reload(&mut self, log: &Log, server: &Server) {
        let read = self.read_again();
        let read = read.and_then(|read| log.reload(&read.0).map(|()| read));
        let (config, table) = match read {
            Ok(read) => read,
            Err(failure) => {
                error!(
                    problem = failure.message,
                    "the settings were not read again; the site goes on with those that it has"
                );
                return;
            }
        };
        server.reload(config.limits(), proxies(&config));
        let (at_once, restart) = changes(&self.table, &table);
        info!(changed = at_once.join(", "), "settings read again");
        if Log::level_is_given() && at_once.iter().any(|change| change.starts_with("log.level")) {
            warn!("COUNTERSIGN_LOG outranks log.level, which changes nothing");
        }
        if !restart.is_empty() {
            warn!(changed = restart.join(", "), "these changes need a restart");
        }
        self.table = table;
    }
}

/// What a file says, key by key; nothing where there is none.
fn table(file: &Path) -> Table {
    let text = input::text(file).unwrap_or_default();
    text.parse().unwrap_or_default()
}

/// What differs: what takes effect at once, and what needs a restart.
fn changes(old: &Table, new: &Table) -> (Vec<String>, Vec<String>) {
    let (old, new) = (flat(old), flat(new));
    let value = |of: &[(String, String)], key: &str| {
        let found = of.iter().find(|(known, _)| known == key);
        found.map_or_else(|| "default".to_owned(), |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = old.iter().chain(&new).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    let changes = keys.into_iter().filter_map(|key| {
        let (old, new) = (value(&old, key), value(&new, key));
        (old != new).then(|| format!("{key}: {old} -> {new}"))
    });
    changes.partition(|change| AT_ONCE.iter().any(|key| change.starts_with(key)))
}

/// Each key with those of the sections that it stands in, and its value.
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

    /// A program that writes a file by making it anew had taken the old one away when the signal came: the site fell
    /// back to the defaults, without its limits and its trusted proxies.
    #[test]
    fn a_file_that_is_gone_does_not_mean_the_defaults() {
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
        assert!(settings.read_again().is_ok(), "there was none before");
        std::fs::write(&usual, "version = 1\n[limits]\nunproved = 7\n").unwrap();
        settings.table = settings.read_again().unwrap().1;
        std::fs::remove_file(&usual).unwrap();
        assert!(settings.read_again().is_err());
    }

    #[test]
    fn what_takes_effect_at_once_is_told_from_what_needs_a_restart() {
        let read = |text: &str| text.parse::<Table>().unwrap();
        let old = read("version = 1\n[log]\nlevel = \"info\"\n[listen]\nsession = \"a:1\"");
        let new = read(
            "version = 1\n[log]\nlevel = \"warn\"\nformat = \"json\"\n[listen]\n\
             http_proxies = []\n[limits]\nunproved = 7",
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
