//! The limits of the server. The configuration may lower or raise each of them.

use std::time::Duration;

use countersign_core::throttle::{LoginThrottleLimits, PenaltyLimits};
use countersign_proto::session::limits::DEFAULT_MAX_PACKET;

/// What clients may use of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in total. Bounds file descriptors and memory.
    pub connections: usize,
    /// HTTP connections of trusted proxies, counted apart from `connections`: other clients with a
    /// proxy's address cannot use them up and so close HTTP for the applications behind the proxy.
    pub proxied_connections: usize,
    /// Sessions over WebSockets whose client a trusted proxy does not name, counted apart from the
    /// others: they last, and so would leave no place to requests. Half of the places stay for those
    /// that have logged in, and an account has an eighth.
    pub proxied_sessions: usize,
    /// Connections from one source (an IPv4 address or an IPv6 /64): one host cannot take all.
    pub connections_per_source: usize,
    /// Connections from one network (an IPv4 address or an IPv6 /48): one customer of a provider may
    /// control every /64 of a /48.
    pub connections_per_network: usize,
    /// Unauthenticated connections in total. An attacker opens these at little cost. When there are
    /// more, the server evicts the oldest one of the network that holds most.
    pub unauthenticated: usize,
    /// Unauthenticated connections from one source.
    pub unauthenticated_per_source: usize,
    /// Unauthenticated connections from one network.
    pub unauthenticated_per_network: usize,
    /// From this number of unauthenticated connections on, a new connection of a network that holds
    /// its share already is rejected at random, with a probability that rises as places run out
    /// (random early drop, as `MaxStartups` of OpenSSH).
    pub unauthenticated_early_drop: usize,
    /// From the start of a connection to its authentication. Within that time a client computes the key
    /// stretching function, perhaps on a phone.
    pub unauthenticated_timeout: Duration,
    /// Login steps that may wait for a processor. A client over this limit gets ERROR 4 (busy).
    pub waiting_logins: usize,
    /// Login steps of one network that may wait. Networks take turns, so that one network delays
    /// another by one step.
    pub waiting_logins_per_network: usize,
    /// The least time that the lookup of an account takes. Finding a row takes some microseconds longer
    /// than finding none; a client must not learn from that which accounts exist.
    pub lookup_time: Duration,
    /// The least time from a ticket request, or from its verification, to its refusal. The time of a
    /// refusal then tells neither its reason nor which applications exist.
    pub refusal_time: Duration,
    /// The server ends the connection of a session that sent nothing for so long. A live client sends
    /// NOP. Zero: never.
    pub idle_timeout: Duration,
    /// Sessions of one account: no account takes all places.
    pub sessions_per_account: usize,
    /// Connections of one device: none takes all places of its person.
    pub connections_per_device: usize,
    /// Suspended sessions in total. Bounds memory.
    pub suspended_sessions: usize,
    /// Suspended sessions of one account; one more closes the one that was suspended first.
    pub suspended_sessions_per_account: usize,
    /// How long a suspended session waits for its client. A client whose network was away or whose machine slept
    /// resumes within that time; one that went away for good, such as a closed page, leaves its session no longer.
    pub suspension_time: Duration,
    /// Operations and results of one session that transfer content at a time. Bounds memory: 256 KiB
    /// each.
    pub content_streams: usize,
    /// Operations of one session that run at a time; further ones wait.
    pub operations_in_flight: usize,
    /// Event streams over HTTP in total. Bounds memory.
    pub event_streams: usize,
    /// Event streams of one account: no account takes all places. One credential may have half of them.
    pub event_streams_per_account: usize,
    /// How many times a minute a client may renew the keys of its session. Each time costs public-key
    /// operations, and an audit entry when the encryption option changes.
    pub rekeys_per_minute: u32,
    /// Costly operations of all accounts that may wait for a processor; one more is refused as busy. An
    /// account has at most `operations_in_flight` of them.
    pub waiting_operations: usize,
    /// Size of the parameters of one operation, in bytes.
    pub params_bytes: usize,
    /// Bytes queued for a client that does not read. At this limit its session takes no operations.
    pub unsent_bytes: usize,
    /// When a source that misbehaves is rejected, and for how long.
    pub penalties: PenaltyLimits,
    /// How replies to failed logins are delayed.
    pub login_throttle: LoginThrottleLimits,
    /// The largest packet that the server receives or sends, in bytes.
    pub max_packet: u32,
    /// How long a shutdown waits for operations that run.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 24_000,
            proxied_connections: 1_024,
            proxied_sessions: 1_024,
            connections_per_source: 1_024,
            connections_per_network: 4_096,
            unauthenticated: 4_096,
            unauthenticated_per_source: 256,
            unauthenticated_per_network: 1_024,
            unauthenticated_early_drop: 2_048,
            unauthenticated_timeout: Duration::from_secs(30),
            waiting_logins: 256,
            waiting_logins_per_network: 32,
            lookup_time: Duration::from_millis(2),
            refusal_time: Duration::from_millis(5),
            idle_timeout: Duration::from_secs(5 * 60),
            sessions_per_account: 4_096,
            connections_per_device: 16,
            suspended_sessions: 16_384,
            suspended_sessions_per_account: 1_024,
            suspension_time: Duration::from_secs(15 * 60),
            content_streams: 64,
            operations_in_flight: 256,
            event_streams: 16_384,
            event_streams_per_account: 256,
            rekeys_per_minute: 30,
            waiting_operations: 1_024,
            params_bytes: 1 << 20,
            unsent_bytes: 1 << 20,
            penalties: PenaltyLimits::default(),
            login_throttle: LoginThrottleLimits::default(),
            max_packet: DEFAULT_MAX_PACKET,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}
