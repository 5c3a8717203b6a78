//! The state of a peer with its cause and the next step, for `peer show` and `peer doctor`.

use crate::engine::Site;
use crate::lockdown::{LOCKDOWN, LockdownTarget};
use crate::peers::{Peer, PeerState};
use crate::timestamp::Timestamp;

/// The state of a peer, and what is wrong with it.
pub(super) struct PeerHealth {
    /// That of `peer list`: of an active peer `lockdown`, if it is in lockdown, or the name of its problem.
    pub(super) state: &'static str,
    /// `None` if nothing is wrong.
    pub(super) trouble: Option<PeerTrouble>,
}

/// What is wrong with a peer, and what to do.
pub(super) struct PeerTrouble {
    pub(super) cause: String,
    pub(super) next: String,
    /// When a problem with an active peer was seen last.
    pub(super) at: Option<Timestamp>,
}

impl PeerHealth {
    pub(super) fn of(site: &Site, peer: &Peer) -> Self {
        let lockdowns = site.lockdowns();
        let in_lockdown = lockdowns.of(&LockdownTarget::Peer(peer.site()));
        let (state, zone) = (peer.state.as_str(), &peer.zone);
        let trouble = |cause, command| PeerTrouble {
            cause,
            next: format!("`{command} {zone}` once the reason is gone"),
            at: None,
        };
        match (&peer.state, in_lockdown) {
            // A tombstone is what an admin wanted.
            (PeerState::Removed { .. }, _) => Self {
                state,
                trouble: None,
            },
            (PeerState::Active | PeerState::Suspended { .. }, Some(on)) => {
                let (by, reason) = (&on.imposed.by, on.imposed.reason.as_str());
                let reason = Some(reason).filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or("no reason given");
                let cause = format!("{by} put it in lockdown: {reason}");
                let trouble = trouble(cause, "lockdown lift peer");
                Self {
                    state: LOCKDOWN,
                    trouble: Some(trouble),
                }
            }
            (PeerState::Suspended { by, why, .. }, None) => {
                let why = Some(why.as_str()).filter(|why| !why.is_empty());
                let why = why.unwrap_or("no reason given");
                let cause = format!("{by} suspended it: {why}");
                let trouble = trouble(cause, "peer resume");
                Self {
                    state,
                    trouble: Some(trouble),
                }
            }
            (PeerState::Active, None) => match site.last_peer_problem(peer.site()) {
                Some((problem, at)) => Self {
                    state: problem.as_str(),
                    trouble: Some(PeerTrouble {
                        cause: problem.cause(&peer.address()),
                        next: problem.next_step(zone),
                        at: Some(at),
                    }),
                },
                None => Self {
                    state,
                    trouble: None,
                },
            },
        }
    }
}
