//! Applications as the broker needs them, with their keys read: made once for each revision, since reading
//! keys costs as much as using them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_proto::broker::{v1, v2};

use crate::applications::{Application, ApplicationId};
use crate::store::{Store, StoreError};
use crate::timestamp::Timestamp;

/// Applications that are kept ready.
const ROOM: usize = 1_024;
/// Ids that no application has and that are kept, so that the store is asked once for each as it is for
/// those of applications.
const ROOM_FOR_UNKNOWN: usize = 1_024;

/// An application with the keys that are accepted now.
#[derive(Debug)]
pub struct Registered {
    /// What is registered.
    pub application: Application,
    pub(super) v1: Option<v1::site::V1Application>,
    pub(super) v2: Option<v2::site::Application>,
    /// From then on its keys are others.
    until: Option<Timestamp>,
}

impl Registered {
    fn new(application: Application, now: Timestamp) -> Self {
        let retiring = application.keys.iter().filter_map(|key| key.retires);
        Self {
            v1: application.as_v1(now),
            v2: application.as_v2(now),
            until: retiring.filter(|retires| now < *retires).min(),
            application,
        }
    }

    /// Whether its keys are still those that are accepted.
    pub(super) fn is_current(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether the two are one registration, unchanged.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let (one, other) = (&self.application, &other.application);
        one.revision == other.revision
            && one.created == other.created
            && one.instance == other.instance
    }
}

/// The applications that were asked for lately.
#[derive(Default)]
pub(crate) struct ApplicationCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    ready: HashMap<ApplicationId, Arc<Registered>>,
    unknown: HashSet<ApplicationId>,
    /// Counts changes, so that what was read before one is not kept after it.
    changes: u64,
}

impl ApplicationCache {
    /// The application was changed: it is to be read again.
    pub(crate) fn forget(&self, id: &ApplicationId) {
        let mut entries = self.entries();
        entries.changes += 1;
        entries.ready.remove(id);
        entries.unknown.remove(id);
    }

    /// Every application is to be read again.
    pub(crate) fn clear(&self) {
        let mut entries = self.entries();
        entries.changes += 1;
        entries.ready.clear();
        entries.unknown.clear();
    }

    /// How many changes of applications there were. Two equal figures say that there was none in between.
    pub(super) fn changes(&self) -> u64 {
        self.entries().changes
    }

    /// The application of that id; whether it is active is for [`Application::may_call`] to say. `None` when
    /// there is none, or the text is no id.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn get(
        &self,
        store: &dyn Store,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Registered>>, StoreError> {
        let Ok(id) = id.parse::<ApplicationId>() else {
            return Ok(None);
        };
        let changes = {
            let entries = self.entries();
            let ready = entries.ready.get(&id);
            if let Some(ready) = ready.filter(|ready| ready.is_current(now)) {
                return Ok(Some(ready.clone()));
            }
            if entries.unknown.contains(&id) {
                return Ok(None);
            }
            entries.changes
        };
        let Some(application) = store.application(&id).await? else {
            let mut entries = self.entries();
            if entries.changes == changes {
                if entries.unknown.len() >= ROOM_FOR_UNKNOWN {
                    let any = entries.unknown.iter().next().cloned();
                    entries.unknown.remove(&any.unwrap_or_else(|| id.clone()));
                }
                entries.unknown.insert(id);
            }
            return Ok(None);
        };
        let registered = Arc::new(Registered::new(application, now));
        let mut entries = self.entries();
        if entries.changes == changes {
            if entries.ready.len() >= ROOM {
                // Any one: hash maps have no order that a client knows.
                let any = entries.ready.keys().next().cloned();
                entries.ready.remove(&any.unwrap_or_else(|| id.clone()));
            }
            entries.ready.insert(id, registered.clone());
        }
        Ok(Some(registered))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // An entry goes in or out whole: a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
