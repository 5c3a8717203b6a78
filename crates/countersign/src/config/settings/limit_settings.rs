//! The settings of the section `[limits]`: each becomes a field of [`Limits`].

use std::ops::RangeInclusive;
use std::time::Duration;

use countersign_proto::session::limits::{MAX_MAX_PACKET, MIN_MAX_PACKET};
use countersign_server::limits::Limits;

use super::{Applies, Kind, LIMITS, Limit, Setting};

/// The type of a field of [`Limits`], as a whole number. Durations are in milliseconds.
trait Number: Copy {
    /// The greatest value that the type holds.
    const MAX: u64;
    fn get(self) -> u64;
    /// `number` is at most [`Number::MAX`]: the range is checked first.
    fn from(number: u64) -> Self;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const MAX: u64 = <$type>::MAX as u64;
            fn get(self) -> u64 {
                self as u64
            }
            fn from(number: u64) -> Self {
                number.try_into().unwrap_or(<$type>::MAX)
            }
        }
    )*};
}

number!(usize, u32, u64);

impl Number for Duration {
    const MAX: u64 = u64::MAX;
    fn get(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
    fn from(number: u64) -> Self {
        Self::from_millis(number)
    }
}

const fn max_of<T: Number>(_: fn(&Limits) -> T) -> u64 {
    T::MAX
}

/// The longest time that the protocol can express in milliseconds (32 bits), some seven weeks.
const MAX_MS: u64 = u32::MAX as u64;

/// A setting of `[limits]`: key, least value, greatest value (by default what its type holds), unit,
/// field of [`Limits`], what it does, and a warning.
macro_rules! limit {
    ($key:literal, $least:literal.., $unit:literal, $($field:ident).+, $what:literal $(, $warning:literal)?) => {
        limit!(
            $key, $least, max_of(|limits| limits.$($field).+), $unit, $($field).+, $what $(, $warning)?
        )
    };
    ($key:literal, $least:expr, $most:expr, $unit:literal, $($field:ident).+, $what:literal $(, $warning:literal)?) => {
        Setting {
            section: LIMITS,
            key: $key,
            kind: Kind::Limit(Limit {
                unit: $unit,
                range: RangeInclusive::new($least, $most),
                get: |limits| Number::get(limits.$($field).+),
                set: |limits, number| limits.$($field).+ = Number::from(number),
            }),
            applies: Applies::Reload,
            what: $what,
            warning: concat!($($warning)?),
        }
    };
}

/// The settings of `[limits]`, in the order of the example file.
pub(super) static LIMIT_SETTINGS: &[Setting] = &[
    limit!(
        "connections",
        1..,
        "connections",
        connections,
        "Connections in total, without those of trusted proxies. The limits on connections and on sessions \
         of an account are lowered, with a warning in the log, if the process may not open as many files \
         (`ulimit -Hn`)."
    ),
    limit!(
        "connections_per_source",
        1..,
        "connections",
        connections_per_source,
        "Connections from one source: an IPv4 address or an IPv6 /64."
    ),
    limit!(
        "connections_per_network",
        1..,
        "connections",
        connections_per_network,
        "Connections from one network: an IPv4 address or an IPv6 /48. One customer of a provider may \
         control every /64 of a /48."
    ),
    limit!(
        "proxied_connections",
        1..,
        "connections",
        proxied_connections,
        "HTTP connections from trusted proxies (`listen.http_proxies`), in addition to `connections`."
    ),
    limit!(
        "proxied_sessions",
        1..,
        "connections",
        proxied_sessions,
        "Sessions over WebSockets whose client a trusted proxy does not name, in addition to \
         `connections`. An account may have an eighth of them. Sessions whose client the proxy names \
         (`listen.http_forwarded`) count as connections of that client."
    ),
    limit!(
        "unauthenticated",
        1..,
        "connections",
        unauthenticated,
        "Unauthenticated connections in total. When there are more, the site drops the oldest one of the \
         network that holds most. If the file sets `unauthenticated_early_drop`, that number must not be \
         greater; lower both together. If the file does not set it, the site lowers its default, 2,048."
    ),
    limit!(
        "unauthenticated_per_source",
        1..,
        "connections",
        unauthenticated_per_source,
        "Unauthenticated connections from one source."
    ),
    limit!(
        "unauthenticated_per_network",
        1..,
        "connections",
        unauthenticated_per_network,
        "Unauthenticated connections from one network."
    ),
    limit!(
        "unauthenticated_early_drop",
        0..,
        "connections",
        unauthenticated_early_drop,
        "The number of unauthenticated connections from which networks that hold their share are rejected \
         at random, more often as places run out (random early drop)."
    ),
    limit!(
        "unauthenticated_timeout_ms",
        1_000,
        MAX_MS,
        "ms",
        unauthenticated_timeout,
        "Time from connection to authentication, over HTTP to the first request that was verified. It \
         includes the delays of failed logins and the client's key stretching.",
        "Below some 10 s, persons with a slow phone or line cannot log in."
    ),
    limit!(
        "waiting_logins",
        1..,
        "login steps",
        waiting_logins,
        "Login steps and ticket requests that may wait for a processor. Further ones are refused as busy."
    ),
    limit!(
        "waiting_logins_per_network",
        1..,
        "login steps",
        waiting_logins_per_network,
        "Login steps and ticket requests of one network that may wait for a processor."
    ),
    limit!(
        "lookup_time_ms",
        0,
        MAX_MS,
        "ms",
        lookup_time,
        "The least time that the lookup of an account takes at a login, whether the account exists or not.",
        "Below the time that the database needs, the time of a reply reveals which accounts exist."
    ),
    limit!(
        "refusal_time_ms",
        0,
        MAX_MS,
        "ms",
        refusal_time,
        "The least time from a ticket request, or from its verification, to its refusal.",
        "Below the time that a request needs, the time of a refusal reveals its reason and which \
         applications exist."
    ),
    limit!(
        "idle_timeout_ms",
        0,
        MAX_MS,
        "ms",
        idle_timeout,
        "How long a session's connection may send nothing before the site ends it; 0: no limit.",
        "With 0, the connection of a client that disappeared holds its place until its session expires."
    ),
    limit!(
        "sessions_per_account",
        1..,
        "sessions",
        sessions_per_account,
        "Sessions of one account, suspended ones included."
    ),
    limit!(
        "connections_per_device",
        1..,
        "connections",
        connections_per_device,
        "Connections of one device, so that it does not take all sessions of its person."
    ),
    limit!(
        "suspended_sessions",
        0..,
        "sessions",
        suspended_sessions,
        "Suspended sessions in total: those whose connection was lost and that can be resumed. Without \
         room a session ends with its connection."
    ),
    limit!(
        "suspended_sessions_per_account",
        0..,
        "sessions",
        suspended_sessions_per_account,
        "Suspended sessions of one account. One more ends the one that was suspended first; 0: none."
    ),
    limit!(
        "suspension_time_ms",
        0,
        MAX_MS,
        "ms",
        suspension_time,
        "How long a suspended session can be resumed. A client that went away for good, such as a closed page \
         of the console, leaves its session no longer.",
        "Below some 60,000 ms, a session ends with a short failure of its client's network."
    ),
    limit!(
        "content_streams",
        1..,
        "streams",
        content_streams,
        "Operations and results of one session that transfer content at a time. Each needs up to 256 KiB \
         of memory."
    ),
    limit!(
        "operations_in_flight",
        1..,
        "operations",
        operations_in_flight,
        "Operations of one session that run at a time. Further ones wait."
    ),
    limit!(
        "event_streams",
        0..,
        "streams",
        event_streams,
        "Event streams over HTTP. Each needs up to 64 KiB of memory while its client reads."
    ),
    limit!(
        "event_streams_per_account",
        0..,
        "streams",
        event_streams_per_account,
        "Event streams over HTTP of one account."
    ),
    limit!(
        "waiting_operations",
        1..,
        "operations",
        waiting_operations,
        "Operations with public-key or other costly work, of all accounts, that may wait for a processor. \
         Further ones are refused as busy."
    ),
    limit!(
        "rekeys_per_minute",
        1..,
        "1/min",
        rekeys_per_minute,
        "How many times a minute a client may renew the keys of its session."
    ),
    limit!(
        "params_bytes",
        256..,
        "bytes",
        params_bytes,
        "Size of the parameters of one operation.",
        "An account can make the site use this much memory for each operation in flight."
    ),
    limit!(
        "unsent_bytes",
        4_096..,
        "bytes",
        unsent_bytes,
        "Bytes that may wait for a client that does not read. At this limit its session takes no more \
         operations until the client reads.",
        "Every session can make the site use this much memory."
    ),
    limit!(
        "max_packet_bytes",
        MIN_MAX_PACKET as u64,
        MAX_MAX_PACKET as u64,
        "bytes",
        max_packet,
        "The largest packet that the site receives or sends. Client and site agree on the smaller of \
         their two values."
    ),
    limit!(
        "penalty_threshold",
        1..,
        "points",
        penalties.threshold,
        "The number of penalty points at which a source is rejected. Abuse gives 1 to 8 points, and one \
         point expires each second. An IPv6 /48 collects the points of its sources and is rejected at 16 \
         times this number.",
        "A high value lifts the limit on failed logins of one source for many names. A low value rejects \
         an office that shares one address with a broken client."
    ),
    limit!(
        "penalty_first_ms",
        0,
        MAX_MS,
        "ms",
        penalties.first_duration,
        "How long a source is rejected for its first penalty. Each further penalty lasts twice as long."
    ),
    limit!(
        "penalty_max_ms",
        0,
        MAX_MS,
        "ms",
        penalties.max_duration,
        "How long a source is rejected at most.",
        "With 0 no source is rejected. A long time also rejects the next user of a reassigned address."
    ),
    limit!(
        "penalty_sources",
        1..,
        "sources",
        penalties.max_sources,
        "Sources whose points and penalties are remembered. Bounds memory."
    ),
    limit!(
        "login_failures_free",
        0..,
        "failures",
        login_throttle.free,
        "Failed logins from one source for one name before replies to that source for that name are \
         delayed.",
        "A high value lets an attacker guess pass phrases without delay."
    ),
    limit!(
        "login_failures_free_unknown_sources",
        0..,
        "failures",
        login_throttle.free_from_unknown_sources,
        "Login attempts from all unknown sources together for one name, successful ones included, before \
         replies to unknown sources are delayed. A source is unknown for a name if no login with that name \
         from there has succeeded since the site started.",
        "A high value lets an attacker with many addresses guess pass phrases without delay."
    ),
    limit!(
        "login_failures_expiry_ms",
        0,
        MAX_MS,
        "ms",
        login_throttle.forget_after,
        "Time without a further attempt that counts, after which earlier failures are forgotten. An attempt \
         that is refused with ERROR 4 does not count.",
        "With 0 no reply is delayed."
    ),
    limit!(
        "login_failures_remembered",
        1..,
        "entries",
        login_throttle.max_entries,
        "Names, and pairs of name and source, that are remembered, of each kind. Bounds memory."
    ),
    limit!(
        "login_delay_first_ms",
        0,
        MAX_MS,
        "ms",
        login_throttle.first_delay,
        "The first delay. It doubles with each further failure.",
        "With 0 no reply is delayed."
    ),
    limit!(
        "login_delay_max_ms",
        0,
        MAX_MS,
        "ms",
        login_throttle.max_delay,
        "The maximum delay for one source and one name. Attempts that wait for each other may wait twice \
         as long.",
        "With 0 no reply is delayed."
    ),
    limit!(
        "login_delay_max_unknown_sources_ms",
        0,
        MAX_MS,
        "ms",
        login_throttle.max_delay_from_unknown_sources,
        "The maximum delay for unknown sources together. A person with a new device waits this long while \
         an attack on their name lasts."
    ),
    limit!(
        "login_delay_attempts_per_name",
        1..,
        "attempts",
        login_throttle.max_waiting_networks,
        "Attempts from unknown sources that may wait for one name at a time, one of each network. Further \
         attempts are refused with ERROR 4.",
        "A high value lets an attacker with many networks guess faster; a low value lets them keep new \
         devices out."
    ),
    limit!(
        "shutdown_timeout_ms",
        0,
        MAX_MS,
        "ms",
        shutdown_timeout,
        "How long a shutdown waits for operations that run.",
        "A service manager that waits less kills the site first."
    ),
];
