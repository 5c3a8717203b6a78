//! The configuration file, `countersign.toml`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use countersign_core::guard::{GuessLimits, PenaltyLimits};
use countersign_proto::session::Strength;
use countersign_server::limits::Limits;
use serde::Deserialize;

use crate::failure::{Exit, Failure};

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
    pub(crate) log: Log,
    #[serde(default)]
    pub(crate) options: Options,
    #[serde(default)]
    limits: LimitsSection,
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

fn strength<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Strength, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(serde::de::Error::custom)
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

/// The limits, times in milliseconds; what is left out is the default.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct LimitsSection {
    connections: Option<usize>,
    connections_per_source: Option<usize>,
    unproved: Option<usize>,
    unproved_time: Option<u64>,
    waiting_logins: Option<usize>,
    idle_time: Option<u64>,
    parked_sessions: Option<usize>,
    content_streams: Option<usize>,
    operations_in_flight: Option<usize>,
    params_bytes: Option<usize>,
    unsent_bytes: Option<usize>,
    max_packet: Option<u32>,
    unproved_per_source: Option<usize>,
    unproved_early: Option<usize>,
    waiting_logins_per_source: Option<usize>,
    penalty_threshold: Option<u32>,
    penalty_first: Option<u64>,
    penalty_longest: Option<u64>,
    penalized_sources: Option<usize>,
    guesses_free: Option<u32>,
    guesses_free_of_strangers: Option<u32>,
    guess_wait_first: Option<u64>,
    guess_wait_longest: Option<u64>,
    guess_wait_of_strangers: Option<u64>,
    guesses_forgotten: Option<u64>,
    guesses_remembered: Option<usize>,
    stop_patience: Option<u64>,
}

impl LimitsSection {
    fn penalties(&self, default: PenaltyLimits) -> PenaltyLimits {
        PenaltyLimits {
            threshold: self.penalty_threshold.unwrap_or(default.threshold),
            first: self.penalty_first.unwrap_or(default.first),
            longest: self.penalty_longest.unwrap_or(default.longest),
            sources: self.penalized_sources.unwrap_or(default.sources),
        }
    }

    fn guesses(&self, default: GuessLimits) -> GuessLimits {
        GuessLimits {
            free: self.guesses_free.unwrap_or(default.free),
            free_of_strangers: self
                .guesses_free_of_strangers
                .unwrap_or(default.free_of_strangers),
            first: self.guess_wait_first.unwrap_or(default.first),
            longest: self.guess_wait_longest.unwrap_or(default.longest),
            longest_of_strangers: self
                .guess_wait_of_strangers
                .unwrap_or(default.longest_of_strangers),
            forgotten: self.guesses_forgotten.unwrap_or(default.forgotten),
            remembered: self.guesses_remembered.unwrap_or(default.remembered),
        }
    }
}

impl Config {
    /// The limits that the server keeps to.
    pub(crate) fn limits(&self) -> Limits {
        let (given, default) = (&self.limits, Limits::default());
        let time = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
        Limits {
            connections: given.connections.unwrap_or(default.connections),
            connections_per_source: given
                .connections_per_source
                .unwrap_or(default.connections_per_source),
            unproved: given.unproved.unwrap_or(default.unproved),
            unproved_time: time(given.unproved_time, default.unproved_time),
            waiting_logins: given.waiting_logins.unwrap_or(default.waiting_logins),
            idle_time: time(given.idle_time, default.idle_time),
            parked_sessions: given.parked_sessions.unwrap_or(default.parked_sessions),
            content_streams: given.content_streams.unwrap_or(default.content_streams),
            operations_in_flight: given
                .operations_in_flight
                .unwrap_or(default.operations_in_flight),
            params_bytes: given.params_bytes.unwrap_or(default.params_bytes),
            unsent_bytes: given.unsent_bytes.unwrap_or(default.unsent_bytes),
            max_packet: given.max_packet.unwrap_or(default.max_packet),
            unproved_per_source: given
                .unproved_per_source
                .unwrap_or(default.unproved_per_source),
            unproved_early: given.unproved_early.unwrap_or(default.unproved_early),
            waiting_logins_per_source: given
                .waiting_logins_per_source
                .unwrap_or(default.waiting_logins_per_source),
            penalties: given.penalties(default.penalties),
            guesses: given.guesses(default.guesses),
            stop_patience: time(given.stop_patience, default.stop_patience),
        }
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
    if config.version != 1 {
        return Err(format!(
            "version: {} is not known; this is version 1",
            config.version
        ));
    }
    let in_range = config
        .limits
        .max_packet
        .is_none_or(|bytes| (256..=1 << 20).contains(&bytes));
    if !in_range {
        return Err("limits.max_packet: it must be from 256 to 1048576".to_owned());
    }
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
            version: 1,
            listen: Listen::default(),
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
            (example.listen, example.log),
            (Listen::default(), Log::default())
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
    fn packets_have_bounds() {
        let with = |bytes: u32| parse(&format!("version = 1\n[limits]\nmax_packet = {bytes}"));
        assert!(with(256).is_ok() && with(1 << 20).is_ok());
        assert!(with(255).is_err() && with((1 << 20) + 1).is_err());
    }
}
