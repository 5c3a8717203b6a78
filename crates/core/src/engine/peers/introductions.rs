//! Which of the persons who introduced two sites this site names when it connects to a peer.
//!
//! The lists of both sites may differ: one of them forgot the other and joined again, was restored from
//! a backup, or did not get the answer to a join. The newest introduction comes first, and after a
//! refusal the one before it, until the peer accepts one.

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
    /// The introductions that the peer refused since.
    refused: usize,
}

impl Site {
    /// The person to name in the next first line to a peer.
    pub(super) fn introduced_by(&self, peer: &Peer) -> Option<AccountName> {
        let newest = peer.introductions.last()?;
        let mut presented = lock(&self.peering().presented);
        let begin = || Turn {
            newest: newest.clone(),
            refused: 0,
        };
        let turn = presented.0.entry(peer.site()).or_insert_with(begin);
        if turn.newest != *newest {
            *turn = begin();
        }
        let place = turn.refused.checked_rem(peer.introductions.len())?;
        let next = peer.introductions.iter().rev().nth(place)?;
        Some(next.own_name.clone())
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
