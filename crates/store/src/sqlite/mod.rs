//! A site in one SQLite file (write-ahead log, every commit synced).
//!
//! One task writes: it takes all change sets that wait, writes them in one transaction, syncs once and
//! answers them all ([`writer`], [`batch`]). Reads go through a pool of their own and never wait for
//! it ([`reads`]).

mod application;
mod apply;
mod audit;
mod batch;
mod copy;
mod header;
mod inspect;
mod open;
mod reads;
mod row;
mod statement;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::account::{Account, Kind};
use countersign_core::application::{Application, ApplicationId};
use countersign_core::audit::{AuditEntry, AuditSearch, ChainHead};
use countersign_core::credential::{DeliveredKeyCredential, KeyCredential, PassphraseCredential};
use countersign_core::id::AccountId;
use countersign_core::store::{
    ChangeSet, Committed, DamagedAccount, DamagedApplication, Observer, Page, ScriptProgress,
    Setting, Store, StoreCopy, StoreError,
};
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;
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
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        reads::account(&self.readers, id).await
    }

    async fn account_by_name(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        reads::account_by_name(&self.readers, name).await
    }

    async fn accounts(
        &self,
        kind: Kind,
        page: &Page<String>,
    ) -> Result<Vec<Result<Account, DamagedAccount>>, StoreError> {
        reads::accounts(&self.readers, kind, page).await
    }

    async fn damaged_account(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<DamagedAccount>, StoreError> {
        reads::damaged_account(&self.readers, kind, name).await
    }

    async fn passphrase(
        &self,
        account: AccountId,
    ) -> Result<Option<PassphraseCredential>, StoreError> {
        reads::passphrase(&self.readers, account).await
    }

    async fn passphrase_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, PassphraseCredential)>, StoreError> {
        reads::passphrase_login(&self.readers, name).await
    }

    async fn delivered_key(
        &self,
        account: AccountId,
    ) -> Result<Option<DeliveredKeyCredential>, StoreError> {
        reads::delivered_key(&self.readers, account).await
    }

    async fn delivered_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, DeliveredKeyCredential)>, StoreError> {
        reads::delivered_login(&self.readers, name).await
    }

    async fn key_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, KeyCredential)>, StoreError> {
        reads::key_login(&self.readers, thumbprint).await
    }

    async fn keys_of(&self, account: AccountId) -> Result<Vec<KeyCredential>, StoreError> {
        reads::keys_of(&self.readers, account).await
    }

    async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError> {
        reads::application(&self.readers, id).await
    }

    async fn applications(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Result<Application, DamagedApplication>>, StoreError> {
        reads::applications(&self.readers, page).await
    }

    async fn damaged_application(
        &self,
        id: &ApplicationId,
    ) -> Result<Option<DamagedApplication>, StoreError> {
        reads::damaged_application(&self.readers, id).await
    }

    async fn setting(&self, name: &str) -> Result<Option<Setting>, StoreError> {
        reads::setting(&self.readers, name).await
    }

    async fn script(&self, name: &str) -> Result<Option<ScriptProgress>, StoreError> {
        reads::script(&self.readers, name).await
    }

    async fn audit(&self, page: &Page<u64>) -> Result<Vec<AuditEntry>, StoreError> {
        audit::page(&self.readers, page).await
    }

    async fn audit_search(&self, search: &AuditSearch) -> Result<Vec<AuditEntry>, StoreError> {
        audit::search(&self.readers, search).await
    }

    async fn audit_head(&self) -> Result<ChainHead, StoreError> {
        audit::head(&self.readers).await
    }

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
