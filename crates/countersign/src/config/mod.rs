//! The configuration file, `countersign.toml`.

mod delivery;
mod device_address;
mod first;
pub(crate) mod hidden;
mod host;
mod http_encryption;
mod limits;
mod log_filter;
mod origin;
mod reference;
mod settings;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use countersign_core::public_url::PublicUrl;
use countersign_proto::name::Zone;
use countersign_proto::session::Strength;
use countersign_server::limits::Limits;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

pub(crate) use self::delivery::{MailEncryption, MailSection, WebhookSection};
pub(crate) use self::device_address::DeviceAddress;
pub(crate) use self::first::first;
pub(crate) use self::host::PublicHost;
pub(crate) use self::http_encryption::HttpEncryption;
use self::limits::LimitsSection;
pub(crate) use self::log_filter::LogFilter;
pub(crate) use self::reference::example;
pub(crate) use self::settings::{Kind, Setting, all, bound_of, find, nearest};
use crate::failure::{Exit, Failure};
use crate::input::{self, address};

/// The version of the file format that this program reads.
pub(crate) const VERSION: u32 = 1;

/// The settings of a site.
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
    pub(crate) mail: MailSection,
    #[serde(default)]
    pub(crate) webhook: WebhookSection,
    #[serde(default)]
    limits: LimitsSection,
    /// The folder of the file; relative paths in it begin there.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

/// Properties of the site that its first launch sets.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SiteSection {
    /// The zone of account names that are given without one; `local` if it is not set.
    pub(crate) zone: Option<Zone>,
}

/// The listeners of the site.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listen {
    #[serde(deserialize_with = "address")]
    pub(crate) session: SocketAddr,
    #[serde(deserialize_with = "address_or_none")]
    pub(crate) http: Option<SocketAddr>,
    pub(crate) http_proxies: Vec<IpAddr>,
    pub(crate) http_forwarded: bool,
    #[serde(deserialize_with = "origin::list")]
    pub(crate) http_origins: Vec<String>,
    pub(crate) http_tls: HttpEncryption,
    pub(crate) http_certificate: Option<PathBuf>,
    pub(crate) http_key: Option<PathBuf>,
    pub(crate) console: bool,
    pub(crate) public_host: Option<PublicHost>,
    #[serde(deserialize_with = "address_or_none")]
    pub(crate) device: Option<SocketAddr>,
    pub(crate) enrolment_address: Option<DeviceAddress>,
    pub(crate) device_address: Option<DeviceAddress>,
    #[serde(deserialize_with = "address_or_none")]
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) peer_address: Option<DeviceAddress>,
    #[serde(deserialize_with = "address_or_none")]
    pub(crate) health: Option<SocketAddr>,
    #[serde(deserialize_with = "delivery::public_url")]
    pub(crate) public_url: Option<PublicUrl>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            session: SocketAddr::from(([0, 0, 0, 0], 4747)),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 4749))),
            http_forwarded: false,
            http_origins: Vec::new(),
            http_tls: HttpEncryption::Off,
            http_certificate: None,
            http_key: None,
            console: true,
            http_proxies: vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            public_host: None,
            device: Some(SocketAddr::from(([0, 0, 0, 0], 4748))),
            enrolment_address: None,
            device_address: None,
            peer: Some(SocketAddr::from(([0, 0, 0, 0], 4750))),
            peer_address: None,
            health: None,
            public_url: None,
        }
    }
}

impl Listen {
    /// Checks values that are valid each and may contradict each other.
    fn check(&self) -> Result<(), String> {
        let listeners = [
            ("session", Some(self.session)),
            ("http", self.http),
            ("device", self.device),
            ("peer", self.peer),
            ("health", self.health),
        ];
        let mut checked: Vec<(&str, SocketAddr)> = Vec::new();
        for (key, address) in listeners {
            let Some(address) = address else { continue };
            if address.ip().is_multicast() {
                return Err(format!(
                    "listen.{key} ({address}): a listener cannot have a multicast address"
                ));
            }
            let same = checked.iter().find(|(_, other)| overlap(*other, address));
            if let Some((other, same)) = same {
                return Err(format!(
                    "listen.{other} ({same}) and listen.{key} ({address}) have the same port; change one of them"
                ));
            }
            checked.push((key, address));
        }
        if self.http_forwarded && self.http_proxies.is_empty() {
            return Err(
                "listen.http_forwarded needs at least one address in listen.http_proxies"
                    .to_owned(),
            );
        }
        let impossible = |ip: &&IpAddr| ip.is_unspecified() || ip.is_multicast();
        match self.http_proxies.iter().find(impossible) {
            Some(ip) => Err(format!(
                "listen.http_proxies ({ip}): no connection comes from this address; give the proxy's own address"
            )),
            None => Ok(()),
        }
    }
}

/// Whether two listeners need the same address and port.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (any || one.ip() == other.ip())
}

/// Which encryption options the site may offer.
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

/// Logging.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: LogFilter,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: LogFilter::default(),
        }
    }
}

/// The format of log lines.
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
            "version {other} is not supported; this program reads version {VERSION}"
        ))),
    }
}

/// Reads an address; an empty string is `None`.
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

impl Config {
    /// Checks the listeners, after flags changed them.
    pub(crate) fn check_listeners(&self) -> Result<(), Failure> {
        let problem = |text| Failure::new(Exit::Failure, "config", text);
        self.listen.check().map_err(problem)
    }

    /// The limits of the server.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.limits()
    }
}

/// Reads the file `named` by a flag, or else the `usual` one in the site's folder if it exists.
///
/// # Errors
/// A named file that does not exist: the site must not start with settings that the operator did not
/// mean.
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
    let mut config = parse(&text).map_err(|problem| {
        Failure::new(
            Exit::Failure,
            "config",
            format_args!("{}: {problem}", file.display()),
        )
        .hint("`countersign config example` shows every key with its default")
    })?;
    config.folder = folder_of(file);
    Ok(config)
}

/// The folder of a configuration file, at which relative paths in it begin.
pub(crate) fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// Parses the text of a configuration file.
pub(crate) fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| explain(&error.to_string()))?;
    config.listen.check()?;
    config.limits.check()?;
    Ok(config)
}

/// Reads settings as [`read`] does, from a table. An error names no line.
pub(crate) fn from_table(table: toml::Table) -> Result<Config, String> {
    let config: Config = table
        .try_into()
        .map_err(|error: toml::de::Error| explain(&error.to_string()))?;
    config.listen.check()?;
    config.limits.check()?;
    Ok(config)
}

/// Adds the most similar known key to the error message about an unknown one.
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
            mail: MailSection::default(),
            webhook: WebhookSection::default(),
            folder: PathBuf::new(),
            limits: LimitsSection::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_and_a_similar_one_suggested() {
        let problem = parse("version = 1\n[limits]\nconections = 5\n").unwrap_err();
        assert!(problem.contains("conections") && problem.contains("did you mean `connections`"));
    }

    /// `log.level = "warning"` was accepted, and turned all logging off.
    #[test]
    fn an_unknown_log_level_is_refused_and_a_similar_one_suggested() {
        let with = |level: &str| parse(&format!("version = 1\n[log]\nlevel = \"{level}\""));
        let problem = with("warning").unwrap_err();
        assert!(
            problem.contains("line 3") && problem.contains("`warn`"),
            "{problem}"
        );
        assert!(with("warn").is_ok());
    }

    /// `public_host = "https://a"` was accepted, and no URI was shown anywhere.
    #[test]
    fn a_public_host_that_a_uri_cannot_have_is_refused() {
        let with = |host: &str| parse(&format!("version = 1\n[listen]\npublic_host = \"{host}\""));
        let problem = with("https://a").unwrap_err();
        assert!(
            problem.contains("line 3") && problem.contains("remove https://"),
            "{problem}"
        );
        assert!(with("a").is_ok());
    }

    /// Each of these was accepted, and none of them can work.
    #[test]
    fn listeners_that_contradict_each_other_are_refused() {
        for (lines, named) in [
            ("session = \"0.0.0.0:4749\"", "same port"),
            ("http = \"[::]:4747\"", "same port"),
            ("session = \"224.0.0.1:4747\"", "multicast"),
            ("device = \"[::]:4747\"", "same port"),
            ("device = \"127.0.0.1:4749\"", "same port"),
            ("device = \"224.0.0.1:4748\"", "multicast"),
            ("health = \"127.0.0.1:4749\"", "same port"),
            (
                "http_forwarded = true\nhttp_proxies = []",
                "needs at least one",
            ),
            ("http_proxies = [\"0.0.0.0\"]", "the proxy's own address"),
        ] {
            let problem = parse(&format!("version = 1\n[listen]\n{lines}")).unwrap_err();
            assert!(problem.contains(named), "{problem}");
        }
        for lines in [
            "session = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"",
            "session = \"127.0.0.2:4749\"\nhttp = \"127.0.0.1:4749\"",
            "http_forwarded = true",
            "device = \"\"",
        ] {
            assert!(
                parse(&format!("version = 1\n[listen]\n{lines}")).is_ok(),
                "{lines}"
            );
        }
    }

    #[test]
    fn the_version_is_required_and_is_1() {
        assert!(parse("").unwrap_err().contains("version"));
        assert!(parse("version = 2").unwrap_err().contains("version"));
    }

    #[test]
    fn an_error_names_its_line_and_key() {
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
    fn a_named_file_must_exist_and_the_usual_one_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("countersign.toml");
        assert_eq!(read_or_default(None, &missing).unwrap(), Config::default());
        let failure = read_or_default(Some(&missing), &missing).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
    }
}
