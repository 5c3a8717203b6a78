//! Applications.

use async_trait::async_trait;

use super::MemoryStore;
use super::rows::Rows;
use crate::applications::{Application, ApplicationId};
use crate::id::InstanceId;
use crate::page::Page;
use crate::store::{Applications, DamagedApplication, StoreError, Thing, Unique};

const STALE: StoreError = StoreError::Stale {
    what: Thing::Application,
};
const NOT_FOUND: StoreError = StoreError::NotFound {
    what: Thing::Application,
};

#[derive(Debug, Default)]
pub(super) struct ApplicationRows {
    applications: Rows<String, Application>,
    /// Public keys and their application; `None` for a removed key, which no application may use
    /// again.
    keys: Rows<Vec<u8>, Option<ApplicationId>>,
}

impl ApplicationRows {
    pub(super) fn insert(&mut self, application: &Application) -> Result<(), StoreError> {
        if self.applications.get(application.id.as_str()).is_some() {
            let what = Unique::Application;
            return Err(StoreError::Conflict { what });
        }
        self.put(application)
    }

    pub(super) fn update(&mut self, application: &Application) -> Result<(), StoreError> {
        let was = application.revision.checked_sub(1);
        self.expect(&application.id, application.instance, was)?;
        self.put(application)
    }

    pub(super) fn delete(
        &mut self,
        id: &ApplicationId,
        instance: Option<InstanceId>,
        revision: u64,
    ) -> Result<(), StoreError> {
        self.expect(id, instance, Some(revision))?;
        self.applications.remove(&id.to_string());
        self.remove_keys(id, |_| true);
        Ok(())
    }

    /// Applications in memory are never damaged.
    pub(super) fn delete_damaged(&self, id: &ApplicationId) -> Result<(), StoreError> {
        Err(match self.applications.get(id.as_str()) {
            Some(_) => STALE,
            None => NOT_FOUND,
        })
    }

    fn expect(
        &self,
        id: &ApplicationId,
        instance: Option<InstanceId>,
        revision: Option<u64>,
    ) -> Result<(), StoreError> {
        let application = self.applications.get(id.as_str()).ok_or(NOT_FOUND)?;
        let is_same = application.instance == instance && Some(application.revision) == revision;
        is_same.then_some(()).ok_or(STALE)
    }

    fn put(&mut self, application: &Application) -> Result<(), StoreError> {
        for key in &application.keys {
            match self.keys.get(&key.public.0) {
                Some(Some(owner)) if *owner == application.id => {}
                Some(_) => {
                    let what = Unique::ApplicationKey;
                    return Err(StoreError::Conflict { what });
                }
                None => {
                    let owner = Some(application.id.clone());
                    self.keys.put(key.public.0.clone(), owner);
                }
            }
        }
        self.remove_keys(&application.id, |public| {
            !application.keys.iter().any(|key| key.public.0 == *public)
        });
        self.applications
            .put(application.id.to_string(), application.clone());
        Ok(())
    }

    fn remove_keys(&mut self, id: &ApplicationId, is_gone: impl Fn(&Vec<u8>) -> bool) {
        let keys = self.keys.after(None);
        let gone: Vec<_> = keys
            .filter(|(public, owner)| owner.as_ref() == Some(id) && is_gone(public))
            .map(|(public, _)| public.clone())
            .collect();
        for public in gone {
            self.keys.put(public, None);
        }
    }

    pub(super) fn commit(&mut self) {
        self.applications.commit();
        self.keys.commit();
    }

    pub(super) fn roll_back(&mut self) {
        self.applications.roll_back();
        self.keys.roll_back();
    }
}

#[async_trait]
impl Applications for MemoryStore {
    async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError> {
        self.read(|rows| rows.applications.applications.get(id.as_str()).cloned())
            .await
    }

    async fn applications(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Result<Application, DamagedApplication>>, StoreError> {
        self.read(|rows| {
            let behind = rows.applications.applications.after(page.after.as_ref());
            let page = behind.take(page.limit as usize);
            page.map(|(_, application)| Ok(application.clone()))
                .collect()
        })
        .await
    }

    async fn damaged_application(
        &self,
        _: &ApplicationId,
    ) -> Result<Option<DamagedApplication>, StoreError> {
        Ok(None)
    }
}
