//! Tickets, given and refused, as the audit log has them: counted by requester and provider.

use super::{NotAnswered, Registered};
use crate::application::ApplicationId;
use crate::audit::AuditOutcome;
use crate::audit::coalesced::Occurrence;
use crate::caller::Door;
use crate::site::Site;
use crate::timestamp::Timestamp;

const OPERATION: &str = "broker.ticket";

impl Site {
    /// Tickets for one provider that a requester was given.
    pub(super) fn count_granted(
        &self,
        requester: &Registered,
        door: Door,
        (provider, times): (&str, u64),
        now: Timestamp,
    ) {
        let id = &requester.application.id;
        let granted = Occurrence::of_application(id, door, OPERATION, AuditOutcome::Done);
        self.count(granted.to(provider).times(times), now);
    }

    /// Tickets that a requester was refused. What it asked for may be any text: only the last one is kept,
    /// and it is no part of what is counted apart.
    pub(super) fn count_refused(
        &self,
        requester: &Registered,
        door: Door,
        (provider, times): (&str, u64),
        now: Timestamp,
    ) {
        let id = &requester.application.id;
        let mut refused =
            Occurrence::of_application(id, door, OPERATION, AuditOutcome::NotPermitted);
        // What is no id may be of any length.
        if provider.parse::<ApplicationId>().is_ok() {
            refused = refused.with("provider", provider);
        }
        self.count(refused.times(times), now);
    }

    /// What came of a request over HTTP.
    pub(super) fn count_answer<T, R: std::error::Error>(
        &self,
        requester: &Registered,
        requested: &str,
        answer: &Result<T, NotAnswered<R>>,
        now: Timestamp,
    ) {
        match answer {
            Ok(_) => self.count_granted(requester, Door::Http, (requested, 1), now),
            Err(NotAnswered::Refused(_)) => {
                self.count_refused(requester, Door::Http, (requested, 1), now);
            }
            Err(NotAnswered::Busy | NotAnswered::Store(_)) => {}
        }
    }
}
