//! What is shown of a peer, and how one is named.

use countersign_proto::name::{AccountName, Zone};
use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::health::{PeerHealth, PeerTrouble};
use super::limits::{BreachesView, LimitView};
use crate::engine::{Context, PeerBackoff, PeerDirection, PeerStatus, PeerTold, Refusal, Site};
use crate::lockdown::{InLockdown, LOCKDOWN, LockdownTarget};
use crate::peers::{LogSide, Peer, PeerPermission, PeerState};
use crate::timestamp::Timestamp;

/// Names a peer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByPeer {
    /// The peer's site id, or its zone.
    pub(super) peer: PeerRef,
}

/// A peer's site id, or its zone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(in crate::operations) struct PeerRef(String);

impl PeerRef {
    /// The site id, if the peer is named by it.
    pub(in crate::operations) fn site_id(&self) -> Option<SiteId> {
        self.0.parse().ok()
    }

    /// The peer. A zone is that of the peer that is not removed, or else of the only one that is.
    pub(in crate::operations) async fn find(&self, context: &Context) -> Result<Peer, Refusal> {
        let store = context.site().store();
        let found = match self.site_id() {
            Some(site) => store.peer(site).await?,
            None => match self.0.parse::<Zone>() {
                Ok(zone) => match store.peer_of_zone(&zone).await? {
                    None => removed(context, &zone).await?,
                    found => found,
                },
                Err(_) => None,
            },
        };
        found.ok_or_else(|| Refusal::not_found("peer", &self.0).of_field("peer"))
    }
}

/// The only removed peer with this zone. Sites that claimed the same zone one after the other can be named
/// by their site ids only.
async fn removed(context: &Context, zone: &Zone) -> Result<Option<Peer>, Refusal> {
    let peers = context.site().all_peers().await?.into_iter();
    let mut found = peers.filter(|peer| peer.is_removed() && peer.zone == *zone);
    let first = found.next();
    if found.next().is_some() {
        let message = format!("several sites with the zone {zone} were removed");
        let hint = "name one by its site id, which `peer list` shows";
        return Err(Refusal::conflict(message, hint).of_field("peer"));
    }
    Ok(first)
}

/// A peer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PeerView {
    /// Its site id, which never changes.
    site: String,
    /// The zone that it claims.
    zone: String,
    /// Its state: `active`, `suspended` or `removed`.
    state: &'static str,
    /// Who suspended or removed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// Why it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What is wrong, as `peer doctor` says; absent if nothing is, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<TroubleView>,
    /// The next attempt to reach it; absent if nothing delays one, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<BackoffView>,
    /// Since when it is suspended or removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Its lockdown, in any state; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    lockdown: Option<InLockdown>,
    /// Where it listens.
    address: String,
    /// The number of its newest key event that this site verified.
    key_event: u64,
    /// The key of that event.
    key: String,
    /// Who introduced the two sites.
    introductions: Vec<IntroductionView>,
    /// What it may ask this site for.
    allows: Vec<PeerPermission>,
    /// Its limits; absent in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<LimitView>,
    /// Its breaches of the protocol within an hour; absent if there are none, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaches: Option<BreachesView>,
    /// When it became a peer.
    joined: Timestamp,
    /// When a connection was opened last, to a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<Timestamp>,
    /// The open connections, by the side that opened them.
    connections: Vec<PeerDirection>,
    /// What the peer told of itself last, since this site was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<StatusView>,
    /// Why the peer ended the last connection that it ended, since this site was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<EndView>,
    /// The last entry of this site's audit log that the peer countersigned; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    countersigned: Option<HeadView>,
    /// The last entry of the peer's audit log that this site countersigned; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    witnessed: Option<HeadView>,
    /// How many messages it accepted.
    sent: u64,
    /// How many messages this site accepted from it.
    received: u64,
}

/// What is wrong with a peer.
#[derive(Debug, Serialize, JsonSchema)]
struct TroubleView {
    /// The state in `peer doctor`: that of the peer, or the name of the problem.
    state: &'static str,
    /// The cause.
    cause: String,
    /// The next step for an admin, as an imperative.
    next: String,
    /// When the problem was seen last; absent for what an admin did.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
}

/// How long this site waits before it tries again to reach a peer.
#[derive(Debug, Serialize, JsonSchema)]
struct BackoffView {
    /// The attempts that failed since the last success.
    failures: u32,
    /// The time of the next attempt, if something waits for the peer then.
    next: Timestamp,
}

/// What a peer told of itself.
#[derive(Debug, Serialize, JsonSchema)]
struct StatusView {
    /// When it answered.
    at: Timestamp,
    #[serde(flatten)]
    status: PeerStatus,
}

/// Why a peer ended a connection.
#[derive(Debug, Serialize, JsonSchema)]
struct EndView {
    /// The reason: `idle`, `stopping`, `server_stopped`, `suspended`, `removed`, `lockdown`,
    /// `sealed`, `new_key` or `protocol`.
    reason: &'static str,
    /// When the connection ended.
    at: Timestamp,
}

/// An entry of an audit log that was countersigned.
#[derive(Debug, Serialize, JsonSchema)]
struct HeadView {
    /// Its number.
    entry: u64,
    /// When, by the clock of the site that countersigned it.
    at: Timestamp,
}

/// Two persons who introduced their sites to each other.
#[derive(Debug, Serialize, JsonSchema)]
struct IntroductionView {
    /// The person of this site, with the name of that time.
    #[schemars(with = "String")]
    own: AccountName,
    /// The person of the peer, as the peer claims.
    #[schemars(with = "String")]
    other: AccountName,
    /// When the sites were introduced.
    at: Timestamp,
}

impl PeerView {
    pub(super) fn of(site: &Site, peer: Peer) -> Self {
        let (by, why, since) = match &peer.state {
            PeerState::Active => (None, None, None),
            PeerState::Suspended { by, why, at } => {
                (Some(by.clone()), Some(why.clone()), Some(*at))
            }
            PeerState::Removed { by, at } => (Some(by.clone()), None, Some(*at)),
        };
        let introductions = peer
            .introductions
            .iter()
            .map(|introduction| IntroductionView {
                own: introduction.own_name.clone(),
                other: introduction.other.clone(),
                at: introduction.at,
            });
        let PeerTold { status, end } = site.told_by(peer.site());
        Self {
            site: peer.site().to_string(),
            zone: peer.zone.to_string(),
            state: peer.state.as_str(),
            lockdown: site
                .lockdowns()
                .shown_of(&LockdownTarget::Peer(peer.site())),
            by,
            why,
            since,
            address: peer.address(),
            key_event: peer.known.newest().event().number,
            key: peer.known.keys().to_string(),
            introductions: introductions.collect(),
            connections: site.peer_connections(peer.site()),
            told: status.map(|(status, at)| StatusView { at, status }),
            ended: end.map(|(end, at)| EndView {
                reason: end.as_str(),
                at,
            }),
            countersigned: None,
            witnessed: None,
            trouble: None,
            backoff: None,
            limits: Vec::new(),
            breaches: None,
            allows: peer.allows,
            joined: peer.joined,
            last_seen: peer.last_seen,
            sent: peer.sent,
            received: peer.received,
        }
    }

    /// The view of one peer, with what lists leave out.
    pub(super) async fn whole(site: &Site, peer: Peer, now: Timestamp) -> Result<Self, Refusal> {
        let id = peer.site();
        let PeerHealth { state, trouble } = PeerHealth::of(site, &peer);
        let trouble = trouble.map(|PeerTrouble { cause, next, at }| TroubleView {
            state,
            cause,
            next,
            at,
        });
        let backoff = site.peer_backoff(id, now).filter(|_| peer.is_active());
        let faults = site.peer_faults(id, now);
        let whole = Self {
            trouble,
            backoff: backoff.map(|PeerBackoff { failures, next }| BackoffView { failures, next }),
            limits: LimitView::all(site, id, now),
            breaches: faults.map(|faults| BreachesView {
                weight: faults.weight,
                limit: faults.limit,
                since: faults.since,
            }),
            ..Self::of(site, peer)
        };
        whole.with_heads(site, id).await
    }

    /// The same with the newest heads of the audit logs.
    async fn with_heads(mut self, site: &Site, peer: SiteId) -> Result<Self, Refusal> {
        let newest = async |side| {
            let heads = site.store().audit_heads(peer, side, 1).await?;
            Ok::<_, Refusal>(heads.first().map(|head| HeadView {
                entry: head.head.head().seq,
                at: Timestamp::from_millis(head.receipt.time),
            }))
        };
        self.countersigned = newest(LogSide::Own).await?;
        self.witnessed = newest(LogSide::Peer).await?;
        Ok(self)
    }

    pub(super) fn site(&self) -> &str {
        &self.site
    }

    pub(super) fn line(&self) -> String {
        let Self {
            site,
            zone,
            state,
            address,
            ..
        } = self;
        let state = match self.lockdown.is_some() && *state != "removed" {
            true => LOCKDOWN,
            false => state,
        };
        format!("{site}  {zone}  {state}  {address}")
    }

    pub(super) fn text(&self) -> String {
        let mut lines = vec![
            format!("site          {}", self.site),
            format!("zone          {}", self.zone),
            format!("state         {}", self.state),
        ];
        let trouble = self.trouble.as_ref();
        // The problem says who suspended it.
        if let Some(by) = self
            .by
            .as_ref()
            .filter(|_| trouble.is_none_or(|trouble| trouble.state != self.state))
        {
            let why = self.why.as_deref().unwrap_or("no reason given");
            lines.push(format!("              by {by}: {why}"));
        }
        if let Some(lockdown) = self.lockdown.as_ref().filter(|_| trouble.is_none()) {
            lines.push(format!("lockdown      {lockdown}"));
        }
        if let Some(trouble) = trouble {
            let at = trouble.at.map_or_else(String::new, |at| format!(" ({at})"));
            let TroubleView {
                state, cause, next, ..
            } = trouble;
            lines.push(format!("problem       {state}: {cause}{at}"));
            lines.push(format!("next step     {next}"));
        }
        if let Some(BackoffView { failures, next }) = &self.backoff {
            let times = if *failures == 1 {
                "failure"
            } else {
                "failures"
            };
            lines.push(format!("next attempt  {next}, after {failures} {times}"));
        }
        lines.push(format!("address       {}", self.address));
        lines.push(format!("key event     {}", self.key_event));
        for introduction in &self.introductions {
            let IntroductionView { own, other, at } = introduction;
            lines.push(format!("introduced    by {own} and {other}, {at}"));
        }
        let seen = self.last_seen.map(|seen| seen.to_string());
        lines.push(format!(
            "last seen     {}",
            seen.as_deref().unwrap_or("no connection yet")
        ));
        lines.push(format!("connections   {}", self.connections.len()));
        if let Some(StatusView { at, status }) = &self.told {
            let version = status.version.as_deref().unwrap_or("of an unknown version");
            let lockdown = match status.lockdown {
                Some(level) => format!(", in lockdown at the level {level}"),
                None => String::new(),
            };
            lines.push(format!("answered      {at}: version {version}{lockdown}"));
        }
        if let Some(EndView { reason, at }) = &self.ended {
            lines.push(format!("ended         {at}: {reason}"));
        }
        for (of, head) in [
            ("it countersigned", &self.countersigned),
            ("this site countersigned", &self.witnessed),
        ] {
            if let Some(HeadView { entry, at }) = head {
                lines.push(format!("audit log     {of} entry {entry}, {at}"));
            }
        }
        lines.push(format!(
            "messages      {} sent, {} received",
            self.sent, self.received
        ));
        let allows: Vec<_> = self.allows.iter().map(|allowed| allowed.as_str()).collect();
        let allows = match allows.is_empty() {
            true => format!(
                "nothing; `peer permit {} messages` lets it deliver messages",
                self.zone
            ),
            false => allows.join(", "),
        };
        lines.push(format!("may ask for   {allows}"));
        let limits = self.limits.iter().map(LimitView::line);
        lines.extend(limits.map(|limit| format!("limit         {limit}")));
        if let Some(breaches) = &self.breaches {
            let BreachesView {
                weight,
                limit,
                since,
            } = breaches;
            let suspended = format!("suspended at {limit} within an hour");
            lines.push(format!("breaches      {weight} since {since}; {suspended}"));
        }
        lines.join("\n")
    }
}
