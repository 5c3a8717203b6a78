//! Breaches of the protocol by peers, and the suspension that follows from too many.
//!
//! ```text
//! breach ──▶ count ──300 within an hour──▶ connections end ──▶ suspension stored ──▶ projection:
//!              ▲                                                 │                    count is 0
//!              └───────────── the store failed: the count stays ─┘
//! ```
//!
//! While a suspension could not be stored, no connection with the peer is accepted or opened, and
//! each attempt tries to store it again.

use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::site_identity::SiteId;
use serde_json::json;

use super::{Site, lock};
use crate::access::{Caller, Channel};
use crate::alarms::PeerAlarm;
use crate::audit::AuditDraft;
use crate::engine::{Entry, Refusal};
use crate::peers::{Peer, PeerState};
use crate::sessions::CloseReason;
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// A peer whose breaches of the protocol within an hour weigh so much is suspended: ten connections
/// that ended by one, thirty wrong lines, or 150 operations above its rate or not for peers.
const MAX_FAULTS: u32 = 300;
/// The time over which faults are counted, in milliseconds: an hour.
const FAULTS_WITHIN: u64 = 3_600_000;
/// How often a suspension is decided again after the peer was changed at the same time.
const MAX_ATTEMPTS: usize = 8;

/// How long the answer to a head waits that this site is too busy for, in milliseconds. A site that
/// sends one head after another stays below its rate, and breaks the protocol only if it does not
/// wait for the answers.
const SLOW_DOWN: u64 = 1_000;

/// How long the answer to an operation of a peer waits before it is sent, in milliseconds; `None` if
/// it does not.
#[must_use]
pub fn delay_of_answer(operation: &Operation, outcome: &Outcome) -> Option<u64> {
    let is_head = (&*operation.group, &*operation.command) == ("peer", "audit_head");
    (is_head && outcome.code == Code::BUSY).then_some(SLOW_DOWN)
}

/// A breach of the protocol by a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerBreach {
    /// A line that is neither an operation nor an expected result.
    Line,
    /// An operation or a connection above its rate, within a second of another one. An honest site rests
    /// after the first one.
    Rate,
    /// An operation that no peer may call. An honest site of a later version may try a few.
    Operation,
    /// A breach that ends a connection at once.
    Connection,
}

impl PeerBreach {
    const fn weight(self) -> u32 {
        match self {
            Self::Line => 10,
            Self::Rate | Self::Operation => 2,
            Self::Connection => 30,
        }
    }
}

/// The weight of the breaches of one peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    weight: u32,
    /// When the first of them was.
    since: Timestamp,
}

impl Faults {
    const fn new(now: Timestamp) -> Self {
        Self {
            weight: 0,
            since: now,
        }
    }

    const fn are_too_many(self) -> bool {
        self.weight >= MAX_FAULTS
    }

    fn add(&mut self, breach: PeerBreach, now: Timestamp) {
        let is_over = now >= self.since.plus_millis(FAULTS_WITHIN) || now < self.since;
        // A suspension that could not be stored does not lapse.
        if is_over && !self.are_too_many() {
            *self = Self::new(now);
        }
        self.weight = self.weight.saturating_add(breach.weight());
    }
}

/// The breaches of a peer that count now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerFaults {
    /// Their weight.
    pub(crate) weight: u32,
    /// The weight at which the peer is suspended.
    pub(crate) limit: u32,
    /// When the first of them was.
    pub(crate) since: Timestamp,
}

impl Site {
    /// The breaches of a peer within an hour; `None` if there are none.
    pub(crate) fn peer_faults(&self, site: SiteId, now: Timestamp) -> Option<PeerFaults> {
        let faults = lock(&self.peering().faults).get(&site).copied()?;
        let counts = now < faults.since.plus_millis(FAULTS_WITHIN) || faults.are_too_many();
        counts.then_some(PeerFaults {
            weight: faults.weight,
            limit: MAX_FAULTS,
            since: faults.since,
        })
    }

    /// Counts a breach of the protocol by a peer, over all its connections. If the breaches within
    /// an hour are too many, the connections of the peer end and it is suspended, with an alarm to
    /// the admins.
    ///
    /// # Errors
    /// [`StoreError`] when the peer cannot be suspended. The next breach, or the next connection,
    /// tries again.
    pub async fn peer_fault(
        &self,
        site: SiteId,
        breach: PeerBreach,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // An honest site rests after a busy answer, but may have sent other operations before.
        if breach == PeerBreach::Rate {
            let first = self.throttle().rates().take(Rate::Busy(site), now);
            if first.is_ok() {
                return Ok(());
            }
        }
        let faults = {
            let mut all = lock(&self.peering().faults);
            let faults = all.entry(site).or_insert(Faults::new(now));
            faults.add(breach, now);
            *faults
        };
        match faults.are_too_many() {
            true => self.suspend_for_faults(site, now).await,
            false => Ok(()),
        }
    }

    /// Counts an operation that a peer calls, before anything of it is read or looked up.
    ///
    /// # Errors
    /// `busy` above the rate; `internal` when a suspension could not be stored.
    pub(in crate::engine) async fn count_peer_operation(
        &self,
        entry: Option<&Entry>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        // An operation on a connection that was cut is refused anyway.
        let peer = caller.peer.filter(|peer| self.is_peer_connected(peer));
        let Some(peer) = peer.map(|peer| peer.site) else {
            return Ok(());
        };
        let rate = Rate::PeerOperations(peer);
        let counted = self.throttle().rates().take(rate, now);
        let is_for_peers =
            entry.is_some_and(|entry| entry.access().channels().contains(&Channel::Peer));
        let breach = match (counted, is_for_peers) {
            (Ok(()), true) => return Ok(()),
            (Ok(()), false) => PeerBreach::Operation,
            (Err(_), _) => PeerBreach::Rate,
        };
        self.peer_fault(peer, breach, now).await?;
        counted.map_err(|wait| Refusal::busy_for("too many operations", wait))
    }

    /// Whether the breaches of a peer are too many and the suspension could not be stored.
    pub(super) fn is_to_be_suspended(&self, site: SiteId) -> bool {
        let faults = lock(&self.peering().faults).get(&site).copied();
        faults.is_some_and(Faults::are_too_many)
    }

    /// Suspends a peer if that is overdue. Returns whether it was: no connection is accepted or
    /// opened then.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed again.
    pub(super) async fn suspend_if_overdue(
        &self,
        site: SiteId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if !self.is_to_be_suspended(site) {
            return Ok(false);
        }
        self.suspend_for_faults(site, now).await?;
        Ok(true)
    }

    async fn suspend_for_faults(&self, site: SiteId, now: Timestamp) -> Result<(), StoreError> {
        // They end also if the store cannot write.
        self.end_peers(CloseReason::ProtocolFault, |of| of == site);
        for _ in 1..MAX_ATTEMPTS {
            match self.try_to_suspend(site, now).await {
                Err(StoreError::Stale { .. }) => {}
                done => return done,
            }
        }
        self.try_to_suspend(site, now).await
    }

    async fn try_to_suspend(&self, site: SiteId, now: Timestamp) -> Result<(), StoreError> {
        let peer = self.store().peer(site).await?;
        let Some(peer) = peer.filter(Peer::is_active) else {
            self.forget_faults(site);
            return Ok(());
        };
        self.report_peer(&peer, PeerAlarm::Garbage);
        let why = "it broke the protocol too often within an hour".to_owned();
        let state = PeerState::Suspended {
            by: Caller::site().name,
            why: why.clone(),
            at: now,
        };
        let peer = peer.revised(|peer| peer.state = state);
        let audit = AuditDraft {
            target: Some(site.to_string()),
            details: json!({ "zone": peer.zone, "why": why }).to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.suspended", now)
        };
        let notices = self.foreign_tickets_void(site, None, now).await?;
        // The projection forgets the count when this is stored.
        let change = Change::Peer(PeerChange::Update(Box::new(peer)));
        let set = ChangeSet {
            notices,
            ..ChangeSet::new(vec![change], audit)
        };
        self.store().commit(set).await.map(|_| ())
    }

    /// The peer is not active any more: its breaches count from 0 once it is again.
    pub(super) fn forget_faults(&self, site: SiteId) {
        lock(&self.peering().faults).remove(&site);
    }
}
