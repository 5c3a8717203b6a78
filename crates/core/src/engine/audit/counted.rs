//! Writing audit entries of counted events: see [`crate::audit::coalesced`].

use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, join_all};

use crate::audit::coalesced::{Coalesced, Counted, Occurrence, Repeated};
use crate::engine::Site;
use crate::store::{ChangeSet, StoreError};
use crate::timestamp::Timestamp;

/// A write in progress, with the result for each entry. It is stored in the site so that it
/// finishes even if the task that started it is cancelled.
pub(in crate::engine) type Writing = Option<BoxFuture<'static, Vec<(Counted, Option<StoreError>)>>>;

impl Site {
    /// Counts an event. Its entry is written by a later [`Site::write_counted`]: call that after
    /// each event and once per second.
    pub fn count(&self, occurrence: Occurrence, now: Timestamp) {
        self.counted().record(occurrence, now);
    }

    /// Writes the audit entries of counted events that are due.
    ///
    /// # Errors
    /// [`StoreError`] if some could not be written. The next call writes these again.
    pub async fn write_counted(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write_credential_use(Some(now)).await?;
        let writing = self.0.writing_counted.try_lock();
        let left = writing.is_some_and(|writing| writing.is_some());
        if !left && !self.counted().is_due(now) {
            return Ok(());
        }
        self.write(|counted| counted.take(now)).await
    }

    /// Writes the audit entries of all counted events and waits for a write in progress. Call it
    /// when the site stops.
    ///
    /// # Errors
    /// Like [`Site::write_counted`].
    pub async fn write_all_counted(&self) -> Result<(), StoreError> {
        self.write_credential_use(None).await?;
        self.write(Coalesced::take_all).await
    }

    /// Returns the kinds of events whose rate needs the operator's attention. Each is returned
    /// once.
    #[must_use]
    pub fn take_repeated(&self) -> Vec<Repeated> {
        self.counted().take_repeated()
    }

    async fn write(
        &self,
        take: impl FnOnce(&mut Coalesced) -> Vec<Counted> + Send,
    ) -> Result<(), StoreError> {
        let mut writing = self.0.writing_counted.lock().await;
        // Entries that failed were put back and are taken again below.
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

    /// Waits for the write in progress, if any. Entries that failed are put back.
    async fn written(&self, writing: &mut Writing) -> Result<(), StoreError> {
        let Some(in_progress) = writing else {
            return Ok(());
        };
        let written = in_progress.await;
        *writing = None;
        let mut result = Ok(());
        for (entry, error) in written {
            if let Some(error) = error {
                self.counted().put_back([entry]);
                result = Err(error);
            }
        }
        result
    }

    fn counted(&self) -> MutexGuard<'_, Coalesced> {
        // Counters are consistent whenever the lock is free, so a poisoned lock can be used.
        self.0
            .counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
