//! The section `[limits]`: values for some of the server's limits.
//!
//! Names, ranges and fields are in the table of settings; this module reads values and checks those
//! that depend on each other.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use countersign_server::limits::Limits;
use serde::de::{DeserializeSeed, Error, Expected, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::settings::{self, Limit, NOT_MORE};

/// The limits that the file gives, by key. Every other limit has its default.
#[derive(Debug, Default, PartialEq)]
pub(super) struct LimitsSection(BTreeMap<&'static str, u64>);

impl LimitsSection {
    /// The limits of the server: what the file gives, and defaults that do not exceed it.
    pub(super) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for (key, limit) in settings::limits() {
            if let Some(given) = self.0.get(key) {
                (limit.set)(&mut limits, *given);
            }
        }
        for (less, most) in NOT_MORE {
            let most = get(&limits, most);
            self.lower_default(&mut limits, less, most);
        }
        let sessions = get(&limits, "sessions_per_account");
        let suspended = "suspended_sessions_per_account";
        self.lower_default(&mut limits, suspended, sessions.saturating_sub(1));
        limits
    }

    fn lower_default(&self, limits: &mut Limits, key: &str, most: u64) {
        if !self.0.contains_key(key) && get(limits, key) > most {
            set(limits, key, most);
        }
    }

    /// Checks the limits that depend on each other.
    pub(super) fn check(&self) -> Result<(), String> {
        let limits = self.limits();
        let value = |key| get(&limits, key);
        // A client whose delay is longer than a login may take could never log in. Of one source, an
        // attempt that waits for another one waits up to twice the maximum.
        let timeout = value("unauthenticated_timeout_ms");
        for (key, wait) in [
            (
                "login_delay_max_ms",
                value("login_delay_max_ms").saturating_mul(2),
            ),
            (
                "login_delay_max_unknown_sources_ms",
                value("login_delay_max_unknown_sources_ms"),
            ),
        ] {
            if wait >= timeout {
                let half = match key {
                    "login_delay_max_ms" => "half of ",
                    _ => "",
                };
                return Err(format!(
                    "limits.{key} ({}) must be less than {half}limits.unauthenticated_timeout_ms ({timeout})",
                    value(key)
                ));
            }
        }
        for (less, most) in NOT_MORE {
            let (value, bound) = (value(less), value(most));
            if value > bound {
                return Err(format!(
                    "limits.{less} ({value}) must not be more than limits.{most} ({bound})"
                ));
            }
        }
        for (less, more) in settings::LESS {
            let (value, bound) = (value(less), value(more));
            if value >= bound {
                return Err(format!(
                    "limits.{less} ({value}) must be less than limits.{more} ({bound})"
                ));
            }
        }
        Ok(())
    }
}

/// The value of a key; the greatest number if there is no such key, which a test excludes.
fn get(limits: &Limits, key: &str) -> u64 {
    find(key).map_or(u64::MAX, |(_, limit)| (limit.get)(limits))
}

fn set(limits: &mut Limits, key: &str, value: u64) {
    if let Some((_, limit)) = find(key) {
        (limit.set)(limits, value);
    }
}

fn find(key: &str) -> Option<(&'static str, &'static Limit)> {
    settings::limits().find(|(known, _)| *known == key)
}

impl<'de> Deserialize<'de> for LimitsSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Section)
    }
}

struct Section;

impl<'de> Visitor<'de> for Section {
    type Value = LimitsSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of limits")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LimitsSection, A::Error> {
        let mut given = BTreeMap::new();
        while let Some((key, limit)) = map.next_key_seed(Key)? {
            given.insert(key, map.next_value_seed(InRange(limit.range.clone()))?);
        }
        Ok(LimitsSection(given))
    }
}

/// Reads a key of the section.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = (&'static str, &'static Limit);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = (&'static str, &'static Limit);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a limit")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        find(key).ok_or_else(|| {
            let known: Vec<String> = settings::limits()
                .map(|(key, _)| format!("`{key}`"))
                .collect();
            E::custom(format_args!(
                "unknown field `{key}`, expected one of {}",
                known.join(", ")
            ))
        })
    }
}

/// Reads a whole number in a range.
struct InRange(RangeInclusive<u64>);

impl<'de> DeserializeSeed<'de> for InRange {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_u64(self)
    }
}

impl InRange {
    fn refused<E: Error>(&self, given: impl fmt::Display) -> E {
        let range: &dyn Expected = self;
        E::custom(format_args!("{given} is not {range}"))
    }
}

impl Visitor<'_> for InRange {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.0.start(), self.0.end());
        match *most {
            u64::MAX => write!(f, "a whole number of at least {least}"),
            most => write!(f, "a whole number from {least} to {most}"),
        }
    }

    fn visit_i64<E: Error>(self, given: i64) -> Result<u64, E> {
        match u64::try_from(given) {
            Ok(given) => self.visit_u64(given),
            Err(_) => Err(self.refused(given)),
        }
    }

    fn visit_u64<E: Error>(self, given: u64) -> Result<u64, E> {
        match self.0.contains(&given) {
            true => Ok(given),
            false => Err(self.refused(given)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};

    fn section(text: &str) -> Result<LimitsSection, toml::de::Error> {
        toml::from_str::<Config>(&format!("version = 1\n[limits]\n{text}"))
            .map(|config| config.limits)
    }

    #[test]
    fn each_limit_is_accepted_at_the_ends_of_its_range_and_refused_outside() {
        for (key, limit) in settings::limits() {
            let with = |value: u64| section(&format!("{key} = {value}"));
            let (least, most) = limit.range.clone().into_inner();
            for end in [least, most] {
                let limits = with(end).unwrap().limits();
                assert_eq!((limit.get)(&limits), end, "{key}");
            }
            let outside = [least.checked_sub(1), most.checked_add(1)];
            for outside in outside.into_iter().flatten() {
                let problem = with(outside).unwrap_err().to_string();
                assert!(
                    problem.contains("line 3") && problem.contains(&format!("{key} = {outside}")),
                    "{problem}"
                );
            }
        }
    }

    #[test]
    fn each_limit_sets_a_field_of_its_own() {
        for (key, limit) in settings::limits() {
            let default = (limit.get)(&Limits::default());
            let mut changed = Limits::default();
            (limit.set)(&mut changed, default + 1);
            assert_eq!((limit.get)(&changed), default + 1, "{key}");
            let others = settings::limits().filter(|(other, _)| *other != key);
            for (other, limit) in others {
                let [before, after] = [&Limits::default(), &changed].map(limit.get);
                assert_eq!(before, after, "{key} changes {other}");
            }
            (limit.set)(&mut changed, default);
            assert_eq!(changed, Limits::default(), "{key}");
        }
    }

    #[test]
    fn rules_between_limits_name_limits() {
        let rules = NOT_MORE.into_iter().chain(settings::LESS);
        for key in rules.flat_map(|(one, other)| [one, other]) {
            assert!(find(key).is_some(), "{key}");
        }
    }

    /// `connections = 100` with `connections_per_source = 1000` was accepted: the second is never
    /// reached. A default above a limit that the file lowers is lowered too.
    #[test]
    fn a_limit_above_the_one_that_is_reached_first_is_refused() {
        for (less, most) in NOT_MORE {
            let lowered = format!("version = 1\n[limits]\n{most} = 10\n");
            let with = |value: u64| parse(&format!("{lowered}{less} = {value}"));
            assert!(parse(&lowered).is_ok(), "{lowered}");
            assert!(with(10).is_ok(), "{less}");
            let problem = with(11).unwrap_err();
            assert!(
                problem.contains(less) && problem.contains(most),
                "{problem}"
            );
        }
    }

    #[test]
    fn one_limit_leaves_room_for_another() {
        for (less, more) in settings::LESS {
            let with = |one: u64, other: u64| {
                parse(&format!(
                    "version = 1\n[limits]\n{less} = {one}\n{more} = {other}"
                ))
            };
            assert!(with(1, 2).is_ok());
            let problem = with(2, 2).unwrap_err();
            assert!(
                problem.contains(less) && problem.contains(more),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_delay_is_shorter_than_a_login_may_take() {
        let with =
            |key: &str, value: u64| parse(&format!("version = 1\n[limits]\n{key} = {value}"));
        for (key, most) in [
            ("login_delay_max_ms", 14_999),
            ("login_delay_max_unknown_sources_ms", 29_999),
        ] {
            assert!(with(key, most).is_ok());
            assert!(with(key, most + 1).unwrap_err().contains(key));
        }
        assert!(with("unauthenticated_timeout_ms", 20_001).is_ok());
        let problem = with("unauthenticated_timeout_ms", 20_000).unwrap_err();
        assert!(problem.contains("login_delay_max_ms"), "{problem}");
    }
}
