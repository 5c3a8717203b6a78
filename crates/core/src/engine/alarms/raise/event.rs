//! Events of alarms for open connections, in the commit that changes the alarm.

use std::sync::Arc;

use serde::Serialize;

use crate::alarms::{Alarm, AlarmData, AlarmState, Severity};
use crate::engine::{Changes, Refusal};
use crate::id::{AccountId, AlarmId};
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

/// Adds an event for the open connections of these recipients. They are named one by one: the
/// connection of an admin's device has no rights of the role.
pub(super) fn with_event(
    changes: impl IntoIterator<Item = AlarmChange>,
    alarm: &Alarm,
    event: &'static str,
    recipients: impl IntoIterator<Item = AccountId>,
) -> Result<Changes, Refusal> {
    let to = Audience::Accounts(Arc::new(recipients.into_iter().collect()));
    let notice = Notice::event(to, GROUP, event, &AlarmEvent::of(alarm))?;
    Ok(as_changes(changes).and(notice))
}

pub(super) fn as_changes(changes: impl IntoIterator<Item = AlarmChange>) -> Changes {
    let relevant = changes.into_iter().filter(|change| match change {
        AlarmChange::InsertDeliveries(deliveries) => !deliveries.is_empty(),
        AlarmChange::PutRecipients { recipients, .. } => !recipients.is_empty(),
        _ => true,
    });
    relevant.map(Change::Alarm).collect::<Vec<_>>().into()
}
