//! Converts rows to values. A row that cannot be converted was not written by this store: the file is
//! damaged.

use std::fmt::Display;
use std::str::FromStr;

use countersign_core::id::AccountId;
use countersign_core::store::{DamagedRow, StoreError};
use countersign_core::timestamp::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

use super::reads::fault;

/// An unsigned number as a signed one of SQLite. Counters never reach the limit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads the columns of a row in order.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) const fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    /// The same row, from its first column.
    pub(super) const fn again(&self) -> Self {
        Self::of(self.row)
    }

    pub(super) fn take<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Result<T, StoreError> {
        let column = self.next;
        self.next += 1;
        self.row.try_get(column).map_err(|error| fault(&error))
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self) -> Result<T, StoreError> {
        let text: &str = self.take()?;
        text.parse().map_err(|error| damaged(&error))
    }

    /// Reads a word that must be one of `all`.
    pub(super) fn word<T: Copy>(
        &mut self,
        all: &[T],
        as_str: fn(T) -> &'static str,
    ) -> Result<T, StoreError> {
        let text: &str = self.take()?;
        all.iter()
            .copied()
            .find(|one| as_str(*one) == text)
            .ok_or_else(|| damaged(&format_args!("`{text}` is not a known value")))
    }

    pub(super) fn number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, StoreError> {
        let number: i64 = self.take()?;
        T::try_from(number).map_err(|error| damaged(&error))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.take().map(Timestamp::from_millis)
    }

    /// Reads text that may be damaged: invalid UTF-8 is replaced.
    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        let column = self.next;
        self.next += 1;
        let bytes = self.row.try_get_unchecked::<&[u8], _>(column);
        let bytes = bytes.map_err(|error| fault(&error))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let bytes: &[u8] = self.take()?;
        bytes.try_into().map_err(|error| damaged(&error))
    }
}

/// Reads a row of an account, which begins with its id and that of the account. A damaged one is returned with
/// its error, so that a list continues.
pub(super) fn owned<I: Copy, T>(
    columns: &mut Columns<'_>,
    id: fn([u8; 16]) -> I,
    whole: fn(&mut Columns<'_>, I, AccountId) -> Result<T, StoreError>,
) -> Result<Result<T, DamagedRow<I>>, StoreError> {
    let id = id(columns.bytes()?);
    let account = AccountId::from_bytes(columns.bytes()?);
    Ok(whole(columns, id, account).map_err(|error| DamagedRow {
        id,
        account,
        problem: problem(error),
    }))
}

/// The error in a damaged row, for a list that continues without it.
pub(super) fn problem(error: StoreError) -> String {
    match error {
        StoreError::Damaged { problem } => problem,
        other => other.to_string(),
    }
}

pub(super) fn damaged(problem: &dyn Display) -> StoreError {
    StoreError::Damaged {
        problem: problem.to_string(),
    }
}
