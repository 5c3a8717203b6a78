//! Events that are counted before they are audited: see [`crate::audit::coalesced`].

use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, join_all};

use super::Site;
use crate::audit::coalesced::{Alarm, Coalesced, Counted, Occurrence};
use crate::store::{ChangeSet, StoreError};
use crate::timestamp::Timestamp;

/// Entries on their way into the store, and what became of each. It is kept until it is done: who began it
/// may go away.
pub(super) type Writing = Option<BoxFuture<'static, Vec<(Counted, Option<StoreError>)>>>;

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
        let writing = self.0.writing_counted.try_lock();
        let left = writing.is_some_and(|writing| writing.is_some());
        if !left && !self.counted().is_due(now) {
            return Ok(());
        }
        self.write(|counted| counted.take(now)).await
    }

    /// Writes the audit entries of all counted events, and waits for those that are being written: the site
    /// stops.
    ///
    /// # Errors
    /// As [`Site::write_counted`].
    pub async fn write_all_counted(&self) -> Result<(), StoreError> {
        self.write(Coalesced::take_all).await
    }

    /// The kinds of events that happened so often that the operator should look; each is given once.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        self.counted().alarms()
    }

    async fn write(
        &self,
        take: impl FnOnce(&mut Coalesced) -> Vec<Counted> + Send,
    ) -> Result<(), StoreError> {
        let mut writing = self.0.writing_counted.lock().await;
        // What fails of that waits with the rest.
        let _ = self.written(&mut writing).await;
        let entries = take(&mut self.counted());
        let store = self.0.store.clone();
        *writing = Some(
            join_all(entries.into_iter().map(move |entry| {
                let store = Arc::clone(&store);
                async move {
                    let set = ChangeSet::new(Vec::new(), entry.draft());
                    let written = store.commit(set).await;
                    (entry, written.err())
                }
            }))
            .boxed(),
        );
        self.written(&mut writing).await
    }

    /// Waits until what is being written is written, or waits for the next time.
    async fn written(&self, writing: &mut Writing) -> Result<(), StoreError> {
        let Some(under_way) = writing else {
            return Ok(());
        };
        let written = under_way.await;
        *writing = None;
        let mut result = Ok(());
        for (entry, trouble) in written {
            if let Some(trouble) = trouble {
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
