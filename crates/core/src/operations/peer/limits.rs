//! The limits of a peer, and how much of them it has used, for `peer show`.

use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::Site;
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// A rate limit of a peer: so many actions at once, then one more per interval.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LimitView {
    /// What is limited: `connections` that it opens, `operations` that it calls, `messages` that it
    /// delivers, the `offers` of messages, the `first_messages` of pairs of persons, `audit_heads`,
    /// `void_tickets`, new `addresses`, `new_keys` that this site follows, or `questions` of this
    /// site to it.
    of: &'static str,
    /// How many at once.
    burst: u64,
    /// The time after which one more is allowed, in milliseconds.
    every: u64,
    /// The time until the next one is allowed, in milliseconds; absent if it is allowed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<u64>,
}

impl LimitView {
    /// All limits of a peer.
    pub(super) fn all(site: &Site, peer: SiteId, now: Timestamp) -> Vec<Self> {
        let rates = site.throttle().rates();
        let limits = [
            ("connections", Rate::PeerConnections(peer)),
            ("operations", Rate::PeerOperations(peer)),
            ("messages", Rate::Delivered(peer)),
            ("offers", Rate::Offered(peer)),
            ("first_messages", Rate::FirstMessages(peer)),
            ("audit_heads", Rate::AuditHeads(peer)),
            ("void_tickets", Rate::ForeignVoid(peer)),
            ("addresses", Rate::Addresses(peer)),
            ("new_keys", Rate::FollowedKeys(peer)),
            ("questions", Rate::AskedOfPeer(peer)),
        ];
        let view = |(of, rate): (_, Rate)| {
            let (burst, every) = rate.limits();
            let wait = rates.wait(rate, now);
            Self {
                of,
                burst,
                every,
                wait,
            }
        };
        limits.into_iter().map(view).collect()
    }

    pub(super) fn line(&self) -> String {
        let Self {
            of,
            burst,
            every,
            wait,
        } = self;
        let used = match wait {
            Some(wait) => format!("; the next one in {}", duration(*wait)),
            None => String::new(),
        };
        let every = duration(*every);
        format!("{of}: {burst} at once, then one every {every}{used}")
    }
}

/// The breaches of the protocol by a peer within an hour.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BreachesView {
    /// Their weight: 2 for an operation or a connection above a limit, or an operation that no peer
    /// may call, 10 for a wrong line, 30 for a connection that ended by one.
    pub(super) weight: u32,
    /// The weight within an hour at which the site suspends the peer.
    pub(super) limit: u32,
    /// When the first of them was.
    pub(super) since: Timestamp,
}

/// A time as people write it, rounded up to the unit.
fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{} s", millis.div_ceil(1_000)),
        60_000..3_600_000 => format!("{} min", millis.div_ceil(60_000)),
        _ => format!("{} h", millis.div_ceil(3_600_000)),
    }
}
