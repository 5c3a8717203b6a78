//! Which of the persons who introduced two sites this site names when it connects to a peer.
//!
//! The lists of both sites may differ: one of them forgot the other and joined again, was restored from
//! a backup, or did not get the answer to a join. The newest introduction comes first, and after a
//! refusal the one before it, until the peer accepts one. A peer also refuses in silence what it accepted
//! before, for example while it restarts: every second attempt presents the one that it accepted last.

use std::collections::HashMap;

use countersign_proto::name::AccountName;
use countersign_proto::site_identity::SiteId;

use super::{Site, lock};
use crate::peers::{Introduction, Peer};

/// What was presented to each peer. There are as many entries as active peers at most.
#[derive(Default)]
pub(super) struct Presented(HashMap<SiteId, Turn>);

struct Turn {
    /// The newest introduction then. Another one begins again.
    newest: Introduction,
    /// The one that was presented last.
    last: Introduction,
    /// The one that the peer accepted last.
    accepted: Option<Introduction>,
    /// Whether the peer accepted none since there is this newest one.
    is_new: bool,
    /// The refusals since the peer accepted one, or since there is this newest one.
    refused: usize,
}

impl Turn {
    /// The introduction to present, of these, newest first.
    fn next<'a>(&self, newest_first: &[&'a Introduction]) -> Option<&'a Introduction> {
        let was_accepted = |of: &&&Introduction| Some(**of) == self.accepted.as_ref();
        let accepted = newest_first.iter().find(was_accepted).copied();
        let others = newest_first.iter().filter(|of| !was_accepted(of));
        let others: Vec<_> = others.copied().collect();
        let place = match accepted {
            None => Some(self.refused),
            Some(_) if self.refused % 2 == 1 => None,
            Some(_) => (self.refused / 2).checked_sub(usize::from(!self.is_new)),
        };
        let other = place.and_then(|place| others.get(place.checked_rem(others.len())?));
        other.copied().or(accepted)
    }
}

impl Site {
    /// The person to name in the next first line to a peer.
    pub(super) fn introduced_by(&self, peer: &Peer) -> Option<AccountName> {
        let newest_first = peer.newest_introductions();
        let newest = *newest_first.first()?;
        let mut presented = lock(&self.peering().presented);
        let begin = || Turn {
            newest: newest.clone(),
            last: newest.clone(),
            accepted: None,
            is_new: true,
            refused: 0,
        };
        let turn = presented.0.entry(peer.site()).or_insert_with(begin);
        if turn.newest != *newest {
            *turn = Turn {
                accepted: turn.accepted.take(),
                ..begin()
            };
        }
        let next = turn.next(&newest_first)?;
        turn.last = next.clone();
        Some(next.own_name.clone())
    }

    /// The peer welcomed this site after the first line.
    pub(super) fn introduction_accepted(&self, site: SiteId) {
        if let Some(turn) = lock(&self.peering().presented).0.get_mut(&site) {
            turn.accepted = Some(turn.last.clone());
            turn.is_new = false;
            turn.refused = 0;
        }
    }

    /// The peer closed the connection after the first line: the next one names another person.
    pub fn introduction_refused(&self, site: SiteId) {
        if let Some(turn) = lock(&self.peering().presented).0.get_mut(&site) {
            turn.refused = turn.refused.wrapping_add(1);
        }
    }

    /// The peer is not active any more.
    pub(super) fn forget_presented(&self, site: SiteId) {
        lock(&self.peering().presented).0.remove(&site);
    }
}
