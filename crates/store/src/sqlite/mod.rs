//! A site in one SQLite file (write-ahead log, every commit synced).
//!
//! One task writes: it takes the waiting change sets, writes them in one transaction, syncs once and
//! replies to all callers ([`writer`], [`batch`]). Reads use other connections ([`readers`]) and never wait for the
//! writer. Each aggregate has a module with its reads and its changes: [`access_tokens`], [`accounts`], [`alarms`],
//! [`applications`], [`enrolment`] tickets, [`devices`], [`peers`], [`settings`] and the [`audit`] log.
//! [`clear_data`] holds what an earlier version did not seal.

mod access_tokens;
mod accounts;
mod alarms;
mod applications;
mod audit;
mod batch;
mod clear_data;
mod copy;
mod devices;
mod enrolment;
mod failure;
mod header;
mod inspect;
mod open;
mod peers;
mod readers;
mod reads;
mod row;
mod settings;
mod statement;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::store::{ChangeSet, Committed, Observer, Store, StoreCopy, StoreError};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use inspect::Inspection;
pub use open::OpenError;
use readers::Readers;
use writer::Writer;

/// How long a copy waits for another one. The place of a copy whose reader disconnected is free a moment
/// later, so that a backup right after a failed one succeeds.
const COPY_WAIT: Duration = Duration::from_secs(5);

/// A site's store in one SQLite file.
///
/// Only one process may open it at a time. The caller has to ensure this, for example with a lock on the
/// site's folder.
pub struct SqliteStore {
    readers: Readers,
    writer: Writer,
    file: PathBuf,
    /// Permits one copy at a time, since a copy needs as much disk space as the store.
    copies: Arc<Semaphore>,
}

impl SqliteStore {
    /// Opens the store in that file. Creates a missing file and migrates an older one.
    ///
    /// # Errors
    /// [`OpenError`] if the file cannot be used. Nothing was changed.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let opened = open::open(file).await?;
        Ok(Self {
            readers: opened.readers,
            writer: Writer::start(opened.writer, opened.head, file),
            file: file.to_owned(),
            copies: Arc::new(Semaphore::new(1)),
        })
    }

    /// Waits until the writing task ends: after [`Self::close`], or because it failed. Then no change can be
    /// written.
    pub async fn ended(&self) {
        self.writer.ended().await;
    }

    /// Writes the waiting change sets and closes the file. Later calls fail with
    /// [`StoreError::Unavailable`].
    pub async fn close(&self) {
        // Close the writer last: the last connection removes the write-ahead log, and a read-only one must
        // not.
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, set: ChangeSet) -> Result<Committed, StoreError> {
        self.writer.commit(set).await
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        self.writer.observe(observer);
    }

    async fn copy(&self) -> Result<StoreCopy, StoreError> {
        let place = timeout(COPY_WAIT, self.copies.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            let problem = "another copy is being made; wait until it is complete";
            return Err(StoreError::Unavailable {
                problem: problem.to_owned(),
            });
        };
        copy::copy(&self.file, place).await
    }

    async fn flaws(&self) -> Result<Vec<String>, StoreError> {
        let flaws = inspect::flaws(&self.readers).await;
        flaws.map_err(|error| reads::fault(&error))
    }
}
