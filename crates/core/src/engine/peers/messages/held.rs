//! Pairs of persons whose messages a peer asked to wait (`later`), each with a backoff of its own. They
//! are in memory: after a restart, their messages are offered again.
//!
//! ```text
//! sent ──later──▶ held for 5 s, twice as long each time, at most 300 s ──▶ sent again
//!   └──accepted or refused──▶ not held
//! ```

use std::collections::HashMap;

use countersign_proto::name::AccountName;
use countersign_proto::site_identity::SiteId;

use super::{DeliveryReport, IncomingState};
use crate::engine::peers::is_past;
use crate::id::{AccountId, MessageId};
use crate::peers::OutboxMessage;
use crate::timestamp::Timestamp;

/// How long a pair is held at first, in milliseconds. It doubles each time.
const FIRST_HOLD: u64 = 5_000;
/// The longest time for which a pair is held, in milliseconds.
const LONGEST_HOLD: u64 = 300_000;
/// The most pairs that are kept. The one whose time ends first makes room for another.
const MAX_HELD: usize = 4_096;

/// A peer, a person of this site, and a person of the peer.
pub(super) type Pair = (SiteId, AccountId, AccountName);

struct Hold {
    times: u32,
    /// Since when.
    since: Timestamp,
    /// How long, in milliseconds.
    time: u64,
}

impl Hold {
    fn until(&self) -> Timestamp {
        self.since.plus_millis(self.time)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        is_past(self.since, self.time, now)
    }
}

/// The pairs that are held, and the batch that was sent last to each peer.
#[derive(Default)]
pub(in crate::engine::peers) struct HeldPairs {
    holds: HashMap<Pair, Hold>,
    sent: HashMap<SiteId, Vec<(MessageId, Pair)>>,
}

impl HeldPairs {
    /// The pairs that are held now.
    pub(super) fn now(&self, now: Timestamp) -> Vec<Pair> {
        let held = self.holds.iter().filter(|(_, hold)| !hold.is_over(now));
        held.map(|(pair, _)| pair.clone()).collect()
    }

    /// When the first pair of a peer that is held now may be sent again.
    pub(super) fn next(&self, peer: SiteId, now: Timestamp) -> Option<Timestamp> {
        let of_peer = self.holds.iter().filter(|((site, ..), _)| *site == peer);
        let held = of_peer.filter(|(_, hold)| !hold.is_over(now));
        held.map(|(_, hold)| hold.until()).min()
    }

    /// Messages were sent to a peer.
    pub(super) fn sent(&mut self, peer: SiteId, messages: &[OutboxMessage]) {
        let pair = |message: &OutboxMessage| {
            let pair = (message.peer, message.own, message.other.clone());
            (message.id, pair)
        };
        match messages {
            [] => drop(self.sent.remove(&peer)),
            _ => drop(self.sent.insert(peer, messages.iter().map(pair).collect())),
        }
    }

    /// The peer reported what it did with the messages.
    pub(super) fn reported(&mut self, peer: SiteId, reports: &[DeliveryReport], now: Timestamp) {
        let sent = self.sent.remove(&peer).unwrap_or_default();
        for (id, pair) in sent {
            let Some(report) = reports.iter().find(|report| report.id == id) else {
                continue;
            };
            match report.state {
                IncomingState::Later => self.hold(pair, now),
                IncomingState::Accepted | IncomingState::Refused { .. } => {
                    self.holds.remove(&pair);
                }
            }
        }
    }

    /// Each pair is held once for a batch, however many of its messages have to wait.
    fn hold(&mut self, pair: Pair, now: Timestamp) {
        let times = match self.holds.get(&pair) {
            Some(hold) if !hold.is_over(now) => return,
            Some(hold) => hold.times.saturating_add(1),
            None => 0,
        };
        if self.holds.len() >= MAX_HELD && !self.holds.contains_key(&pair) {
            let first = self.holds.iter().min_by_key(|(_, hold)| hold.until());
            if let Some(first) = first.map(|(pair, _)| pair.clone()) {
                self.holds.remove(&first);
            }
        }
        let hold = Hold {
            times,
            since: now,
            time: (FIRST_HOLD << times.min(10)).min(LONGEST_HOLD),
        };
        self.holds.insert(pair, hold);
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;

    use super::*;
    use crate::peers::{SealedText, SendState};

    const PEER: SiteId = SiteId([1; 32]);

    fn at(seconds: u32) -> Timestamp {
        Timestamp::from_millis(0).plus_seconds(seconds)
    }

    fn message(other: &str) -> OutboxMessage {
        OutboxMessage {
            id: MessageId::new(at(0), &mut SystemEntropy),
            peer: PEER,
            own: AccountId::from_bytes([7; 16]),
            other: other.parse().unwrap(),
            number: 1,
            text: SealedText::from_sealed(Vec::new()),
            at: at(0),
            state: SendState::Waiting,
        }
    }

    fn report(message: &OutboxMessage, state: IncomingState) -> DeliveryReport {
        let id = message.id;
        DeliveryReport { id, state }
    }

    #[test]
    fn a_pair_waits_twice_as_long_each_time_and_at_most_five_minutes_until_it_is_accepted() {
        let mut held = HeldPairs::default();
        let (later, taken) = (message("bob@b.example"), message("eve@b.example"));
        let mut now = at(0);
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            held.sent(PEER, &[later.clone(), later.clone(), taken.clone()]);
            let reports = [
                report(&later, IncomingState::Later),
                report(&taken, IncomingState::Accepted),
            ];
            held.reported(PEER, &reports, now);
            let until = now.plus_seconds(seconds);
            assert_eq!(held.next(PEER, now), Some(until));
            assert_eq!(held.now(now).len(), 1);
            assert_eq!(held.now(until), []);
            now = until;
        }
        held.sent(PEER, std::slice::from_ref(&later));
        held.reported(PEER, &[report(&later, IncomingState::Accepted)], now);
        assert_eq!(held.next(PEER, now), None);
        assert!(held.holds.is_empty() && held.sent.is_empty());
    }

    /// A peer let a message wait while the clock was a day ahead. After the clock was set right, the
    /// messages of that pair of persons waited for a day.
    // PEER-51
    #[test]
    fn a_pair_is_held_no_more_after_the_clock_was_set_back() {
        let mut held = HeldPairs::default();
        let later = message("bob@b.example");
        let (ahead, right) = (at(2 * 86_400), at(86_400));
        for (now, until) in [(ahead, 5), (right, 10)] {
            held.sent(PEER, std::slice::from_ref(&later));
            held.reported(PEER, &[report(&later, IncomingState::Later)], now);
            assert_eq!(held.next(PEER, now), Some(now.plus_seconds(until)));
            assert_eq!(held.now(now).len(), 1);
            let before = Timestamp::from_millis(now.millis() - 1);
            assert_eq!(held.next(PEER, before), None);
            assert_eq!(held.now(before), []);
        }
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        let mut held = HeldPairs::default();
        for number in 0..MAX_HELD + 9 {
            let later = message(&format!("p{number}@b.example"));
            held.sent(PEER, std::slice::from_ref(&later));
            held.reported(PEER, &[report(&later, IncomingState::Later)], at(0));
        }
        assert_eq!(held.holds.len(), MAX_HELD);
    }
}
