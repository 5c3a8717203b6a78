//! The configuration file, `countersign.toml`.

mod limits;

use std::net::SocketAddr;
use std::path::Path;

use countersign_proto::name::Zone;
use countersign_server::limits::Limits;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use self::limits::LimitsSection;
use crate::failure::{Exit, Failure};

/// The version of the file's form that is read.
const VERSION: u32 = 1;

/// A commented file with every default; written at the first launch.
pub(crate) const EXAMPLE: &str = include_str!("config/example.toml");

/// What the file says.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    version: u32,
    #[serde(default)]
    pub(crate) listen: Listen,
    #[serde(default)]
    pub(crate) site: SiteSection,
    #[serde(default)]
    pub(crate) log: Log,
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
    pub(crate) session: SocketAddr,
    pub(crate) public_host: Option<String>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            session: SocketAddr::from(([0, 0, 0, 0], 4747)),
            public_host: None,
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
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
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file(file, &error))?;
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
    if config.version != VERSION {
        let problem = format!("{} is not known; this is version {VERSION}", config.version);
        return Err(at(text, "version", &problem));
    }
    EnvFilter::try_new(&config.log.level)
        .map_err(|error| at(text, "log.level", &error.to_string()))?;
    config.limits.check().map_err(|(key, (least, most))| {
        let range = if most == u64::MAX {
            format!("it must be at least {least}")
        } else {
            format!("it must be from {least} to {most}")
        };
        at(text, &format!("limits.{key}"), &range)
    })?;
    Ok(config)
}

/// A problem with the value of a key, with the line that it stands on.
fn at(text: &str, path: &str, problem: &str) -> String {
    let (section, key) = path.split_once('.').unwrap_or(("", path));
    let mut inside = "";
    let line = text.lines().position(|line| {
        let line = line.trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            inside = name.trim();
        }
        let assigned = line.split_once('=').map(|(name, _)| name.trim());
        assigned == Some(path) || (inside == section && assigned == Some(key))
    });
    match line {
        Some(line) => format!("line {}: {path}: {problem}", line + 1),
        None => format!("{path}: {problem}"),
    }
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
            (example.listen, example.site, example.log),
            (Listen::default(), SiteSection::default(), Log::default())
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
            ("version = 2", "line 1: version"),
            (
                "version = 1\n\n[log]\nlevel = \"=loud=\"",
                "line 4: log.level",
            ),
            ("version = 1\nlog.level = \"=loud=\"", "line 2: log.level"),
            ("version = 1\n[listen]\nsession = 7", "line 3"),
            ("version = 1\n[site]\nzone = \"..\"", "line 3"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(named), "{problem}");
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
