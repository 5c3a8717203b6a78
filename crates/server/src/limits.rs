//! Every limit of the server, each with its reason. The configuration may lower or raise them.

use std::time::Duration;

use countersign_core::throttle::{LoginThrottleLimits, PenaltyLimits};

/// What connections may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in total: bounds file descriptors and memory.
    pub connections: usize,
    /// Connections of trusted proxies over HTTP, which have a share of their own: what other clients of the
    /// same address do cannot close HTTP to the applications behind a proxy.
    pub proxied_connections: usize,
    /// Connections from one source (an IPv4 address, or an IPv6 /64): one machine cannot take all.
    pub connections_per_source: usize,
    /// Connections from one network: an IPv6 /48, of which one customer may have every /64.
    pub connections_per_network: usize,
    /// Connections in total that nobody is proved on yet: such are cheap to open for an attacker. When
    /// there are more, the oldest one of the network that has most of them has to go.
    pub unauthenticated: usize,
    /// Connections that nobody is proved on yet, of one source.
    pub unauthenticated_per_source: usize,
    /// Connections that nobody is proved on yet, of one network.
    pub unauthenticated_per_network: usize,
    /// From so many on, a network that has its share already is turned away the more likely the fewer are
    /// left, as `MaxStartups` of OpenSSH does.
    pub unauthenticated_early: usize,
    /// From connection to proof. A client stretches a pass phrase meanwhile, perhaps on a phone.
    pub unauthenticated_time: Duration,
    /// Login steps that may wait for a processor; more are told that the site is busy.
    pub waiting_logins: usize,
    /// The same of one source: others take turns with it, so that it delays them by one step only.
    pub waiting_logins_per_source: usize,
    /// What looking a name up is given: the answer comes no sooner. Rows that are there take some microseconds
    /// more than those that are not, and nobody is to learn from that which names there are.
    pub look_up_time: Duration,
    /// The refusal time of a request for a ticket: no refusal is sent sooner after the request came, or after it
    /// was verified. How long it took tells neither what was wrong nor which applications exist.
    pub refusal_time: Duration,
    /// How long a session may be silent before its connection is ended, so that one whose client is gone
    /// does not hold a place; a client that is there says NOP. Zero waits for ever.
    pub idle_time: Duration,
    /// Sessions of one account: none takes all places.
    pub sessions_per_account: usize,
    /// Suspended sessions, whose connection was lost: bounds memory.
    pub suspended_sessions: usize,
    /// The same of one account; the one that was suspended longest makes room.
    pub suspended_sessions_per_account: usize,
    /// Operations and results of one session whose content is under way at a time: bounds memory, 256 KiB
    /// each.
    pub content_streams: usize,
    /// Operations of one session that may run at a time; more wait.
    pub operations_in_flight: usize,
    /// How often a client may agree on new keys with the site in a minute: each time costs public-key work, and
    /// an audit entry when it changes the option.
    pub rekeys_per_minute: u32,
    /// Operations with public-key work, of all accounts, that may wait for a processor; more are told that
    /// the site is busy. Of one account, as many as it may have in flight.
    pub waiting_operations: usize,
    /// The parameters of one operation, in bytes.
    pub params_bytes: usize,
    /// Bytes queued for a client that does not read; then its session takes no more operations.
    pub unsent_bytes: usize,
    /// When and for how long a source that misbehaves is turned away.
    pub penalties: PenaltyLimits,
    /// How guessing at pass phrases is slowed.
    pub guesses: LoginThrottleLimits,
    /// The largest packet that the server takes or sends, in bytes.
    pub max_packet: u32,
    /// How long a stop waits for operations under way.
    pub stop_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 24_000,
            proxied_connections: 1_024,
            connections_per_source: 1_024,
            connections_per_network: 4_096,
            unauthenticated: 4_096,
            unauthenticated_per_source: 256,
            unauthenticated_per_network: 1_024,
            unauthenticated_early: 2_048,
            unauthenticated_time: Duration::from_secs(30),
            waiting_logins: 256,
            waiting_logins_per_source: 32,
            look_up_time: Duration::from_millis(2),
            refusal_time: Duration::from_millis(5),
            idle_time: Duration::from_secs(5 * 60),
            sessions_per_account: 4_096,
            suspended_sessions: 16_384,
            suspended_sessions_per_account: 1_024,
            content_streams: 64,
            operations_in_flight: 256,
            rekeys_per_minute: 30,
            waiting_operations: 1_024,
            params_bytes: 1 << 20,
            unsent_bytes: 1 << 20,
            penalties: PenaltyLimits::default(),
            guesses: LoginThrottleLimits::default(),
            max_packet: countersign_proto::session::limits::DEFAULT_MAX_PACKET,
            stop_patience: Duration::from_secs(5),
        }
    }
}
