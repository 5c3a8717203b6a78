//! A site in one SQLite file (write-ahead log, every commit synced).
//!
//! One task writes: it takes all change sets that wait, writes them in one transaction, syncs once and
//! answers them all ([`writer`], [`batch`]). Reads go through a pool of their own and never wait for
//! it. Each aggregate has a module with its reads and its changes: [`accounts`], [`alarms`], [`applications`], [`settings`] and the
//! [`audit`] log.

mod accounts;
mod alarms;
mod applications;
mod audit;
mod batch;
mod copy;
mod failure;
mod header;
mod inspect;
mod open;
mod reads;
mod row;
mod settings;
mod statement;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::store::{ChangeSet, Committed, Observer, Store, StoreCopy, StoreError};
use sqlx::SqlitePool;
use tokio::sync::Semaphore;

pub use inspect::Inspection;
pub use open::OpenError;
use writer::Writer;

/// A site's store in one SQLite file.
///
/// Only one process may have a site open; the server takes a lock on the site's folder for that.
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Writer,
    file: PathBuf,
    /// Each copy needs as much room as the store: one at a time.
    copies: Arc<Semaphore>,
}

impl SqliteStore {
    /// Opens the store in that file, makes it when it is missing, and brings an older one up to date.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the file and what to do.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let opened = open::open(file).await?;
        Ok(Self {
            readers: opened.readers,
            writer: Writer::start(opened.writer, opened.head, file),
            file: file.to_owned(),
            copies: Arc::new(Semaphore::new(1)),
        })
    }

    /// Becomes ready when the task that writes has ended, which it does when it is closed, and else must not: no
    /// change can be written any more.
    pub async fn ended(&self) {
        self.writer.ended().await;
    }

    /// Writes what still waits and closes the file. Later calls answer that the store is closed.
    pub async fn close(&self) {
        // The writer goes last: the last connection to a file removes its log, which one that only reads may not.
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
        let place = self.copies.clone().try_acquire_owned();
        let place = place.map_err(|_| StoreError::Unavailable {
            problem: "another copy of it is being made; wait until that is done".to_owned(),
        })?;
        copy::copy(&self.file, place).await
    }

    async fn flaws(&self) -> Result<Vec<String>, StoreError> {
        let flaws = inspect::flaws(&self.readers).await;
        flaws.map_err(|error| reads::fault(&error))
    }
}
