//! When this site sends the head of its audit log to which peer.

use std::collections::{BTreeMap, BTreeSet};

use countersign_proto::site_identity::SiteId;

use crate::timestamp::Timestamp;

/// The time between two heads for one peer, in milliseconds: five minutes. A log that is rewritten
/// keeps at most the entries of this time to itself.
const HEAD_EVERY: u64 = 300_000;
/// The time after which a head is sent if a connection is open anyway: half of it, so that one
/// connection serves both sites.
const HEAD_ALONG: u64 = HEAD_EVERY / 2;
/// The time between two looks at the list of peers, in milliseconds: a minute.
const LOOK_EVERY: u64 = 60_000;

/// The state of the exchange with each peer. It is kept in memory: after a start of the site, each
/// peer is asked for the heads that it holds.
#[derive(Default)]
pub(crate) struct HeadSchedule {
    /// One more with each event after which heads are sent at once.
    wanted: u64,
    looked: Option<(u64, Timestamp)>,
    due: BTreeSet<SiteId>,
    peers: BTreeMap<SiteId, Exchange>,
}

#[derive(Clone, Copy)]
struct Exchange {
    /// The last attempt that ended, by the number of the event.
    tried: u64,
    /// The last attempt to which the peer replied.
    answered: Option<u64>,
    at: Timestamp,
}

fn is_past(at: Timestamp, time: u64, now: Timestamp) -> bool {
    // The clock may have been set back.
    now >= at.plus_millis(time) || now < at
}

impl HeadSchedule {
    /// Heads are sent to all peers at once.
    pub(super) fn want(&mut self) -> u64 {
        self.wanted = self.wanted.saturating_add(1);
        self.wanted
    }

    /// Whether the list of peers is to be read.
    pub(super) fn looks(&self, now: Timestamp) -> bool {
        self.looked
            .is_none_or(|(wanted, at)| wanted != self.wanted || is_past(at, LOOK_EVERY, now))
    }

    /// Takes the active peers that may get heads, and decides which of them wait.
    pub(super) fn look(&mut self, active: &[SiteId], now: Timestamp) {
        let wanted = self.wanted;
        self.looked = Some((wanted, now));
        self.peers.retain(|site, _| active.contains(site));
        let due = active.iter().filter(|site| {
            let exchange = self.exchange(**site, now);
            exchange.tried != wanted || is_past(exchange.at, HEAD_EVERY, now)
        });
        let due: Vec<_> = due.copied().collect();
        self.due = due.into_iter().collect();
    }

    /// A peer that is seen for the first time gets a head when others do.
    fn exchange(&mut self, site: SiteId, now: Timestamp) -> &mut Exchange {
        self.peers.entry(site).or_insert(Exchange {
            tried: 0,
            answered: None,
            at: now,
        })
    }

    /// The peers that wait for a head.
    pub(super) fn due(&self) -> Vec<SiteId> {
        self.due.iter().copied().collect()
    }

    /// If a head is to be sent on an open connection: the number of the event, and whether the peer
    /// is asked for all heads that it holds.
    pub(super) fn on_connection(&mut self, site: SiteId, now: Timestamp) -> Option<(u64, bool)> {
        let wanted = self.wanted;
        let exchange = *self.exchange(site, now);
        let is_new = exchange.tried != wanted;
        (is_new || is_past(exchange.at, HEAD_ALONG, now))
            .then_some((wanted, is_new || exchange.answered.is_none()))
    }

    /// An attempt ended; `answered` if the peer replied.
    pub(super) fn tried(&mut self, site: SiteId, wanted: u64, answered: bool, now: Timestamp) {
        let exchange = self.exchange(site, now);
        exchange.tried = wanted;
        exchange.at = now;
        if answered {
            exchange.answered = Some(wanted);
        }
        if wanted == self.wanted {
            self.due.remove(&site);
        }
    }

    /// Whether a peer replied to the head of that event, or of a later one.
    pub(super) fn has_answered(&self, site: SiteId, wanted: u64) -> bool {
        let exchange = self.peers.get(&site);
        exchange.is_some_and(|exchange| exchange.answered >= Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: SiteId = SiteId([2; 32]);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    // PEER-24
    #[test]
    fn a_head_is_due_after_five_minutes_and_at_once_after_an_event() {
        let mut schedule = HeadSchedule::default();
        schedule.look(&[B], NOW);
        assert_eq!(schedule.due(), []);
        let later = NOW.plus_millis(HEAD_EVERY);
        assert!(schedule.looks(later));
        schedule.look(&[B], later);
        assert_eq!(schedule.due(), [B]);
        assert_eq!(schedule.on_connection(B, later), Some((0, true)));
        schedule.tried(B, 0, true, later);
        assert_eq!(schedule.due(), []);
        assert_eq!(schedule.on_connection(B, later), None);
        let wanted = schedule.want();
        schedule.look(&[B], later);
        assert_eq!(schedule.due(), [B]);
        assert!(!schedule.has_answered(B, wanted));
        schedule.tried(B, wanted, true, later);
        assert!(schedule.has_answered(B, wanted));
    }
}
