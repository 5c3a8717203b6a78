//! Counts issued and refused tickets for the audit log, per consumer and provider.

use std::error::Error;

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::site_identity::SiteId;

use super::{ForeignTicketParams, IssueError, Registered};
use crate::access::{Arrival, Caller};
use crate::applications::ApplicationId;
use crate::audit::AuditOutcome;
use crate::audit::coalesced::Occurrence;

const OPERATION: &str = "broker.ticket";
const FOREIGN: &str = "broker.foreign_ticket";

/// Returns the event of tickets that were issued to a consumer for a provider.
pub(super) fn granted(
    consumer: &Registered,
    arrival: Arrival,
    provider: &str,
    times: u64,
) -> Occurrence {
    let id = &consumer.application.id;
    let granted = Occurrence::of_application(id, arrival, OPERATION, AuditOutcome::Done);
    granted.to(provider).times(times)
}

/// Returns the event of tickets that were refused to a consumer. The requested id may be any text,
/// so it is a detail of the entry and does not get a counter of its own.
pub(crate) fn refused(
    consumer: &Registered,
    arrival: Arrival,
    provider: &str,
    times: u64,
) -> Occurrence {
    refused_as(AuditOutcome::NotPermitted, consumer, arrival, provider).times(times)
}

fn refused_as(
    outcome: AuditOutcome,
    consumer: &Registered,
    arrival: Arrival,
    provider: &str,
) -> Occurrence {
    let id = &consumer.application.id;
    let mut refused = Occurrence::of_application(id, arrival, OPERATION, outcome);
    // Text that is not a valid id may be long, so it is left out.
    if provider.parse::<ApplicationId>().is_ok() {
        refused = refused.with("provider", provider);
    }
    refused
}

/// Returns the event of a ticket of a peer, which the peer granted or refused to a consumer.
pub(crate) fn foreign_asked(
    consumer: &Registered,
    arrival: Arrival,
    provider: &ForeignName,
    peer: SiteId,
    was_granted: bool,
) -> Occurrence {
    let name = provider.to_string();
    let asked = match was_granted {
        true => granted(consumer, arrival, &name, 1),
        // Policy named the provider, so that its name may be a target.
        false => refused(consumer, arrival, &name, 1).to(name),
    };
    asked.with("site", peer.to_string())
}

/// Returns the event of a request of a peer for its consumer. The peer chooses the names, so a
/// request that was refused is counted for the peer.
pub(crate) fn foreign_answered(
    caller: &Caller,
    params: &ForeignTicketParams,
    was_granted: bool,
) -> Occurrence {
    let consumer = params.consumer.to_string();
    let outcome = match was_granted {
        true => AuditOutcome::Done,
        false => AuditOutcome::NotPermitted,
    };
    let answered = match consumer.parse::<ApplicationId>() {
        Ok(id) if was_granted => {
            Occurrence::of_application(&id, caller.arrival(), FOREIGN, outcome)
                .to(params.provider.id())
        }
        _ => Occurrence::of_caller(caller, FOREIGN, outcome)
            .with("provider", params.provider.to_string()),
    };
    let site = caller.peer.map(|peer| peer.site.to_string());
    answered
        .with("consumer", consumer)
        .with("key", params.key.clone())
        .with("site", site)
}

/// Returns the event of a verified ticket request; `None` if it was neither granted nor refused.
/// `peer` is the provider and its site, if this site's policy allows the call of a peer.
pub(crate) fn requested<T, R: Error>(
    consumer: &Registered,
    arrival: Arrival,
    provider: &str,
    peer: Option<(&ForeignName, SiteId)>,
    answer: &Result<T, IssueError<R>>,
) -> Option<Occurrence> {
    let was_granted = match answer {
        Ok(_) => true,
        Err(IssueError::Refused(_)) => false,
        Err(IssueError::Lockdown) => {
            let outcome = AuditOutcome::Lockdown;
            return Some(refused_as(outcome, consumer, arrival, provider));
        }
        Err(
            IssueError::PeerUnreachable
            | IssueError::Sealed
            | IssueError::Busy
            | IssueError::Store(_),
        ) => return None,
    };
    Some(match (peer, was_granted) {
        (Some((provider, peer)), _) => {
            foreign_asked(consumer, arrival, provider, peer, was_granted)
        }
        (None, true) => granted(consumer, arrival, provider, 1),
        (None, false) => refused(consumer, arrival, provider, 1),
    })
}
