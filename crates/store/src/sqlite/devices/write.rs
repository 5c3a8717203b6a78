//! Changes of devices, which are few: they are written one by one, in their order.

use countersign_core::devices::Device;
use countersign_core::id::{AccountId, DeviceId};
use countersign_core::store::Thing;
use countersign_core::timestamp::Timestamp;
use sqlx::sqlite::SqliteConnection;

use crate::sqlite::failure::{Failure, expect, not_found, stale};
use crate::sqlite::row::signed;

/// One change of a device.
pub(in crate::sqlite) enum DeviceChange<'a> {
    Insert(&'a Device),
    Update(&'a Device),
    See(DeviceId, AccountId, Timestamp),
    Delete(DeviceId, AccountId),
}

const INSERT: &str = "INSERT INTO device \
    (id, account, name, spki, thumbprint, created, last_seen, revision) \
    SELECT ?1, account.key, ?3, ?4, ?5, ?6, ?7, ?8 FROM account WHERE account.id = ?2";

const UPDATE: &str = "UPDATE device SET name = ?3, revision = ?4 WHERE id = ?1 AND revision = ?4 - 1 \
    AND account = (SELECT key FROM account WHERE id = ?2)";

const SEE: &str = "UPDATE device SET last_seen = ?3 \
    WHERE id = ?1 AND account = (SELECT key FROM account WHERE id = ?2)";

const DELETE: &str =
    "DELETE FROM device WHERE id = ?1 AND account = (SELECT key FROM account WHERE id = ?2)";

pub(in crate::sqlite) async fn apply(
    connection: &mut SqliteConnection,
    change: &DeviceChange<'_>,
) -> Result<(), Failure> {
    match *change {
        DeviceChange::Insert(device) => {
            let done = sqlx::query(INSERT)
                .bind(device.id.as_bytes().as_slice())
                .bind(device.account.as_bytes().as_slice())
                .bind(device.name.as_str())
                .bind(device.spki.as_slice())
                .bind(device.thumbprint.0.as_slice())
                .bind(device.created.millis())
                .bind(device.last_seen.map(Timestamp::millis))
                .bind(signed(device.revision))
                .execute(connection)
                .await?;
            expect(done.rows_affected(), 1, not_found(Thing::Account))
        }
        DeviceChange::Update(device) => {
            let done = sqlx::query(UPDATE)
                .bind(device.id.as_bytes().as_slice())
                .bind(device.account.as_bytes().as_slice())
                .bind(device.name.as_str())
                .bind(signed(device.revision))
                .execute(&mut *connection)
                .await?;
            if done.rows_affected() == 1 {
                return Ok(());
            }
            let (id, account) = (device.id, device.account);
            Err(match is_there(connection, id, account).await? {
                true => stale(Thing::Device),
                false => not_found(Thing::Device),
            })
        }
        DeviceChange::See(id, account, at) => {
            sqlx::query(SEE)
                .bind(id.as_bytes().as_slice())
                .bind(account.as_bytes().as_slice())
                .bind(at.millis())
                .execute(connection)
                .await?;
            Ok(())
        }
        DeviceChange::Delete(id, account) => {
            let done = sqlx::query(DELETE)
                .bind(id.as_bytes().as_slice())
                .bind(account.as_bytes().as_slice())
                .execute(connection)
                .await?;
            expect(done.rows_affected(), 1, not_found(Thing::Device))
        }
    }
}

async fn is_there(
    connection: &mut SqliteConnection,
    id: DeviceId,
    account: AccountId,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "SELECT 1 FROM device WHERE id = ? AND account = (SELECT key FROM account WHERE id = ?)",
    )
    .bind(id.as_bytes().as_slice())
    .bind(account.as_bytes().as_slice())
    .fetch_optional(connection)
    .await
    .map(|row| row.is_some())
}
