//! What accompanies the parameters of an operation.

use super::Refusal;
use super::context::Rider;
use super::table::Entry;
use crate::content::Content;
use crate::engine::rest::IfMatch;
use crate::store::{Change, CompletedRequest};
use crate::timestamp::Timestamp;

/// Tells whether a completed request was recorded.
pub struct Completion(Rider);

impl Completion {
    /// Whether the operation, which has ended, changed something, so that its request is recorded.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.take().is_none()
    }
}

/// The time while an operation runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunningTime {
    pub(in crate::engine) begun: Timestamp,
    clock: Option<fn() -> Timestamp>,
}

impl RunningTime {
    /// The time now; without a clock, that at which the operation began.
    pub(in crate::engine) fn now(self) -> Timestamp {
        self.clock.map_or(self.begun, |clock| clock())
    }
}

/// What accompanies the parameters of an operation: content, and conditions of its channel.
#[derive(Default)]
pub struct Carried {
    pub(in crate::engine) rider: Rider,
    pub(in crate::engine) content: Option<Content>,
    /// Whether the channel can carry the content of a result.
    returns_content: bool,
    pub(in crate::engine) if_match: Option<IfMatch>,
    clock: Option<fn() -> Timestamp>,
}

impl Carried {
    /// What a channel carries that transfers content in both directions.
    #[must_use]
    pub fn content(content: Option<Content>) -> Self {
        Self {
            content,
            returns_content: true,
            ..Self::default()
        }
    }

    /// What a channel without content carries: a change that is committed together with the first
    /// change set of the operation.
    pub(in crate::engine) fn rider(rider: Rider) -> Self {
        Self {
            rider,
            ..Self::default()
        }
    }

    /// Records a completed request in the same transaction as the first change of the operation. Returns
    /// also what tells afterwards whether there was one.
    #[must_use]
    pub fn completing(self, request: CompletedRequest) -> (Self, Completion) {
        let rider = Rider::with(Change::CompleteRequest(request));
        let completion = Completion(rider.clone());
        (Self { rider, ..self }, completion)
    }

    /// Carries the operation out only if its object has one of the [entity tags](crate::entity_tag) of the
    /// condition. The entry of the operation must be [revised](Entry::is_revised).
    #[must_use]
    pub fn if_match(self, condition: Option<IfMatch>) -> Self {
        Self {
            if_match: condition,
            ..self
        }
    }

    /// Tells the time while the operation runs, which may wait. Without a clock, all of it happens at the
    /// time at which it began.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> Timestamp) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }

    pub(in crate::engine) const fn time(&self, begun: Timestamp) -> RunningTime {
        RunningTime {
            begun,
            clock: self.clock,
        }
    }

    pub(in crate::engine) fn fits(&self, entry: &Entry) -> Result<(), Refusal> {
        if entry.gives_content() && !self.returns_content {
            return Err(Refusal::stray_content(format!(
                "{} returns content, which this channel cannot carry",
                entry.name()
            )));
        }
        match (entry.takes_content(), self.content.is_some()) {
            (true, false) => Err(Refusal::no_content()),
            (false, true) => Err(Refusal::stray_content(format!(
                "{} takes no content",
                entry.name()
            ))),
            _ => Ok(()),
        }
    }
}
