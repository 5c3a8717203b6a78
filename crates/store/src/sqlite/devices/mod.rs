//! Devices.

mod write;

use async_trait::async_trait;
use countersign_core::accounts::Account;
use countersign_core::devices::Device;
use countersign_core::id::{AccountId, DeviceId};
use countersign_core::page::Page;
use countersign_core::store::{DamagedRow, Devices, RemovedDevice, StoreError};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::certificate::Thumbprint;

use super::SqliteStore;
use super::accounts::account_row;
use super::reads::{many, one, page_query};
use super::row::{Columns, owned};

pub(super) use write::{DeviceChange, apply};

macro_rules! device_columns {
    () => {
        "device.id, account.id, device.name, device.spki, device.thumbprint, device.created, \
         device.last_seen, device.revision"
    };
}

const BY_ID: &str = concat!(
    "SELECT ",
    device_columns!(),
    " FROM device JOIN account ON account.key = device.account WHERE device.id = ?"
);
const BY_KEY: &str = concat!(
    "SELECT ",
    device_columns!(),
    ", account.id, account.name, account.kind, account.role, account.full_name, account.email, \
     account.state, account.revision, account.created, account.changed \
     FROM device JOIN account ON account.key = device.account WHERE device.thumbprint = ?"
);
const OWNER: &str = "SELECT account.id, account.name, account.kind, account.role, \
    account.full_name, account.email, account.state, account.revision, account.created, \
    account.changed, (SELECT count(*) FROM device WHERE device.account = account.key) \
    FROM account WHERE account.id = ?";
// CROSS JOIN keeps SQLite from turning the join round: an account's own devices are found by their
// index.
const OF_ACCOUNT: &str = concat!(
    "SELECT ",
    device_columns!(),
    " FROM account CROSS JOIN device ON device.account = account.key \
     WHERE account.id = ? AND device.id > ? ORDER BY device.id LIMIT ?"
);
const ALL: &str = concat!(
    "SELECT ",
    device_columns!(),
    " FROM device CROSS JOIN account ON account.key = device.account \
     WHERE device.id > ? ORDER BY device.id LIMIT ?"
);

#[async_trait]
impl Devices for SqliteStore {
    async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let query = sqlx::query(BY_ID).bind(id.as_bytes().to_vec());
        one(&self.readers, query, row).await
    }

    async fn device_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, Device)>, StoreError> {
        let query = sqlx::query(BY_KEY).bind(thumbprint.0.to_vec());
        one(&self.readers, query, |columns| {
            let device = row(columns)?;
            Ok((account_row(columns)?, device))
        })
        .await
    }

    async fn removed_device(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<RemovedDevice>, StoreError> {
        let query =
            sqlx::query("SELECT account, name FROM removed_device_key WHERE thumbprint = ?")
                .bind(thumbprint.0.to_vec());
        one(&self.readers, query, removed).await
    }

    async fn device_owner(&self, account: AccountId) -> Result<Option<(Account, u64)>, StoreError> {
        let query = sqlx::query(OWNER).bind(account.as_bytes().to_vec());
        one(&self.readers, query, |columns| {
            Ok((account_row(columns)?, columns.number()?))
        })
        .await
    }

    async fn devices(
        &self,
        account: Option<AccountId>,
        page: &Page<DeviceId>,
    ) -> Result<Vec<Result<Device, DamagedRow<DeviceId>>>, StoreError> {
        let after = page.after.map(|id| *id.as_bytes());
        let query = page_query(OF_ACCOUNT, ALL, account, after, page.limit);
        many(&self.readers, query, listed).await
    }

    async fn damaged_device(
        &self,
        id: DeviceId,
    ) -> Result<Option<DamagedRow<DeviceId>>, StoreError> {
        let query = sqlx::query(BY_ID).bind(id.as_bytes().to_vec());
        let listed = one(&self.readers, query, listed).await?;
        Ok(listed.and_then(Result::err))
    }
}

fn removed(columns: &mut Columns<'_>) -> Result<RemovedDevice, StoreError> {
    let account = columns.take::<Option<Vec<u8>>>()?;
    let name = columns.take::<Option<String>>()?;
    let account = account.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let name = name.and_then(|name| name.parse().ok());
    Ok(RemovedDevice {
        owner: account.map(AccountId::from_bytes).zip(name),
    })
}

fn row(columns: &mut Columns<'_>) -> Result<Device, StoreError> {
    Ok(listed(columns)??)
}

fn listed(columns: &mut Columns<'_>) -> Result<Result<Device, DamagedRow<DeviceId>>, StoreError> {
    owned(columns, DeviceId::from_bytes, whole)
}

fn whole(
    columns: &mut Columns<'_>,
    id: DeviceId,
    account: AccountId,
) -> Result<Device, StoreError> {
    Ok(Device {
        id,
        account,
        name: columns.parsed()?,
        spki: columns.take()?,
        thumbprint: Thumbprint(columns.bytes()?),
        created: columns.time()?,
        last_seen: columns.take::<Option<i64>>()?.map(Timestamp::from_millis),
        revision: columns.number()?,
    })
}
