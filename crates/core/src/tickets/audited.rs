//! Counts issued and refused tickets for the audit log, per consumer and provider.

use std::error::Error;

use super::{IssueError, Registered};
use crate::access::Channel;
use crate::applications::ApplicationId;
use crate::audit::AuditOutcome;
use crate::audit::coalesced::Occurrence;

const OPERATION: &str = "broker.ticket";

/// Returns the event of tickets that were issued to a consumer for a provider.
pub(super) fn granted(
    consumer: &Registered,
    channel: Channel,
    provider: &str,
    times: u64,
) -> Occurrence {
    let id = &consumer.application.id;
    let granted = Occurrence::of_application(id, channel, OPERATION, AuditOutcome::Done);
    granted.to(provider).times(times)
}

/// Returns the event of tickets that were refused to a consumer. The requested id may be any text,
/// so it is a detail of the entry and does not get a counter of its own.
pub(crate) fn refused(
    consumer: &Registered,
    channel: Channel,
    provider: &str,
    times: u64,
) -> Occurrence {
    let id = &consumer.application.id;
    let mut refused =
        Occurrence::of_application(id, channel, OPERATION, AuditOutcome::NotPermitted);
    // Text that is not a valid id may be long, so it is left out.
    if provider.parse::<ApplicationId>().is_ok() {
        refused = refused.with("provider", provider);
    }
    refused.times(times)
}

/// Returns the event of a request over HTTP; `None` if it was neither granted nor refused.
pub(crate) fn response<T, R: Error>(
    consumer: &Registered,
    provider: &str,
    response: &Result<T, IssueError<R>>,
) -> Option<Occurrence> {
    match response {
        Ok(_) => Some(granted(consumer, Channel::Http, provider, 1)),
        Err(IssueError::Refused(_)) => Some(refused(consumer, Channel::Http, provider, 1)),
        Err(IssueError::Busy | IssueError::Store(_)) => None,
    }
}
