//! The configuration file, `countersign.toml`.

mod limits;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use countersign_proto::name::Zone;
use countersign_proto::session::Strength;
use countersign_server::limits::Limits;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tracing_subscriber::EnvFilter;

use self::limits::LimitsSection;
use crate::failure::{Exit, Failure};
use crate::{address, input};

/// The version of the file's form that is read.
const VERSION: u32 = 1;

/// A commented file with every default; written at the first launch.
pub(crate) const EXAMPLE: &str = include_str!("config/example.toml");

/// What the file says.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(deserialize_with = "version")]
    version: u32,
    #[serde(default)]
    pub(crate) listen: Listen,
    #[serde(default)]
    pub(crate) site: SiteSection,
    #[serde(default)]
    pub(crate) log: Log,
    #[serde(default)]
    pub(crate) options: Options,
    #[serde(default)]
    limits: LimitsSection,
}

/// What the site is, settled at its first launch.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SiteSection {
    /// The zone of names that are given without one; `local` when left out.
    pub(crate) zone: Option<Zone>,
}

/// Where the site listens.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listen {
    #[serde(deserialize_with = "address")]
    pub(crate) session: SocketAddr,
    #[serde(deserialize_with = "address_or_none")]
    pub(crate) http: Option<SocketAddr>,
    pub(crate) http_proxies: Vec<IpAddr>,
    pub(crate) http_forwarded: bool,
    pub(crate) public_host: Option<String>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            session: SocketAddr::from(([0, 0, 0, 0], 4747)),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 4749))),
            http_forwarded: false,
            http_proxies: vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            public_host: None,
        }
    }
}

/// Which encryption options may be offered at all.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    #[serde(deserialize_with = "strength")]
    pub(crate) floor: Strength,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            floor: Strength::Delivered,
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    #[serde(deserialize_with = "level")]
    pub(crate) level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => Err(D::Error::custom(format_args!(
            "version {other} is not known; this is version {VERSION}"
        ))),
    }
}

/// An address, or nothing where the text is empty.
fn address_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    address::parse(&text).map(Some).map_err(D::Error::custom)
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    address::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn strength<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Strength, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(D::Error::custom)
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let level = String::deserialize(deserializer)?;
    EnvFilter::try_new(&level).map_err(D::Error::custom)?;
    Ok(level)
}

impl Config {
    /// The limits that the server keeps to.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.limits()
    }
}

/// The file that is named, or else the one in the site's folder if there is one.
///
/// A file that is named must be there: a site with other settings than were meant is worse than none.
pub(crate) fn read_or_default(named: Option<&Path>, usual: &Path) -> Result<Config, Failure> {
    match named {
        Some(file) => read(file),
        None if usual.exists() => read(usual),
        None => Ok(Config::default()),
    }
}

/// Reads a configuration file.
pub(crate) fn read(file: &Path) -> Result<Config, Failure> {
    let text = input::text(file)?;
    parse(&text).map_err(|problem| {
        Failure::new(
            Exit::Failure,
            "config",
            format_args!("{}: {problem}", file.display()),
        )
        .hint("`countersign config example` shows every key with its default")
    })
}

fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| explain(&error.to_string()))?;
    config.limits.check()?;
    Ok(config)
}

/// Adds the nearest right key to what the reader says of an unknown one.
fn explain(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next().filter(|_| message.contains("unknown field")) else {
        return message.trim_end().to_owned();
    };
    let nearest = quoted.min_by_key(|known| strsim::damerau_levenshtein(unknown, known));
    match nearest {
        Some(nearest) => format!("{}\ndid you mean `{nearest}`?", message.trim_end()),
        None => message.trim_end().to_owned(),
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: VERSION,
            listen: Listen::default(),
            site: SiteSection::default(),
            log: Log::default(),
            options: Options::default(),
            limits: LimitsSection::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_holds_the_defaults() {
        let example = parse(EXAMPLE).unwrap();
        assert_eq!(example.limits(), Limits::default());
        assert_eq!(
            (example.listen, example.site, example.options, example.log),
            (
                Listen::default(),
                SiteSection::default(),
                Options::default(),
                Log::default()
            )
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_right_one() {
        let problem = parse("version = 1\n[limits]\nconections = 5\n").unwrap_err();
        assert!(problem.contains("conections") && problem.contains("did you mean `connections`"));
    }

    #[test]
    fn a_version_is_needed_and_it_is_1() {
        assert!(parse("").unwrap_err().contains("version"));
        assert!(parse("version = 2").unwrap_err().contains("version"));
    }

    #[test]
    fn a_problem_names_its_line_and_key() {
        for (text, named) in [
            ("version = 2", ["line 1", "version = 2"]),
            (
                "version = 1\n\n[log]\nlevel = \"=loud=\"",
                ["line 4", "level = "],
            ),
            (
                "version = 1\nlog.level = \"=loud=\"",
                ["line 2", "log.level"],
            ),
            (
                "version = 1\n[listen]\nsession = 7",
                ["line 3", "session = 7"],
            ),
            ("version = 1\n[site]\nzone = \"..\"", ["line 3", "zone = "]),
            (
                "version = 1\n[options]\nfloor = \"low\"",
                ["line 3", "floor = "],
            ),
        ] {
            let problem = parse(text).unwrap_err();
            for named in named {
                assert!(problem.contains(named), "{problem}");
            }
        }
    }

    #[test]
    fn a_file_that_is_named_must_be_there_and_the_usual_one_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("countersign.toml");
        assert_eq!(read_or_default(None, &missing).unwrap(), Config::default());
        let failure = read_or_default(Some(&missing), &missing).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
    }
}
