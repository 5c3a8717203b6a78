//! When this site sends the head of its audit log to which peer.

use std::collections::BTreeMap;

use countersign_proto::operation::Code;
use countersign_proto::site_identity::SiteId;

use crate::engine::peers::is_past;
use crate::timestamp::Timestamp;

/// The time between two heads for one peer, in milliseconds: four minutes. A head is sent up to a
/// minute later. Entries that are younger than the last head can be rewritten without a trace.
const HEAD_EVERY: u64 = 240_000;
/// The time between two heads for any two of many peers, in milliseconds. Each head costs an audit
/// entry, so from 13 peers on each gets one less often: at most 4,320 entries a day.
const HEAD_SPACING: u64 = 20_000;
/// The time between two heads for a peer that refused the last one, in milliseconds: an hour.
const REFUSED_EVERY: u64 = 3_600_000;
/// The shortest time for which a peer gets no head after it was busy, in milliseconds. It is used if
/// the peer tells none.
const SHORTEST_REST: u64 = 5_000;
/// The longest such time, in milliseconds: a peer countersigns one head a minute.
const LONGEST_REST: u64 = 60_000;
/// The time between two looks at the list of peers, in milliseconds: a minute.
const LOOK_EVERY: u64 = 60_000;

/// The state of the exchange with each peer. It is kept in memory: after a start of the site, each
/// peer is asked for the heads that it holds.
#[derive(Default)]
pub(crate) struct HeadSchedule {
    /// One more with each event after which heads are sent at once.
    wanted: u64,
    looked: Option<(u64, Timestamp)>,
    peers: BTreeMap<SiteId, Exchange>,
}

#[derive(Clone, Copy)]
struct Exchange {
    /// The last attempt that ended, by the number of the event.
    tried: u64,
    /// The last attempt that the peer answered with its heads.
    answered: Option<u64>,
    /// The code with which the peer refused the last attempt; `None` if it did not.
    refused: Option<Code>,
    /// Since when the peer rests because it was busy, and for how long, in milliseconds.
    rest: Option<(Timestamp, u64)>,
    /// Whether the peer was asked for its state since the last attempt.
    asked: bool,
    at: Timestamp,
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

    /// Takes the active peers.
    pub(super) fn look(&mut self, active: &[SiteId], now: Timestamp) {
        self.looked = Some((self.wanted, now));
        self.peers.retain(|site, _| active.contains(site));
        for site in active {
            self.exchange(*site, now);
        }
    }

    /// The time between two heads for one peer.
    fn every(&self) -> u64 {
        let peers = u64::try_from(self.peers.len()).unwrap_or(u64::MAX);
        HEAD_EVERY.max(peers.saturating_mul(HEAD_SPACING))
    }

    /// A peer that is seen for the first time gets a head when others do.
    fn exchange(&mut self, site: SiteId, now: Timestamp) -> &mut Exchange {
        self.peers.entry(site).or_insert(Exchange {
            tried: 0,
            answered: None,
            refused: None,
            rest: None,
            asked: true,
            at: now,
        })
    }

    /// The peers that wait for a head, except those that rest.
    pub(super) fn due(&self, now: Timestamp) -> Vec<SiteId> {
        let every = self.every();
        let due = self.peers.iter().filter(|(_, exchange)| {
            let is_due =
                exchange.tried != self.wanted || is_past(exchange.at, exchange.every(every), now);
            is_due && exchange.rests_until(now).is_none()
        });
        due.map(|(site, _)| *site).collect()
    }

    /// If a head is to be sent on an open connection: the number of the event, and whether the peer
    /// is asked for all heads that it holds. After half of the time, a connection that is open
    /// anyway is used, so that one serves both sites.
    pub(super) fn on_connection(&mut self, site: SiteId, now: Timestamp) -> Option<(u64, bool)> {
        let (wanted, every) = (self.wanted, self.every());
        let exchange = *self.exchange(site, now);
        if exchange.rests_until(now).is_some() {
            return None;
        }
        let is_new = exchange.tried != wanted;
        (is_new || is_past(exchange.at, exchange.every(every) / 2, now))
            .then_some((wanted, is_new || exchange.answered.is_none()))
    }

    /// The peer answered.
    pub(super) fn answered(&mut self, site: SiteId, wanted: u64, now: Timestamp) {
        self.tried(site, wanted, None, now).answered = Some(wanted);
    }

    /// The peer was busy, and told for how long, in milliseconds. It gets the head after a rest: one
    /// head after another would be a breach of the protocol.
    pub(super) fn busy(&mut self, site: SiteId, wait: Option<u64>, now: Timestamp) {
        let wait = wait.unwrap_or(SHORTEST_REST);
        let exchange = self.exchange(site, now);
        exchange.refused = Some(Code::BUSY);
        exchange.rest = Some((now, wait.clamp(SHORTEST_REST, LONGEST_REST)));
    }

    /// When a peer gets the next head that was busy a moment ago; `None` if it does not rest.
    pub(super) fn rests_until(&self, site: SiteId, now: Timestamp) -> Option<Timestamp> {
        self.peers.get(&site)?.rests_until(now)
    }

    /// The peer refused the head.
    pub(super) fn refused(&mut self, site: SiteId, wanted: u64, code: Code, now: Timestamp) {
        self.tried(site, wanted, Some(code), now);
    }

    /// The peer did not answer the head.
    pub(super) fn unanswered(&mut self, site: SiteId, wanted: u64, now: Timestamp) {
        self.tried(site, wanted, None, now);
    }

    fn tried(
        &mut self,
        site: SiteId,
        wanted: u64,
        refused: Option<Code>,
        now: Timestamp,
    ) -> &mut Exchange {
        let exchange = self.exchange(site, now);
        exchange.tried = wanted;
        exchange.refused = refused;
        exchange.rest = None;
        exchange.asked = false;
        exchange.at = now;
        exchange
    }

    /// Whether the peer is to be asked for its state: after each attempt that ended.
    pub(in crate::engine::peers) fn asks_for_status(&self, site: SiteId, now: Timestamp) -> bool {
        let exchange = self.peers.get(&site);
        exchange.is_some_and(|exchange| !exchange.asked && exchange.rests_until(now).is_none())
    }

    pub(in crate::engine::peers) fn asked_for_status(&mut self, site: SiteId) {
        if let Some(exchange) = self.peers.get_mut(&site) {
            exchange.asked = true;
        }
    }

    /// Whether a peer answered the head of that event, or of a later one.
    pub(super) fn has_answered(&self, site: SiteId, wanted: u64) -> bool {
        let exchange = self.peers.get(&site);
        exchange.is_some_and(|exchange| exchange.answered >= Some(wanted))
    }

    /// The code with which a peer refused the last head; `None` if it did not.
    pub(super) fn refusal(&self, site: SiteId) -> Option<Code> {
        self.peers.get(&site).and_then(|exchange| exchange.refused)
    }
}

impl Exchange {
    fn every(&self, every: u64) -> u64 {
        match self.refused {
            Some(Code::NOT_PERMITTED) => every.max(REFUSED_EVERY),
            // A peer that is sealed or in lockdown is asked again in its turn, and one that is busy after
            // its rest: a longer wait would let an attacker choose a time without a witness.
            Some(_) | None => every,
        }
    }

    fn rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        let (since, time) = self
            .rest
            .filter(|(since, time)| !is_past(*since, *time, now))?;
        Some(since.plus_millis(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: SiteId = SiteId([2; 32]);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    // PEER-27
    #[test]
    fn a_head_is_due_after_some_minutes_and_at_once_after_an_event() {
        let mut schedule = HeadSchedule::default();
        schedule.look(&[B], NOW);
        assert_eq!(schedule.due(NOW.plus_millis(HEAD_EVERY - 1)), []);
        let later = NOW.plus_millis(HEAD_EVERY);
        assert!(schedule.looks(later));
        assert_eq!(schedule.due(later), [B]);
        assert_eq!(schedule.on_connection(B, later), Some((0, true)));
        schedule.answered(B, 0, later);
        assert_eq!(schedule.due(later), []);
        assert_eq!(schedule.on_connection(B, later), None);
        let wanted = schedule.want();
        assert_eq!(schedule.due(later), [B]);
        assert!(!schedule.has_answered(B, wanted));
        schedule.answered(B, wanted, later);
        assert!(schedule.has_answered(B, wanted));
        // An open connection is used after half of the time.
        let half = later.plus_millis(HEAD_EVERY / 2);
        assert_eq!(schedule.on_connection(B, half), Some((wanted, false)));
    }

    // PEER-27
    #[test]
    fn a_peer_that_refuses_heads_gets_one_an_hour_and_one_after_each_event() {
        let mut schedule = HeadSchedule::default();
        schedule.look(&[B], NOW);
        schedule.refused(B, 0, Code::NOT_PERMITTED, NOW);
        assert_eq!(schedule.refusal(B), Some(Code::NOT_PERMITTED));
        assert_eq!(schedule.due(NOW.plus_millis(REFUSED_EVERY - 1)), []);
        assert_eq!(schedule.due(NOW.plus_millis(REFUSED_EVERY)), [B]);
        schedule.want();
        assert_eq!(schedule.due(NOW), [B]);
    }

    /// A verification in a loop sent a head each time, also to a peer that was busy, until the peer
    /// suspended this site.
    // PEER-64
    #[test]
    fn a_peer_that_was_busy_gets_the_head_after_its_rest_whatever_the_clock_shows() {
        for (told, rest) in [
            (None, SHORTEST_REST),
            (Some(1), SHORTEST_REST),
            (Some(41_000), 41_000),
            (Some(u64::MAX), LONGEST_REST),
        ] {
            let mut schedule = HeadSchedule::default();
            schedule.look(&[B], NOW);
            schedule.answered(B, 0, NOW);
            schedule.want();
            schedule.busy(B, told, NOW);
            for _ in 0..100 {
                schedule.want();
                assert_eq!(schedule.due(NOW.plus_millis(rest - 1)), []);
            }
            let end = NOW.plus_millis(rest);
            assert_eq!(schedule.rests_until(B, NOW), Some(end));
            assert_eq!(schedule.on_connection(B, end), Some((101, true)));
            let mut resting = schedule;
            assert_eq!(resting.on_connection(B, NOW), None);
            assert!(!resting.asks_for_status(B, NOW));
            // The clock was set back a day.
            let before = Timestamp::from_millis(NOW.millis() - 86_400_000);
            assert_eq!(resting.due(before), [B]);
            assert_eq!(resting.due(end), [B]);
            resting.answered(B, 101, end);
            assert_eq!(resting.rests_until(B, end), None);
        }
    }

    // PEER-27
    #[test]
    fn many_peers_get_heads_less_often_so_that_their_number_a_day_is_bounded() {
        let peer = |number: u8| SiteId([number; 32]);
        let mut schedule = HeadSchedule::default();
        let peers: Vec<_> = (0..30).map(peer).collect();
        schedule.look(&peers, NOW);
        assert_eq!(schedule.due(NOW.plus_millis(30 * HEAD_SPACING - 1)), []);
        assert_eq!(schedule.due(NOW.plus_millis(30 * HEAD_SPACING)), peers);
    }
}
