//! The log filter: a level for the program and levels for single modules.
//!
//! `tracing` reads a word that is not a level as the name of a module, and then logs nothing else. This
//! type accepts only `LEVEL` and `MODULE=LEVEL`, separated by commas.

use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tracing_subscriber::EnvFilter;

use crate::failure::{Exit, Failure};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A valid log filter. The default is `info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// The filter in `COUNTERSIGN_LOG`; this one if the variable is empty or not set.
    ///
    /// # Errors
    /// The variable is not a valid filter.
    pub(crate) fn or_environment(&self) -> Result<Self, Failure> {
        match std::env::var("COUNTERSIGN_LOG") {
            Ok(text) if !text.is_empty() => text.parse().map_err(|problem| {
                Failure::new(
                    Exit::Failure,
                    "config",
                    format_args!("COUNTERSIGN_LOG: {problem}"),
                )
            }),
            _ => Ok(self.clone()),
        }
    }

    /// The filter as text, without white space.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The filter as `tracing` takes it.
    pub(crate) fn filter(&self) -> EnvFilter {
        EnvFilter::new(self.as_str())
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None => level(part)?,
                Some((name, named)) => {
                    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
                    if name.is_empty() || !name.bytes().all(known) {
                        return Err(format!(
                            "{name:?} is not a module name; write for example countersign_server=debug"
                        ));
                    }
                    level(named)?;
                }
            }
        }
        let filter: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        EnvFilter::try_new(&filter).map_err(|error| error.to_string())?;
        Ok(Self(filter))
    }
}

fn level(text: &str) -> Result<(), String> {
    if LEVELS.contains(&text.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    let nearest = LEVELS
        .into_iter()
        .min_by_key(|level| strsim::damerau_levenshtein(level, text))
        .unwrap_or_default();
    Err(format!(
        "unknown log level {text:?}; did you mean `{nearest}`? The levels are {}",
        LEVELS.join(", ")
    ))
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_and_levels_of_modules_and_nothing_else() {
        for text in [
            "info",
            "WARN",
            "off",
            "warn,countersign_server=debug",
            "info, a::b=trace",
        ] {
            assert!(text.parse::<LogFilter>().is_ok(), "{text}");
        }
        for (text, named) in [
            ("warning", "`warn`"),
            ("", "unknown log level"),
            ("inof", "`info`"),
            ("countersign_server", "unknown log level"),
            ("a=verbose", "unknown log level \"verbose\""),
            ("=loud=", "not a module name"),
            ("a[span]=info", "not a module name"),
            ("3", "unknown log level"),
        ] {
            let problem = text.parse::<LogFilter>().unwrap_err();
            assert!(problem.contains(named), "{text}: {problem}");
        }
    }
}
