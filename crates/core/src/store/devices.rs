//! Devices.

use async_trait::async_trait;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::device::DeviceName;

use super::{DamagedRow, StoreError};
use crate::accounts::Account;
use crate::devices::Device;
use crate::id::{AccountId, DeviceId};
use crate::page::Page;

/// A device that was removed. Its key stays removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedDevice {
    /// Its account and its name; `None` if the account was deleted, or if neither was stored.
    pub owner: Option<(AccountId, DeviceName)>,
}

/// Reads devices.
#[async_trait]
pub trait Devices: Send + Sync {
    /// The device of that id.
    async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError>;

    /// The device that has the key of that thumbprint and the account that owns it, in one look-up.
    async fn device_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, Device)>, StoreError>;

    /// The device that had the key of that thumbprint and was removed.
    async fn removed_device(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<RemovedDevice>, StoreError>;

    /// The account of that id and the number of its devices, in one look-up.
    async fn device_owner(&self, account: AccountId) -> Result<Option<(Account, u64)>, StoreError>;

    /// The devices of that account, or of all accounts, oldest first. An account has at most
    /// [`DEVICES_PER_ACCOUNT`](crate::devices::DEVICES_PER_ACCOUNT). A damaged device is an entry of the
    /// list and does not prevent reading the others.
    async fn devices(
        &self,
        account: Option<AccountId>,
        page: &Page<DeviceId>,
    ) -> Result<Vec<Result<Device, DamagedRow<DeviceId>>>, StoreError>;

    /// The device of that id if it exists and cannot be read.
    async fn damaged_device(
        &self,
        id: DeviceId,
    ) -> Result<Option<DamagedRow<DeviceId>>, StoreError>;
}
