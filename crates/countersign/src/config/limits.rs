//! The section `[limits]`: what of the server's limits the file changes, and within which bounds.

use std::time::Duration;

use countersign_server::limits::Limits;
use serde::Deserialize;

/// The limits, times in milliseconds; what is left out is the default.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsSection {
    connections: Option<usize>,
    connections_per_source: Option<usize>,
    unproved: Option<usize>,
    unproved_time: Option<u64>,
    waiting_logins: Option<usize>,
    operations_in_flight: Option<usize>,
    params_bytes: Option<usize>,
    unsent_bytes: Option<usize>,
    max_packet: Option<u32>,
    penalty_threshold: Option<u32>,
    penalized_sources: Option<usize>,
    stop_patience: Option<u64>,
}

impl LimitsSection {
    /// Each limit that is given stays where the site still works; fails with the key and its range.
    pub(super) fn check(&self) -> Result<(), (&'static str, (u64, u64))> {
        let many = |given: Option<usize>| given.map(|given| given as u64);
        let any = (1, u64::MAX);
        let given = [
            ("connections", many(self.connections), any),
            (
                "connections_per_source",
                many(self.connections_per_source),
                any,
            ),
            ("unproved", many(self.unproved), any),
            // Below a second nobody on a slow line logs in any more.
            ("unproved_time", self.unproved_time, (1_000, u64::MAX)),
            ("waiting_logins", many(self.waiting_logins), any),
            ("operations_in_flight", many(self.operations_in_flight), any),
            ("params_bytes", many(self.params_bytes), (256, u64::MAX)),
            ("unsent_bytes", many(self.unsent_bytes), (4_096, u64::MAX)),
            ("max_packet", self.max_packet.map(u64::from), (256, 1 << 20)),
            (
                "penalty_threshold",
                self.penalty_threshold.map(u64::from),
                any,
            ),
            ("penalized_sources", many(self.penalized_sources), any),
        ];
        let outside = given.into_iter().find(|(_, given, (least, most))| {
            given.is_some_and(|given| !(*least..=*most).contains(&given))
        });
        outside.map_or(Ok(()), |(key, _, range)| Err((key, range)))
    }

    /// The limits that the server keeps to.
    pub(super) fn limits(&self) -> Limits {
        let default = Limits::default();
        let time = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
        Limits {
            connections: self.connections.unwrap_or(default.connections),
            connections_per_source: self
                .connections_per_source
                .unwrap_or(default.connections_per_source),
            unproved: self.unproved.unwrap_or(default.unproved),
            unproved_time: time(self.unproved_time, default.unproved_time),
            waiting_logins: self.waiting_logins.unwrap_or(default.waiting_logins),
            operations_in_flight: self
                .operations_in_flight
                .unwrap_or(default.operations_in_flight),
            params_bytes: self.params_bytes.unwrap_or(default.params_bytes),
            unsent_bytes: self.unsent_bytes.unwrap_or(default.unsent_bytes),
            max_packet: self.max_packet.unwrap_or(default.max_packet),
            penalty_threshold: self.penalty_threshold.unwrap_or(default.penalty_threshold),
            penalized_sources: self.penalized_sources.unwrap_or(default.penalized_sources),
            stop_patience: time(self.stop_patience, default.stop_patience),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn each_limit_is_taken_at_its_bounds_and_refused_outside_them() {
        let bounds = [
            ("connections", 1, None),
            ("connections_per_source", 1, None),
            ("unproved", 1, None),
            ("unproved_time", 1_000, None),
            ("waiting_logins", 1, None),
            ("operations_in_flight", 1, None),
            ("params_bytes", 256, None),
            ("unsent_bytes", 4_096, None),
            ("max_packet", 256, Some(1 << 20)),
            ("penalty_threshold", 1, None),
            ("penalized_sources", 1, None),
        ];
        for (key, least, most) in bounds {
            let with = |value: u32| parse(&format!("version = 1\n[limits]\n{key} = {value}"));
            assert!(with(least).is_ok(), "{key} = {least}");
            let problem = with(least - 1).unwrap_err();
            assert!(
                problem.starts_with(&format!("line 3: limits.{key}: ")),
                "{problem}"
            );
            if let Some(most) = most {
                assert!(with(most).is_ok() && with(most + 1).is_err(), "{key}");
            }
        }
        let patience = parse("version = 1\n[limits]\nstop_patience = 0").unwrap();
        assert_eq!(patience.limits().stop_patience, Duration::ZERO);
    }
}
