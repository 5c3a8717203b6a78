//! Notices: consequences of a change set that do not follow from the changes themselves.

use std::sync::Arc;

use countersign_crypto::site_key::SiteKey;
use countersign_proto::operation::Event;
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::id::SessionId;
use crate::peers::VoidAtPeer;
use crate::sessions::{Audience, CloseReason, NewChallenge};
use crate::throttle::Source;
use crate::timestamp::Timestamp;

/// A consequence of a committed change set. What follows from a [`Change`](super::Change) itself
/// needs no notice: for instance, the sessions of a locked account end without one.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An open session ends.
    SessionEnds {
        /// The session's id.
        id: SessionId,
        /// The reason that the session's client and the audit log get.
        reason: CloseReason,
    },
    /// The open and suspended sessions end whose encryption option is no longer on offer.
    SessionsNotOfferedEnd,
    /// The name may be given to another account, so the login throttle forgets its known sources.
    NameReleased(String),
    /// The rate-limit penalty of one source, or of all sources, is cleared.
    PenaltiesForgotten(Option<Source>),
    /// The site key was opened: the site is unsealed.
    Unsealed(Arc<SiteKey>),
    /// The site key was replaced by this one.
    KeyReplaced(Arc<SiteKey>),
    /// The site was sealed: it forgets its keys, and all sessions end.
    Sealed,
    /// A session starts a fresh proof.
    ProofStarted {
        /// The session's id.
        session: SessionId,
        /// How often the session had been resumed when the client asked for it.
        resumptions: u32,
        /// What the client has to answer.
        challenge: NewChallenge,
        /// The time from which the challenge is valid.
        at: Timestamp,
    },
    /// The fresh proof of a session was verified.
    ProofVerified {
        /// The session's id.
        session: SessionId,
        /// The number of the challenge that the client answered.
        number: u64,
        /// The name and the source for which the login throttle records a success. `None` if the
        /// client proved a key, because such proofs are not counted as login attempts.
        login: Option<(String, Source)>,
        /// The time from which the proof is valid.
        at: Timestamp,
    },
    /// Tickets of consumers of this site for providers of peers are void. A peer is told as soon as it
    /// can be reached.
    VoidAtPeers(Arc<[VoidAtPeer]>),
    /// Open sessions receive an event.
    Event {
        /// The sessions that receive it.
        to: Audience,
        /// The event.
        event: Arc<Event>,
    },
}

impl Notice {
    /// Tickets at peers are void; `None` if there are none.
    #[must_use]
    pub fn void_at_peers(voids: Vec<VoidAtPeer>) -> Option<Self> {
        (!voids.is_empty()).then(|| Self::VoidAtPeers(voids.into()))
    }

    /// Makes an event for open sessions with `data` as JSON.
    ///
    /// # Errors
    /// The error of `serde_json` if the data cannot be serialised.
    pub fn event(
        to: Audience,
        group: impl Into<String>,
        event: impl Into<String>,
        data: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let data = to_raw_value(data)?;
        let event = Arc::new(Event {
            group: group.into(),
            event: event.into(),
            data,
        });
        Ok(Self::Event { to, event })
    }
}
