//! Devices.

use async_trait::async_trait;
use countersign_crypto::certificate::Thumbprint;

use super::StoreError;
use crate::accounts::Account;
use crate::devices::Device;
use crate::id::{AccountId, DeviceId};
use crate::page::Page;

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

    /// Whether a device had the key of that thumbprint and was removed.
    async fn is_removed_key(&self, thumbprint: &Thumbprint) -> Result<bool, StoreError>;

    /// The account of that id and the number of its devices, in one look-up.
    async fn device_owner(&self, account: AccountId) -> Result<Option<(Account, u64)>, StoreError>;

    /// The devices of that account, or of all accounts, oldest first. An account has at most
    /// [`DEVICES_PER_ACCOUNT`](crate::devices::DEVICES_PER_ACCOUNT).
    async fn devices(
        &self,
        account: Option<AccountId>,
        page: &Page<DeviceId>,
    ) -> Result<Vec<Device>, StoreError>;
}
