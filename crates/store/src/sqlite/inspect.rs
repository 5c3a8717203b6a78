//! Inspects a store's file without changing it, such as a backup or a file that may be damaged.

use std::path::Path;

use countersign_core::audit::{Broken, ChainHead, verify_chain};
use countersign_core::page::Page;
use countersign_core::store::{Setting, StoreError};
use countersign_core::timestamp::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

use super::open::{self, LAYOUTS, OpenError};
use super::readers::Readers;
use super::{audit, header, settings};

/// The greatest number of reported flaws.
const MAX_FLAWS: usize = 20;

/// The result of inspecting a store's file.
#[derive(Debug)]
pub struct Inspection {
    /// The number of its layout. Opening the store migrates an older one.
    pub layout: i64,
    /// The flaws of the file; empty if it is intact.
    pub flaws: Vec<String>,
    /// The last entry up to which the audit chain is intact.
    pub head: ChainHead,
    /// The first audit entry that was changed.
    pub broken: Option<Broken>,
    /// The time of the last audit entry.
    pub last_entry: Option<Timestamp>,
    readers: Readers,
}

impl Inspection {
    /// Reads the whole file and checks its pages, indices, references and audit chain.
    ///
    /// # Errors
    /// [`OpenError`] if the file is not a store, is of a newer version, or is too damaged to be read.
    pub async fn of(file: &Path) -> Result<Self, OpenError> {
        let fault = |error: &sqlx::Error| OpenError::of(file, error);
        header::examine(file)?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .pragma("query_only", "ON")
            .disable_statement_logging();
        let readers = Readers::open(options, 1)
            .await
            .map_err(|error| fault(&error))?;
        let number = async |text| -> Result<i64, OpenError> {
            let row = readers.fetch_optional(sqlx::query(text)).await;
            let number = row.and_then(|row| row.map(|row| row.try_get(0)).transpose());
            Ok(number.map_err(|error| fault(&error))?.unwrap_or_default())
        };
        if number("PRAGMA application_id").await? != i64::from(open::APPLICATION_ID) {
            let file = file.to_owned();
            return Err(OpenError::NotOurs { file });
        }
        let layout = number("SELECT max(version) FROM _sqlx_migrations").await?;
        if layout > LAYOUTS.len() as i64 {
            let file = file.to_owned();
            return Err(OpenError::Newer { file, layout });
        }
        let flaws = flaws(&readers).await.map_err(|error| fault(&error))?;
        let damaged = |error| OpenError::of_store(file, error);
        let end = audit::head(&readers).await.map_err(damaged)?;
        let from = &readers;
        let (head, broken) =
            verify_chain(end, |page| async move { audit::page_of(from, &page).await })
                .await
                .map_err(damaged)?;
        let last = Page {
            after: end.seq.checked_sub(1),
            limit: 1,
        };
        let last = audit::page_of(&readers, &last).await.map_err(damaged)?;
        Ok(Self {
            layout,
            flaws,
            head,
            broken,
            last_entry: last.first().map(|entry| entry.draft.time),
            readers,
        })
    }

    /// Reads a setting from the file.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn setting(&self, name: &str) -> Result<Option<Setting>, StoreError> {
        settings::read(&self.readers, name).await
    }

    /// Closes the file.
    pub async fn close(self) {
        self.readers.close().await;
    }
}

/// The flaws that SQLite finds in the file.
pub(super) async fn flaws(readers: &Readers) -> Result<Vec<String>, sqlx::Error> {
    let rows = readers.fetch_all(sqlx::query("PRAGMA integrity_check(20)"));
    let mut flaws = Vec::new();
    for row in rows.await? {
        let flaw: String = row.try_get(0)?;
        if flaw != "ok" {
            flaws.push(flaw);
        }
    }
    let dangling = "SELECT \"table\", rowid, parent FROM pragma_foreign_key_check";
    for row in readers.fetch_all(sqlx::query(dangling)).await? {
        let (table, number): (String, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let (number, parent) = (number.unwrap_or_default(), row.try_get::<String, _>(2)?);
        flaws.push(format!(
            "row {number} of {table} belongs to no row of {parent}"
        ));
    }
    flaws.truncate(MAX_FLAWS);
    Ok(flaws)
}
