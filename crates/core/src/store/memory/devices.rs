//! Devices.

use async_trait::async_trait;
use countersign_crypto::certificate::Thumbprint;

use super::MemoryStore;
use super::rows::Rows;
use crate::accounts::Account;
use crate::devices::Device;
use crate::id::{AccountId, DeviceId};
use crate::page::Page;
use crate::store::{DamagedRow, Devices, RemovedDevice, StoreError, Thing, Unique};
use crate::timestamp::Timestamp;

const STALE: StoreError = StoreError::Stale {
    what: Thing::Device,
};
const NOT_FOUND: StoreError = StoreError::NotFound {
    what: Thing::Device,
};

#[derive(Debug, Default)]
pub(super) struct DeviceRows {
    devices: Rows<DeviceId, Device>,
    keys: Rows<Thumbprint, Key>,
}

/// A key that a device has, or had.
#[derive(Debug, Clone)]
enum Key {
    Of(DeviceId),
    /// No device gets it any more.
    Removed(RemovedDevice),
}

impl DeviceRows {
    pub(super) fn insert(&mut self, device: &Device) -> Result<(), StoreError> {
        let what = match self.keys.get(&device.thumbprint) {
            Some(_) => Unique::DeviceKey,
            None if self.devices.get(&device.id).is_some() => Unique::Device,
            None => {
                self.keys.put(device.thumbprint, Key::Of(device.id));
                self.devices.put(device.id, device.clone());
                return Ok(());
            }
        };
        Err(StoreError::Conflict { what })
    }

    pub(super) fn update(&mut self, device: &Device) -> Result<(), StoreError> {
        let mut stored = self.of(device.id, device.account).ok_or(NOT_FOUND)?.clone();
        if stored.revision.checked_add(1) != Some(device.revision) {
            return Err(STALE);
        }
        stored.revision = device.revision;
        stored.name = device.name.clone();
        self.devices.put(device.id, stored);
        Ok(())
    }

    pub(super) fn see(&mut self, id: DeviceId, account: AccountId, at: Timestamp) {
        if let Some(device) = self.of(id, account).cloned() {
            let last_seen = Some(at);
            self.devices.put(
                id,
                Device {
                    last_seen,
                    ..device
                },
            );
        }
    }

    pub(super) fn delete(&mut self, id: DeviceId, account: AccountId) -> Result<(), StoreError> {
        let device = self.of(id, account).ok_or(NOT_FOUND)?.clone();
        self.devices.remove(&id);
        let owner = Some((account, device.name));
        let removed = Key::Removed(RemovedDevice { owner });
        self.keys.put(device.thumbprint, removed);
        Ok(())
    }

    /// Removes all devices of an account that is deleted.
    pub(super) fn delete_of(&mut self, account: AccountId) {
        let devices = self.devices.values();
        let own: Vec<_> = devices
            .filter(|device| device.account == account)
            .map(|device| (device.id, device.thumbprint))
            .collect();
        for (id, thumbprint) in own {
            self.devices.remove(&id);
            let removed = RemovedDevice { owner: None };
            self.keys.put(thumbprint, Key::Removed(removed));
        }
    }

    fn of(&self, id: DeviceId, account: AccountId) -> Option<&Device> {
        let device = self.devices.get(&id);
        device.filter(|device| device.account == account)
    }

    pub(super) fn commit(&mut self) {
        self.devices.commit();
        self.keys.commit();
    }

    pub(super) fn roll_back(&mut self) {
        self.devices.roll_back();
        self.keys.roll_back();
    }
}

#[async_trait]
impl Devices for MemoryStore {
    async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        self.read(|rows| rows.devices.devices.get(&id).cloned())
            .await
    }

    async fn device_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, Device)>, StoreError> {
        self.read(|rows| {
            let Key::Of(id) = rows.devices.keys.get(thumbprint)? else {
                return None;
            };
            let device = rows.devices.devices.get(id)?;
            let account = rows.accounts.of(device.account)?;
            Some((account.clone(), device.clone()))
        })
        .await
    }

    async fn removed_device(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<RemovedDevice>, StoreError> {
        self.read(|rows| match rows.devices.keys.get(thumbprint) {
            Some(Key::Removed(removed)) => Some(removed.clone()),
            _ => None,
        })
        .await
    }

    async fn device_owner(&self, account: AccountId) -> Result<Option<(Account, u64)>, StoreError> {
        self.read(|rows| {
            let devices = rows.devices.devices.values();
            let own = devices.filter(|device| device.account == account).count() as u64;
            Some((rows.accounts.of(account)?.clone(), own))
        })
        .await
    }

    async fn devices(
        &self,
        account: Option<AccountId>,
        page: &Page<DeviceId>,
    ) -> Result<Vec<Result<Device, DamagedRow<DeviceId>>>, StoreError> {
        self.read(|rows| {
            let behind = rows.devices.devices.after(page.after.as_ref());
            let wanted = behind
                .map(|(_, device)| device)
                .filter(|device| account.is_none_or(|account| device.account == account));
            wanted
                .take(page.limit as usize)
                .map(|device| Ok(device.clone()))
                .collect()
        })
        .await
    }

    /// Devices in memory are never damaged.
    async fn damaged_device(
        &self,
        _: DeviceId,
    ) -> Result<Option<DamagedRow<DeviceId>>, StoreError> {
        Ok(None)
    }
}
