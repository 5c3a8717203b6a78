//! Runs statements that read, and converts errors of SQLite.

use countersign_core::id::AccountId;
use countersign_core::store::StoreError;
use sqlx::Sqlite;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};

use super::open::primary_code;
use super::readers::Readers;
use super::row::Columns;

/// A statement that reads.
pub(super) type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// What reads one row: the readers, or a connection.
pub(super) trait ReadOne {
    /// Reads the first row.
    fn read_one(
        self,
        query: Query,
    ) -> impl Future<Output = Result<Option<SqliteRow>, sqlx::Error>> + Send;
}

impl ReadOne for &Readers {
    async fn read_one(self, query: Query) -> Result<Option<SqliteRow>, sqlx::Error> {
        self.fetch_optional(query).await
    }
}

impl ReadOne for &mut SqliteConnection {
    async fn read_one(self, query: Query) -> Result<Option<SqliteRow>, sqlx::Error> {
        query.fetch_optional(self).await
    }
}

pub(super) async fn one<T>(
    from: impl ReadOne,
    query: Query,
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let row = from.read_one(query).await.map_err(|error| fault(&error))?;
    row.map(|row| read(&mut Columns::of(&row))).transpose()
}

pub(super) async fn many<T>(
    readers: &Readers,
    query: Query,
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = readers.fetch_all(query).await;
    let rows = rows.map_err(|error| fault(&error))?;
    rows.iter().map(|row| read(&mut Columns::of(row))).collect()
}

/// Like [`many`], and leaves out rows that cannot be read: one of them must not stop the work on the
/// others. `doctor` and `backup verify` name such rows.
pub(super) async fn readable<T>(
    readers: &Readers,
    query: Query,
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = readers.fetch_all(query).await;
    let rows = rows.map_err(|error| fault(&error))?;
    let read = rows.iter().map(|row| read(&mut Columns::of(row)));
    read.filter(|row| !matches!(row, Err(StoreError::Damaged { .. })))
        .collect()
}

/// The statement for a page of rows: `of_account` for those of an account, else `all`. Both take the last id of
/// the previous page and the limit at the end.
pub(super) fn page_query(
    of_account: &'static str,
    all: &'static str,
    account: Option<AccountId>,
    after: Option<[u8; 16]>,
    limit: u32,
) -> Query {
    let query = match account {
        Some(account) => sqlx::query(of_account).bind(account.as_bytes().to_vec()),
        None => sqlx::query(all),
    };
    // No id sorts before no bytes.
    query
        .bind(after.map_or_else(Vec::new, Vec::from))
        .bind(limit)
}

/// Converts an error of SQLite.
pub(super) fn fault(error: &sqlx::Error) -> StoreError {
    let problem = error.to_string();
    // 11 is SQLITE_CORRUPT, 26 SQLITE_NOTADB.
    match (primary_code(error), error) {
        (Some(11 | 26), _) | (_, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
            StoreError::Damaged { problem }
        }
        _ => StoreError::Unavailable { problem },
    }
}
