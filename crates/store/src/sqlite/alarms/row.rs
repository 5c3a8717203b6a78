//! Converts rows into alarms and deliveries.

use countersign_core::alarms::{
    About, Alarm, Delivery, DeliveryChannel, DeliveryState, Lease, OneLine, Recipient, Severity,
};
use countersign_core::id::{AccountId, AlarmId, DeliveryId};
use countersign_core::store::{OldestDelivery, StoreError, StoredPreferences};
use countersign_core::timestamp::Timestamp;

use crate::sqlite::row::{Columns, damaged};

/// The columns of a delivery, which [`delivery`] reads.
macro_rules! delivery_columns {
    () => {
        "delivery.id, alarm.id, account.id, delivery.channel, delivery.about, delivery.severity, \
         delivery.due, delivery.since, delivery.attempts, delivery.refusals, delivery.state, \
         delivery.last_error, delivery.folded, delivery.attempted, delivery.message, delivery.leased, delivery.revision"
    };
}

/// The tables of [`delivery_columns`].
macro_rules! delivery_tables {
    () => {
        " FROM delivery JOIN alarm ON alarm.key = delivery.alarm \
         JOIN account ON account.key = delivery.account "
    };
}

pub(super) use {delivery_columns, delivery_tables};

pub(super) fn alarm(columns: &mut Columns<'_>) -> Result<Alarm, StoreError> {
    let document: &str = columns.take()?;
    serde_json::from_str(document).map_err(|error| damaged(&error))
}

pub(super) fn recipient(columns: &mut Columns<'_>) -> Result<Recipient, StoreError> {
    Ok(Recipient {
        account: AccountId::from_bytes(columns.bytes()?),
        acknowledged: optional_time(columns)?,
    })
}

pub(super) fn delivery(columns: &mut Columns<'_>) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: DeliveryId::from_bytes(columns.bytes()?),
        alarm: AlarmId::from_bytes(columns.bytes()?),
        account: AccountId::from_bytes(columns.bytes()?),
        channel: columns.word(&DeliveryChannel::ALL, DeliveryChannel::as_str)?,
        about: columns.word(&About::ALL, About::as_str)?,
        severity: severity(columns)?,
        due: columns.time()?,
        since: columns.time()?,
        attempts: columns.number()?,
        refusals: columns.number()?,
        state: columns.word(&DeliveryState::ALL, DeliveryState::as_str)?,
        last_error: columns
            .take::<Option<String>>()?
            .map(|error| OneLine::cut(&error)),
        folded: columns.take()?,
        attempted: optional_time(columns)?,
        lease: lease(columns)?,
        revision: columns.number()?,
    })
}

fn lease(columns: &mut Columns<'_>) -> Result<Option<Lease>, StoreError> {
    let message: Option<&[u8]> = columns.take()?;
    let until = optional_time(columns)?;
    let (Some(message), Some(until)) = (message, until) else {
        return Ok(None);
    };
    let message = message.try_into().map_err(|error| damaged(&error))?;
    Ok(Some(Lease {
        message: DeliveryId::from_bytes(message),
        until,
    }))
}

pub(super) fn message(
    columns: &mut Columns<'_>,
) -> Result<(DeliveryChannel, Timestamp), StoreError> {
    Ok((
        columns.word(&DeliveryChannel::ALL, DeliveryChannel::as_str)?,
        columns.time()?,
    ))
}

pub(super) fn preferences(columns: &mut Columns<'_>) -> Result<StoredPreferences, StoreError> {
    let revision = columns.number()?;
    let document: &str = columns.take()?;
    let preferences = serde_json::from_str(document).map_err(|error| damaged(&error))?;
    Ok(StoredPreferences {
        preferences,
        revision,
    })
}

pub(super) fn optional_time(columns: &mut Columns<'_>) -> Result<Option<Timestamp>, StoreError> {
    Ok(columns.take::<Option<i64>>()?.map(Timestamp::from_millis))
}

pub(super) fn oldest(columns: &mut Columns<'_>) -> Result<Option<OldestDelivery>, StoreError> {
    let since = optional_time(columns)?;
    let attempts: Option<i64> = columns.take()?;
    let last_error: Option<String> = columns.take()?;
    let (Some(since), Some(attempts)) = (since, attempts) else {
        return Ok(None);
    };
    Ok(Some(OldestDelivery {
        since,
        attempts: u32::try_from(attempts).map_err(|error| damaged(&error))?,
        last_error: last_error.map(|error| OneLine::cut(&error)),
    }))
}

fn severity(columns: &mut Columns<'_>) -> Result<Severity, StoreError> {
    let place: usize = columns.number()?;
    let found = Severity::ALL.get(place).copied();
    found.ok_or_else(|| damaged(&format_args!("{place} is not a severity")))
}
