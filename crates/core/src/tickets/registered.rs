//! Applications with parsed keys, cached per revision, because parsing a key costs as much as using
//! it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_proto::broker::{v1, v2};

use crate::applications::{Application, ApplicationId};
use crate::id::InstanceId;
use crate::json::Json;
use crate::site_key::RootSecret;
use crate::store::{Store, StoreError};
use crate::timestamp::Timestamp;

/// The maximum number of applications in the cache.
const MAX_READY: usize = 1_024;
/// The maximum number of unknown ids in the cache. They are cached so that the store is asked as
/// often for an unknown id as for an existing one, and timing does not distinguish them.
const MAX_UNKNOWN: usize = 1_024;

/// An application with its valid keys, parsed.
#[derive(Debug)]
pub struct Registered {
    /// The application as registered.
    pub application: Application,
    pub(super) v1: Option<v1::site::V1Application>,
    pub(super) v2: Option<v2::site::Application>,
    /// When its set of valid keys changes.
    until: Option<Timestamp>,
}

impl Registered {
    fn new(application: Application, auth_data: &Json, now: Timestamp) -> Self {
        let retiring = application.keys.iter().filter_map(|key| key.retires);
        Self {
            v1: application.as_v1(auth_data, now),
            v2: application.as_v2(auth_data, now),
            until: retiring.filter(|retires| now < *retires).min(),
            application,
        }
    }

    /// Returns whether the set of valid keys is still the same.
    pub(super) fn is_current(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Returns the id of the registration, for rate limits. Registrations that are older than
    /// instance ids share one.
    pub(crate) fn rated(&self) -> InstanceId {
        let instance = self.application.instance;
        instance.unwrap_or(InstanceId::from_bytes([0; 16]))
    }

    /// Returns whether both are the same revision of the same registration.
    pub(crate) fn is_same_revision(&self, other: &Self) -> bool {
        let (one, other) = (&self.application, &other.application);
        one.revision == other.revision
            && one.created == other.created
            && one.instance == other.instance
    }
}

/// The cache of applications.
#[derive(Default)]
pub(crate) struct ApplicationCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    ready: HashMap<ApplicationId, Arc<Registered>>,
    unknown: HashSet<ApplicationId>,
    /// Opens the data about applications; `None` while the site is sealed.
    root: Option<RootSecret>,
    /// Counts changes of applications, so that a value read before a change is not cached after it.
    changes: u64,
}

impl Entries {
    fn clear(&mut self) {
        self.changes += 1;
        self.ready.clear();
        self.unknown.clear();
    }
}

impl ApplicationCache {
    /// Removes a changed application from the cache.
    pub(crate) fn invalidate(&self, id: &ApplicationId) {
        let mut entries = self.entries();
        entries.changes += 1;
        entries.ready.remove(id);
        entries.unknown.remove(id);
    }

    /// Removes every application from the cache.
    pub(crate) fn clear(&self) {
        self.entries().clear();
    }

    /// Removes every application, and sets the secret that opens their data: `None` for a sealed
    /// site.
    pub(crate) fn open_with(&self, root: Option<RootSecret>) {
        let mut entries = self.entries();
        entries.root = root;
        entries.clear();
    }

    /// Returns the number of changes so far. If it stays equal, no application has changed.
    pub(super) fn changes(&self) -> u64 {
        self.entries().changes
    }

    /// Returns the application with this id; `None` if there is none or the id is not valid. It may
    /// be locked, which [`Application::may_call`] checks.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn get(
        &self,
        store: &dyn Store,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Registered>>, StoreError> {
        let Ok(id) = id.parse::<ApplicationId>() else {
            return Ok(None);
        };
        let (changes, root) = {
            let entries = self.entries();
            let ready = entries.ready.get(&id);
            if let Some(ready) = ready.filter(|ready| ready.is_current(now)) {
                return Ok(Some(ready.clone()));
            }
            if entries.unknown.contains(&id) {
                return Ok(None);
            }
            (entries.changes, entries.root.clone())
        };
        let Some(application) = store.application(&id).await? else {
            let mut entries = self.entries();
            if entries.changes == changes {
                if entries.unknown.len() >= MAX_UNKNOWN {
                    let any = entries.unknown.iter().next().cloned();
                    entries.unknown.remove(&any.unwrap_or_else(|| id.clone()));
                }
                entries.unknown.insert(id);
            }
            return Ok(None);
        };
        let root = root.ok_or_else(|| StoreError::Unavailable {
            problem: "the site is sealed".to_owned(),
        })?;
        let data = application.auth_data.open(&root, &id);
        let data = data.ok_or_else(|| StoreError::Damaged {
            problem: format!("the data about the application {id} cannot be opened"),
        })?;
        let registered = Arc::new(Registered::new(application, &data, now));
        let mut entries = self.entries();
        if entries.changes == changes {
            if entries.ready.len() >= MAX_READY {
                // Removes an arbitrary one: clients cannot predict the order of the hash map.
                let any = entries.ready.keys().next().cloned();
                entries.ready.remove(&any.unwrap_or_else(|| id.clone()));
            }
            entries.ready.insert(id, registered.clone());
        }
        Ok(Some(registered))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // The maps are consistent whenever the lock is free, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
