//! Settings, and the progress of initialisation scripts.

use async_trait::async_trait;

use super::MemoryStore;
use super::rows::Rows;
use crate::store::{ClearData, ClearDatum, ScriptProgress, Setting, Settings, StoreError, Thing};

const STALE: StoreError = StoreError::Stale {
    what: Thing::Setting,
};

#[derive(Debug, Default)]
pub(super) struct SettingRows {
    settings: Rows<String, Setting>,
    scripts: Rows<String, ScriptProgress>,
}

impl SettingRows {
    pub(super) fn put(&mut self, name: &str, setting: &Setting) -> Result<(), StoreError> {
        let before = setting.revision.checked_sub(1).ok_or(STALE)?;
        self.expect(name, before)?;
        self.settings.put(name.to_owned(), setting.clone());
        Ok(())
    }

    /// Checks that the setting has this revision; 0 if there is none.
    pub(super) fn expect(&self, name: &str, revision: u64) -> Result<(), StoreError> {
        let stored = self.settings.get(name).map_or(0, |stored| stored.revision);
        match stored == revision {
            true => Ok(()),
            false => Err(STALE),
        }
    }

    pub(super) fn put_script(&mut self, progress: &ScriptProgress) {
        self.scripts.put(progress.name.clone(), progress.clone());
    }

    /// Removes a setting, which a site of an earlier version may lack.
    pub(super) fn remove(&mut self, name: &str) {
        self.settings.remove(&name.to_owned());
        self.settings.commit();
    }

    pub(super) fn commit(&mut self) {
        self.settings.commit();
        self.scripts.commit();
    }

    pub(super) fn roll_back(&mut self) {
        self.settings.roll_back();
        self.scripts.roll_back();
    }
}

#[async_trait]
impl Settings for MemoryStore {
    async fn setting(&self, name: &str) -> Result<Option<Setting>, StoreError> {
        self.read(|rows| rows.settings.settings.get(name).cloned())
            .await
    }

    async fn script(&self, name: &str) -> Result<Option<ScriptProgress>, StoreError> {
        self.read(|rows| rows.settings.scripts.get(name).cloned())
            .await
    }
}

#[async_trait]
impl ClearData for MemoryStore {
    /// None: no earlier version wrote it.
    async fn clear_data(&self, _: u32) -> Result<Vec<ClearDatum>, StoreError> {
        self.read(|_| Vec::new()).await
    }
}
