//! Writes changes of alarms and of the outbox, one by one in their order.

use countersign_core::alarms::{
    Alarm, Delivery, MAX_ALARMS, MAX_ALARMS_OF_PERSON, OneLine, Recipient, Severity,
};
use countersign_core::id::{AccountId, AlarmId};
use countersign_core::store::{AlarmChange, StoredPreferences, Thing};
use countersign_core::timestamp::Timestamp;
use sqlx::sqlite::SqliteConnection;

use crate::sqlite::failure::{Failure, document, expect, not_found, stale};
use crate::sqlite::row::signed;
use crate::sqlite::statement::{Many, Row};

pub(in crate::sqlite) async fn apply(
    connection: &mut SqliteConnection,
    change: &AlarmChange,
) -> Result<(), Failure> {
    match change {
        AlarmChange::Insert(alarm) => insert(connection, alarm).await,
        AlarmChange::Update(alarm) => update(connection, alarm).await,
        AlarmChange::Delete { id, revision } => delete(connection, *id, *revision).await,
        AlarmChange::PutRecipients { alarm, recipients } => {
            put_recipients(connection, *alarm, recipients).await
        }
        AlarmChange::InsertDeliveries(deliveries) => {
            insert_deliveries(connection, deliveries).await
        }
        AlarmChange::UpdateDeliveries(deliveries) => {
            update_deliveries(connection, deliveries).await
        }
        AlarmChange::CancelDeliveries(alarm) => cancel(connection, *alarm).await,
        AlarmChange::PutPreferences { account, stored } => {
            put_preferences(connection, *account, stored).await
        }
    }
}

async fn insert(connection: &mut SqliteConnection, alarm: &Alarm) -> Result<(), Failure> {
    let statement = "INSERT INTO alarm (raiser, target, name, state, escalates, revision, document, \
                     id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    put(connection, statement, alarm).await.map(|_| ())
}

async fn update(connection: &mut SqliteConnection, alarm: &Alarm) -> Result<(), Failure> {
    let statement = "UPDATE alarm SET raiser = ?1, target = ?2, name = ?3, state = ?4, \
                     escalates = ?5, revision = ?6, document = ?7 \
                     WHERE id = ?8 AND revision = ?6 - 1";
    match put(connection, statement, alarm).await? {
        0 => Err(missing_or_stale(connection, alarm.id).await?),
        _ => Ok(()),
    }
}

async fn put(
    connection: &mut SqliteConnection,
    statement: &'static str,
    alarm: &Alarm,
) -> Result<u64, Failure> {
    let done = sqlx::query(statement)
        .bind(alarm.raiser.to_string())
        .bind(alarm.to.to_string())
        .bind(alarm.key.as_str())
        .bind(alarm.state.as_str())
        .bind(alarm.escalates.map(Timestamp::millis))
        .bind(signed(alarm.revision))
        .bind(document(serde_json::to_string(alarm))?)
        .bind(alarm.id.as_bytes().as_slice())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

async fn delete(
    connection: &mut SqliteConnection,
    id: AlarmId,
    revision: u64,
) -> Result<(), Failure> {
    let done = sqlx::query("DELETE FROM alarm WHERE id = ? AND revision = ?")
        .bind(id.as_bytes().as_slice())
        .bind(signed(revision))
        .execute(&mut *connection)
        .await?;
    match done.rows_affected() {
        0 => Err(missing_or_stale(connection, id).await?),
        _ => Ok(()),
    }
}

async fn missing_or_stale(
    connection: &mut SqliteConnection,
    id: AlarmId,
) -> Result<Failure, sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM alarm WHERE id = ?")
        .bind(id.as_bytes().as_slice())
        .fetch_optional(connection)
        .await?;
    Ok(match found {
        Some(_) => stale(Thing::Alarm),
        None => not_found(Thing::Alarm),
    })
}

async fn put_recipients(
    connection: &mut SqliteConnection,
    alarm: AlarmId,
    recipients: &[Recipient],
) -> Result<(), Failure> {
    let put = PUT_RECIPIENT
        .execute(connection, recipients, |row, recipient| {
            row.put(alarm.as_bytes().as_slice())?;
            row.put(recipient.account.as_bytes().as_slice())?;
            row.put(recipient.acknowledged.map(Timestamp::millis))
        })
        .await?;
    expect_owners(connection, put, recipients.len(), &[alarm]).await
}

async fn insert_deliveries(
    connection: &mut SqliteConnection,
    deliveries: &[Delivery],
) -> Result<(), Failure> {
    let inserted = INSERT_DELIVERY
        .execute(connection, deliveries, |row, delivery| {
            row.put(delivery.alarm.as_bytes().as_slice())?;
            row.put(delivery.account.as_bytes().as_slice())?;
            row.put(delivery.channel.as_str())?;
            row.put(delivery.about.as_str())?;
            put_state(row, delivery)
        })
        .await?;
    let alarms: Vec<AlarmId> = deliveries.iter().map(|delivery| delivery.alarm).collect();
    expect_owners(connection, inserted, deliveries.len(), &alarms).await
}

/// Fails when fewer rows were written than wanted, because an alarm or an account is missing.
async fn expect_owners(
    connection: &mut SqliteConnection,
    written: u64,
    wanted: usize,
    alarms: &[AlarmId],
) -> Result<(), Failure> {
    if written == wanted as u64 {
        return Ok(());
    }
    for alarm in alarms {
        let found = sqlx::query("SELECT 1 FROM alarm WHERE id = ?")
            .bind(alarm.as_bytes().as_slice())
            .fetch_optional(&mut *connection)
            .await?;
        if found.is_none() {
            return Err(not_found(Thing::Alarm));
        }
    }
    Err(not_found(Thing::Account))
}

async fn update_deliveries(
    connection: &mut SqliteConnection,
    deliveries: &[Delivery],
) -> Result<(), Failure> {
    let updated = UPDATE_DELIVERY
        .execute(connection, deliveries, put_state)
        .await?;
    if updated == deliveries.len() as u64 {
        return Ok(());
    }
    for delivery in deliveries {
        let found = sqlx::query("SELECT 1 FROM delivery WHERE id = ?")
            .bind(delivery.id.as_bytes().as_slice())
            .fetch_optional(&mut *connection)
            .await?;
        if found.is_none() {
            return Err(not_found(Thing::Delivery));
        }
    }
    Err(stale(Thing::Delivery))
}

fn put_state(row: &mut Row, delivery: &Delivery) -> Result<(), sqlx::Error> {
    let lease = delivery.lease;
    row.put(delivery.id.as_bytes().as_slice())?;
    row.put(delivery.severity as i64)?;
    row.put(delivery.due.millis())?;
    row.put(delivery.since.millis())?;
    row.put(delivery.attempts)?;
    row.put(delivery.refusals)?;
    row.put(delivery.state.as_str())?;
    row.put(delivery.last_error.as_ref().map(OneLine::as_str))?;
    row.put(delivery.folded)?;
    row.put(delivery.attempted.map(Timestamp::millis))?;
    row.put(lease.map(|lease| lease.message.as_bytes().to_vec()))?;
    row.put(lease.map(|lease| lease.until.millis()))?;
    row.put(signed(delivery.revision))
}

async fn cancel(connection: &mut SqliteConnection, alarm: AlarmId) -> Result<(), Failure> {
    sqlx::query(
        "UPDATE delivery SET state = 'cancelled', revision = revision + 1 \
         WHERE alarm = (SELECT key FROM alarm WHERE id = ?) AND state = 'waiting'",
    )
    .bind(alarm.as_bytes().as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_preferences(
    connection: &mut SqliteConnection,
    account: AccountId,
    stored: &StoredPreferences,
) -> Result<(), Failure> {
    let found = sqlx::query("SELECT 1 FROM account WHERE id = ?")
        .bind(account.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
    if found.is_none() {
        return Err(not_found(Thing::Account));
    }
    let statement = if stored.revision == 1 {
        "INSERT INTO alarm_preferences (account, revision, document) \
         SELECT key, ?2, ?3 FROM account WHERE id = ?1 ON CONFLICT DO NOTHING"
    } else {
        "UPDATE alarm_preferences SET revision = ?2, document = ?3 \
         WHERE account = (SELECT key FROM account WHERE id = ?1) AND revision = ?2 - 1"
    };
    let put = sqlx::query(statement)
        .bind(account.as_bytes().as_slice())
        .bind(signed(stored.revision))
        .bind(document(serde_json::to_string(&stored.preferences))?)
        .execute(connection)
        .await?;
    expect(put.rows_affected(), 1, stale(Thing::Preferences))
}

/// The column `severity` contains the position in [`Severity::ALL`], so that it sorts by severity.
const _: () = assert!(Severity::Critical as i64 == 2);
/// The triggers in `0007_alarms.sql` contain these limits.
const _: () = assert!(MAX_ALARMS == 10_000 && MAX_ALARMS_OF_PERSON == 1_000);

const PUT_RECIPIENT: Many = Many {
    before: "WITH new (alarm, account, acknowledged) AS (VALUES ",
    row: "(?,?,?)",
    after: ") INSERT INTO alarm_recipient (alarm, account, acknowledged) \
            SELECT alarm.key, account.key, new.acknowledged FROM new \
            CROSS JOIN alarm ON alarm.id = new.alarm CROSS JOIN account ON account.id = new.account \
            WHERE true ON CONFLICT (alarm, account) DO UPDATE SET acknowledged = excluded.acknowledged",
};

const INSERT_DELIVERY: Many = Many {
    before: "WITH new (alarm, account, channel, about, id, severity, due, since, attempts, \
             refusals, state, last_error, folded, attempted, message, leased, revision) AS (VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    after: ") INSERT OR REPLACE INTO delivery (alarm, account, channel, about, id, severity, due, \
            since, attempts, refusals, state, last_error, folded, attempted, message, leased, revision) \
            SELECT alarm.key, account.key, new.channel, new.about, new.id, new.severity, new.due, \
            new.since, new.attempts, new.refusals, new.state, new.last_error, new.folded, \
            new.attempted, new.message, new.leased, new.revision FROM new \
            CROSS JOIN alarm ON alarm.id = new.alarm CROSS JOIN account ON account.id = new.account",
};

const UPDATE_DELIVERY: Many = Many {
    before: "WITH new (id, severity, due, since, attempts, refusals, state, last_error, folded, \
             attempted, message, leased, revision) AS (VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?,?,?,?)",
    after: ") UPDATE delivery SET due = new.due, since = new.since, attempts = new.attempts, \
            refusals = new.refusals, state = new.state, last_error = new.last_error, folded = new.folded, \
            attempted = new.attempted, message = new.message, leased = new.leased, \
            revision = new.revision FROM new \
            WHERE delivery.id = new.id AND delivery.revision = new.revision - 1",
};
