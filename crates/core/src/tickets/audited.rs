//! Tickets, issued and refused, as the audit log has them: counted by consumer and provider.

use std::error::Error;

use super::{IssueError, Registered};
use crate::access::Channel;
use crate::applications::ApplicationId;
use crate::audit::AuditOutcome;
use crate::audit::coalesced::Occurrence;

const OPERATION: &str = "broker.ticket";

/// Tickets for one provider that a consumer was given.
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

/// Tickets that a consumer was refused. What it asked for may be any text: only the last one is kept,
/// and it is no part of what is counted apart.
pub(crate) fn refused(
    consumer: &Registered,
    channel: Channel,
    provider: &str,
    times: u64,
) -> Occurrence {
    let id = &consumer.application.id;
    let mut refused =
        Occurrence::of_application(id, channel, OPERATION, AuditOutcome::NotPermitted);
    // What is no id may be of any length.
    if provider.parse::<ApplicationId>().is_ok() {
        refused = refused.with("provider", provider);
    }
    refused.times(times)
}

/// What came of a request over HTTP; nothing where it is not settled.
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
