//! Events of alarms for open connections, in the commit that changes the alarm.

use serde::Serialize;

use crate::access::Role;
use crate::alarms::{Alarm, AlarmData, AlarmState, Severity, Target};
use crate::engine::{Changes, Refusal};
use crate::id::AlarmId;
use crate::sessions::Audience;
use crate::store::{AlarmChange, Change, Notice};
use crate::timestamp::Timestamp;

/// The group of all events about alarms.
const GROUP: &str = "alarm";

/// The data of an event.
#[derive(Debug, Serialize)]
struct AlarmEvent<'a> {
    id: AlarmId,
    key: &'a str,
    severity: Severity,
    text: &'a str,
    raised_by: &'a str,
    state: AlarmState,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a AlarmData>,
}

impl<'a> AlarmEvent<'a> {
    fn of(alarm: &'a Alarm) -> Self {
        Self {
            id: alarm.id,
            key: alarm.key.as_str(),
            severity: alarm.severity,
            text: alarm.text.as_str(),
            raised_by: &alarm.raised_by,
            state: alarm.state,
            count: alarm.count,
            first: alarm.first,
            last: alarm.last,
            data: alarm.data.as_ref(),
        }
    }
}

/// Adds an event for the open connections of all recipients. An alarm for a person that has further
/// recipients has escalated to the admins.
pub(super) fn with_events(
    changes: impl IntoIterator<Item = AlarmChange>,
    alarm: &Alarm,
    event: &'static str,
    recipients: usize,
) -> Result<Changes, Refusal> {
    let data = AlarmEvent::of(alarm);
    let admins = Audience::Role(Role::Admin);
    let audiences = match alarm.to {
        Target::Admins => [Some(admins), None],
        Target::Person(account) if recipients > 1 => {
            [Some(Audience::Account(account)), Some(admins)]
        }
        Target::Person(account) => [Some(Audience::Account(account)), None],
    };
    let mut changes = as_changes(changes);
    for to in audiences.into_iter().flatten() {
        changes = changes.and(Notice::event(to, GROUP, event, &data)?);
    }
    Ok(changes)
}

pub(super) fn as_changes(changes: impl IntoIterator<Item = AlarmChange>) -> Changes {
    let relevant = changes.into_iter().filter(|change| match change {
        AlarmChange::InsertDeliveries(deliveries) => !deliveries.is_empty(),
        AlarmChange::PutRecipients { recipients, .. } => !recipients.is_empty(),
        _ => true,
    });
    relevant.map(Change::Alarm).collect::<Vec<_>>().into()
}

/// Like [`with_events`], for the open connections of admins only.
pub(super) fn with_event_for_admins(
    changes: impl IntoIterator<Item = AlarmChange>,
    alarm: &Alarm,
    event: &'static str,
) -> Result<Changes, Refusal> {
    let to = Audience::Role(Role::Admin);
    let notice = Notice::event(to, GROUP, event, &AlarmEvent::of(alarm))?;
    Ok(as_changes(changes).and(notice))
}
