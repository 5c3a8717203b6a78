//! The section `[limits]`: what of the server's limits the file changes, and within which bounds.

use std::fmt::Display;
use std::time::Duration;

use countersign_core::throttle::{LoginThrottleLimits, PenaltyLimits};
use countersign_proto::session::limits::{MAX_MAX_PACKET, MIN_MAX_PACKET};
use countersign_server::limits::Limits;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// What there must be one of at least: with none of it nobody gets in.
type Count = Given<usize, 1>;

/// How many bytes.
type Bytes<const LEAST: u64> = Given<usize, LEAST>;

/// Milliseconds; the most is the longest time that the wire can tell, some seven weeks.
type Millis<const LEAST: u64> = Given<u64, LEAST, { u32::MAX as u64 }>;

/// The limits, times in milliseconds; what is left out is the default.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsSection {
    connections: Count,
    proxied_connections: Count,
    connections_per_source: Count,
    connections_per_network: Count,
    unauthenticated: Count,
    unauthenticated_per_source: Count,
    unauthenticated_per_network: Count,
    unauthenticated_early: Given<usize>,
    /// Below a second nobody on a slow line logs in any more.
    unauthenticated_time: Millis<1_000>,
    waiting_logins: Count,
    waiting_logins_per_source: Count,
    look_up_time: Millis<0>,
    refusal_time: Millis<0>,
    /// Zero waits for ever.
    idle_time: Millis<0>,
    sessions_per_account: Count,
    suspended_sessions: Given<usize>,
    suspended_sessions_per_account: Given<usize>,
    content_streams: Count,
    operations_in_flight: Count,
    waiting_operations: Count,
    /// With none of it every session would end with its first keys.
    rekeys_per_minute: Given<u32, 1>,
    params_bytes: Bytes<256>,
    unsent_bytes: Bytes<4_096>,
    max_packet: Given<u32, { MIN_MAX_PACKET as u64 }, { MAX_MAX_PACKET as u64 }>,
    penalty_threshold: Given<u32, 1>,
    penalty_first: Millis<0>,
    penalty_longest: Millis<0>,
    penalized_sources: Count,
    guesses_free: Given<u32>,
    guesses_free_of_strangers: Given<u32>,
    guess_wait_first: Millis<0>,
    guess_wait_longest: Millis<0>,
    guess_wait_of_strangers: Millis<0>,
    guessing_strangers: Count,
    guesses_forgotten: Millis<0>,
    guesses_remembered: Count,
    stop_patience: Millis<0>,
}

impl LimitsSection {
    /// The limits that the server keeps to.
    pub(super) fn limits(&self) -> Limits {
        let default = self.default();
        Limits {
            connections: self.connections.or(default.connections),
            proxied_connections: self.proxied_connections.or(default.proxied_connections),
            connections_per_source: self
                .connections_per_source
                .or(default.connections_per_source),
            connections_per_network: self
                .connections_per_network
                .or(default.connections_per_network),
            unauthenticated: self.unauthenticated.or(default.unauthenticated),
            unauthenticated_per_source: self
                .unauthenticated_per_source
                .or(default.unauthenticated_per_source),
            unauthenticated_per_network: self
                .unauthenticated_per_network
                .or(default.unauthenticated_per_network),
            unauthenticated_early: self.unauthenticated_early.or(default.unauthenticated_early),
            unauthenticated_time: self
                .unauthenticated_time
                .or_time(default.unauthenticated_time),
            waiting_logins: self.waiting_logins.or(default.waiting_logins),
            waiting_logins_per_source: self
                .waiting_logins_per_source
                .or(default.waiting_logins_per_source),
            look_up_time: self.look_up_time.or_time(default.look_up_time),
            refusal_time: self.refusal_time.or_time(default.refusal_time),
            idle_time: self.idle_time.or_time(default.idle_time),
            sessions_per_account: self.sessions_per_account.or(default.sessions_per_account),
            suspended_sessions: self.suspended_sessions.or(default.suspended_sessions),
            suspended_sessions_per_account: self
                .suspended_sessions_per_account
                .or(default.suspended_sessions_per_account),
            content_streams: self.content_streams.or(default.content_streams),
            operations_in_flight: self.operations_in_flight.or(default.operations_in_flight),
            waiting_operations: self.waiting_operations.or(default.waiting_operations),
            rekeys_per_minute: self.rekeys_per_minute.or(default.rekeys_per_minute),
            params_bytes: self.params_bytes.or(default.params_bytes),
            unsent_bytes: self.unsent_bytes.or(default.unsent_bytes),
            max_packet: self.max_packet.or(default.max_packet),
            penalties: self.penalties(default.penalties),
            guesses: self.guesses(default.guesses),
            stop_patience: self.stop_patience.or_time(default.stop_patience),
        }
    }

    /// The defaults of what is left out: none above a limit that the file lowers.
    fn default(&self) -> Limits {
        let mut default = Limits::default();
        let lower = |limit: &mut usize, above: usize| *limit = (*limit).min(above);
        let connections = self.connections.or(default.connections);
        lower(&mut default.connections_per_network, connections);
        let of_network = self
            .connections_per_network
            .or(default.connections_per_network);
        lower(&mut default.connections_per_source, of_network);
        let unauthenticated = self.unauthenticated.or(default.unauthenticated);
        lower(&mut default.unauthenticated_early, unauthenticated);
        lower(&mut default.unauthenticated_per_network, unauthenticated);
        let of_network = self
            .unauthenticated_per_network
            .or(default.unauthenticated_per_network);
        lower(&mut default.unauthenticated_per_source, of_network);
        let waiting = self.waiting_logins.or(default.waiting_logins);
        lower(&mut default.waiting_logins_per_source, waiting);
        let sessions = self.sessions_per_account.or(default.sessions_per_account);
        lower(
            &mut default.suspended_sessions_per_account,
            sessions.saturating_sub(1),
        );
        let longest = self.penalty_longest.or(default.penalties.longest);
        default.penalties.first = default.penalties.first.min(longest);
        let longest = self.guess_wait_longest.or(default.guesses.longest);
        default.guesses.first = default.guesses.first.min(longest);
        default
    }

    fn penalties(&self, default: PenaltyLimits) -> PenaltyLimits {
        PenaltyLimits {
            threshold: self.penalty_threshold.or(default.threshold),
            first: self.penalty_first.or(default.first),
            longest: self.penalty_longest.or(default.longest),
            sources: self.penalized_sources.or(default.sources),
        }
    }

    fn guesses(&self, default: LoginThrottleLimits) -> LoginThrottleLimits {
        LoginThrottleLimits {
            free: self.guesses_free.or(default.free),
            free_of_strangers: self.guesses_free_of_strangers.or(default.free_of_strangers),
            first: self.guess_wait_first.or(default.first),
            longest: self.guess_wait_longest.or(default.longest),
            longest_of_strangers: self
                .guess_wait_of_strangers
                .or(default.longest_of_strangers),
            strangers_at_a_time: self.guessing_strangers.or(default.strangers_at_a_time),
            forgotten: self.guesses_forgotten.or(default.forgotten),
            remembered: self.guesses_remembered.or(default.remembered),
        }
    }

    /// Limits that are sound each by itself must go together too.
    pub(super) fn check(&self) -> Result<(), String> {
        let limits = self.limits();
        let (guesses, patience) = (&limits.guesses, limits.unauthenticated_time.as_millis());
        // Whoever has to wait longer than a login may take would never get in.
        for (key, wait) in [
            // Twice: that far off a login may be when others of its source wait before it.
            ("guess_wait_longest", guesses.longest.saturating_mul(2)),
            ("guess_wait_of_strangers", guesses.longest_of_strangers),
        ] {
            if u128::from(wait) >= patience {
                return Err(format!(
                    "limits.{key} ({wait}) must be less than limits.unauthenticated_time ({patience})"
                ));
            }
        }
        // A limit above the one that is reached first is never reached.
        for (less, most) in [
            (
                ("connections_per_network", limits.connections_per_network),
                ("connections", limits.connections),
            ),
            (
                ("connections_per_source", limits.connections_per_source),
                ("connections_per_network", limits.connections_per_network),
            ),
            (
                ("unauthenticated_early", limits.unauthenticated_early),
                ("unauthenticated", limits.unauthenticated),
            ),
            (
                (
                    "unauthenticated_per_network",
                    limits.unauthenticated_per_network,
                ),
                ("unauthenticated", limits.unauthenticated),
            ),
            (
                (
                    "unauthenticated_per_source",
                    limits.unauthenticated_per_source,
                ),
                (
                    "unauthenticated_per_network",
                    limits.unauthenticated_per_network,
                ),
            ),
            (
                (
                    "waiting_logins_per_source",
                    limits.waiting_logins_per_source,
                ),
                ("waiting_logins", limits.waiting_logins),
            ),
        ] {
            no_more(less, most)?;
        }
        let penalties = &limits.penalties;
        no_more(
            ("penalty_first", penalties.first),
            ("penalty_longest", penalties.longest),
        )?;
        no_more(
            ("guess_wait_first", guesses.first),
            ("guess_wait_longest", guesses.longest),
        )?;
        // Uploads that all wait for content, and nothing that reads it any more.
        let (streams, operations) = (limits.content_streams, limits.operations_in_flight);
        if streams >= operations {
            return Err(format!(
                "limits.content_streams ({streams}) must be less than limits.operations_in_flight ({operations})"
            ));
        }
        // A client that lost so many sessions has room for one more login.
        let (suspended, all) = (
            limits.suspended_sessions_per_account,
            limits.sessions_per_account,
        );
        if suspended >= all {
            return Err(format!(
                "limits.suspended_sessions_per_account ({suspended}) must be less than limits.sessions_per_account ({all})"
            ));
        }
        Ok(())
    }
}

fn no_more<T: PartialOrd + Display>(
    (less, value): (&str, T),
    (most, bound): (&str, T),
) -> Result<(), String> {
    if value <= bound {
        return Ok(());
    }
    Err(format!(
        "limits.{less} ({value}) must not be more than limits.{most} ({bound})"
    ))
}

/// A limit as the file gives it, or not: a whole number from `LEAST` to `MOST`.
#[derive(Debug, PartialEq)]
struct Given<T, const LEAST: u64 = 0, const MOST: u64 = { u64::MAX }>(Option<T>);

impl<T: Copy, const LEAST: u64, const MOST: u64> Given<T, LEAST, MOST> {
    fn or(&self, default: T) -> T {
        self.0.unwrap_or(default)
    }
}

impl<const LEAST: u64> Millis<LEAST> {
    fn or_time(&self, default: Duration) -> Duration {
        self.0.map_or(default, Duration::from_millis)
    }
}

impl<T, const LEAST: u64, const MOST: u64> Default for Given<T, LEAST, MOST> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T, const LEAST: u64, const MOST: u64> Deserialize<'de> for Given<T, LEAST, MOST>
where
    T: TryFrom<u64, Error: Display>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = u64::deserialize(deserializer)?;
        if !(LEAST..=MOST).contains(&given) {
            return Err(D::Error::custom(match MOST {
                u64::MAX => format!("it must be at least {LEAST}"),
                most => format!("it must be from {LEAST} to {most}"),
            }));
        }
        T::try_from(given)
            .map(|given| Self(Some(given)))
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    /// The most that fits 32 bits.
    const MAX_LENGTH: u64 = u32::MAX as u64;

    /// Each limit, the least that it may be, and the most where there is one.
    const BOUNDS: &[(&str, u64, Option<u64>)] = &[
        ("connections", 1, None),
        ("proxied_connections", 1, None),
        ("connections_per_source", 1, None),
        ("connections_per_network", 1, None),
        ("unauthenticated", 1, None),
        ("unauthenticated_per_source", 1, None),
        ("unauthenticated_per_network", 1, None),
        ("unauthenticated_early", 0, None),
        ("waiting_logins", 1, None),
        ("waiting_logins_per_source", 1, None),
        ("look_up_time", 0, Some(MAX_LENGTH)),
        ("refusal_time", 0, Some(MAX_LENGTH)),
        ("idle_time", 0, Some(MAX_LENGTH)),
        ("suspended_sessions", 0, None),
        ("waiting_operations", 1, None),
        ("rekeys_per_minute", 1, Some(MAX_LENGTH)),
        ("guessing_strangers", 1, None),
        ("params_bytes", 256, None),
        ("unsent_bytes", 4_096, None),
        ("max_packet", 256, Some(1 << 20)),
        ("penalty_threshold", 1, None),
        ("penalty_longest", 0, Some(MAX_LENGTH)),
        ("penalized_sources", 1, None),
        ("guesses_free", 0, Some(MAX_LENGTH)),
        ("guesses_free_of_strangers", 0, Some(MAX_LENGTH)),
        ("guesses_forgotten", 0, Some(MAX_LENGTH)),
        ("guesses_remembered", 1, None),
        ("stop_patience", 0, Some(MAX_LENGTH)),
    ];
    /// Those that are bounded by each other besides.
    const TOGETHER: [&str; 9] = [
        "penalty_first",
        "guess_wait_first",
        "content_streams",
        "operations_in_flight",
        "suspended_sessions_per_account",
        "sessions_per_account",
        "unauthenticated_time",
        "guess_wait_longest",
        "guess_wait_of_strangers",
    ];

    #[test]
    fn each_limit_is_taken_at_its_bounds_and_refused_outside_them() {
        for &(key, least, most) in BOUNDS {
            let with = |value: u64| parse(&format!("version = 1\n[limits]\n{key} = {value}"));
            assert!(with(least).is_ok(), "{key} = {least}");
            if let Some(below) = least.checked_sub(1) {
                let problem = with(below).unwrap_err();
                assert!(
                    problem.contains("line 3") && problem.contains(&format!("{key} = {below}")),
                    "{problem}"
                );
            }
            if let Some(most) = most {
                assert!(with(most).is_ok() && with(most + 1).is_err(), "{key}");
            }
        }
    }

    /// Where nobody waits for an answer, so that this bound alone counts.
    #[test]
    fn the_time_of_a_login_is_taken_at_its_bounds_and_refused_outside_them() {
        let with = |value: u64| {
            let waits = "guess_wait_longest = 0\nguess_wait_of_strangers = 0";
            parse(&format!(
                "version = 1\n[limits]\n{waits}\nunproved_time = {value}"
            ))
        };
        let most = u64::from(u32::MAX);
        assert!(with(1_000).is_ok() && with(most).is_ok());
        for outside in [999, most + 1] {
            let problem = with(outside).unwrap_err();
            assert!(
                problem.contains(&format!("unauthenticated_time = {outside}")),
                "{problem}"
            );
        }
    }

    #[test]
    fn no_limit_is_left_out_here() {
        let problem = parse("version = 1\n[limits]\nnone = 1").unwrap_err();
        let (_, known) = problem.split_once("expected one of").unwrap();
        let known = known.lines().next().unwrap().split(", ");
        let known: Vec<&str> = known.map(|key| key.trim_matches([' ', '`'])).collect();
        let tested = BOUNDS.iter().map(|(key, ..)| *key).chain(TOGETHER);
        let mut tested: Vec<&str> = tested.collect();
        tested.retain(|key| known.contains(key));
        assert_eq!(tested.len(), known.len(), "{known:?}");
    }

    /// `connections = 100` with `connections_per_source = 1000` was called sound: the second is never
    /// reached. A default above a limit that was lowered goes down with it.
    #[test]
    fn a_limit_above_the_one_that_is_reached_first_is_refused() {
        for (less, most, bound) in [
            ("connections_per_network", "connections", 100),
            ("connections_per_source", "connections_per_network", 100),
            ("unauthenticated_early", "unauthenticated", 100),
            ("unauthenticated_per_network", "unauthenticated", 100),
            (
                "unauthenticated_per_source",
                "unauthenticated_per_network",
                100,
            ),
            ("waiting_logins_per_source", "waiting_logins", 10),
            ("penalty_first", "penalty_longest", 1_000),
            ("guess_wait_first", "guess_wait_longest", 100),
        ] {
            let lowered = format!("version = 1\n[limits]\n{most} = {bound}\n");
            let with = |value: u64| parse(&format!("{lowered}{less} = {value}"));
            assert!(parse(&lowered).is_ok(), "{lowered}");
            assert!(with(bound).is_ok(), "{less}");
            let problem = with(bound + 1).unwrap_err();
            assert!(
                problem.contains(less) && problem.contains(most),
                "{problem}"
            );
        }
    }

    #[test]
    fn one_limit_leaves_room_for_another() {
        let with = |one: (&str, u64), other: (&str, u64)| {
            let [one, other] = [one, other].map(|(key, value)| format!("{key} = {value}"));
            parse(&format!("version = 1\n[limits]\n{one}\n{other}"))
        };
        for (less, more) in [
            ("content_streams", "operations_in_flight"),
            ("suspended_sessions_per_account", "sessions_per_account"),
        ] {
            assert!(with((less, 1), (more, 2)).is_ok());
            let problem = with((less, 2), (more, 2)).unwrap_err();
            assert!(
                problem.contains(less) && problem.contains(more),
                "{problem}"
            );
        }
        for key in [
            "content_streams",
            "operations_in_flight",
            "sessions_per_account",
        ] {
            let problem = parse(&format!("version = 1\n[limits]\n{key} = 0")).unwrap_err();
            assert!(problem.contains(&format!("{key} = 0")), "{problem}");
        }
    }

    #[test]
    fn nobody_waits_longer_for_an_answer_than_a_login_may_take() {
        let with =
            |key: &str, value: u64| parse(&format!("version = 1\n[limits]\n{key} = {value}"));
        for (key, most) in [
            ("guess_wait_longest", 14_999),
            ("guess_wait_of_strangers", 29_999),
        ] {
            assert!(with(key, most).is_ok());
            assert!(with(key, most + 1).unwrap_err().contains(key));
        }
        assert!(with("unauthenticated_time", 20_001).is_ok());
        let problem = with("unauthenticated_time", 20_000).unwrap_err();
        assert!(problem.contains("guess_wait_longest"), "{problem}");
    }
}
