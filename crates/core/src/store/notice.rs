//! What follows from a change set besides what follows from its changes themselves.

use std::sync::Arc;

use countersign_proto::operation::Event;
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::id::SessionId;
use crate::sessions::{Audience, CloseReason};
use crate::site_key::Opened;
use crate::throttle::Source;

/// Something that follows once a change set is committed. What follows from a [`Change`](super::Change) itself
/// needs no notice: the sessions of a locked account end without one.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An open session ends.
    SessionEnds {
        /// The session's id.
        id: SessionId,
        /// Its client and the audit log learn this reason.
        reason: CloseReason,
    },
    /// The open and suspended sessions end whose encryption option is not on offer any more.
    SessionsNotOfferedEnd,
    /// Another account may get this name: the login throttle forgets what it knows of it.
    NameReleased(String),
    /// The rate-limit penalty of one source is forgotten, or of all.
    PenaltiesForgotten(Option<Source>),
    /// A slot opened the site key: the site is unsealed.
    Unsealed(Arc<Opened>),
    /// Open sessions get an event.
    Event {
        /// The sessions that get it.
        to: Audience,
        /// The event.
        event: Arc<Event>,
    },
}

impl Notice {
    /// An event for open sessions, with `data` as JSON.
    ///
    /// # Errors
    /// That of `serde_json` when the data is no JSON.
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
