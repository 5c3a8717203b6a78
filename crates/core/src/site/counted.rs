//! Events that are counted before they are audited: see [`crate::audit::coalesced`].

use std::sync::{MutexGuard, PoisonError};

use futures_util::future::join_all;

use super::Site;
use crate::audit::coalesced::{Alarm, Coalesced, Counted, Occurrence};
use crate::store::{ChangeSet, StoreError};
use crate::timestamp::Timestamp;

impl Site {
    /// Counts an event. Its entry is written with the next [`Site::write_counted`]; call that after an
    /// event and every second.
    pub fn count(&self, occurrence: Occurrence, now: Timestamp) {
        self.counted().record(occurrence, now);
    }

    /// Writes the audit entries of counted events that are due.
    ///
    /// # Errors
    /// [`StoreError`] when some could not be written: these wait for the next time.
    pub async fn write_counted(&self, now: Timestamp) -> Result<(), StoreError> {
        if !self.counted().is_due(now) {
            return Ok(());
        }
        let _writing = self.0.writing_counted.lock().await;
        let entries = self.counted().take(now);
        self.write(entries).await
    }

    /// Writes the audit entries of all counted events, and waits for those that are being written: the site
    /// stops.
    ///
    /// # Errors
    /// As [`Site::write_counted`].
    pub async fn write_all_counted(&self) -> Result<(), StoreError> {
        let _writing = self.0.writing_counted.lock().await;
        let entries = self.counted().take_all();
        self.write(entries).await
    }

    /// The kinds of events that happened so often that the operator should look; each is given once.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        self.counted().alarms()
    }

    async fn write(&self, entries: Vec<Counted>) -> Result<(), StoreError> {
        let written = entries.iter().map(|entry| {
            let (changes, audit) = (Vec::new(), entry.draft());
            self.store().commit(ChangeSet { changes, audit })
        });
        let written = join_all(written).await;
        let mut result = Ok(());
        for (entry, written) in entries.into_iter().zip(written) {
            if let Err(trouble) = written {
                self.counted().put_back([entry]);
                result = Err(trouble);
            }
        }
        result
    }

    fn counted(&self) -> MutexGuard<'_, Coalesced> {
        // Counters change whole under the lock: a panic elsewhere leaves nothing half-done.
        self.0
            .counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
