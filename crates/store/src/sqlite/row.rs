//! Rows as values. What does not read cannot have been written by this store: the file is damaged.

use std::fmt::Display;
use std::str::FromStr;

use countersign_core::store::StoreError;
use countersign_core::timestamp::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

use super::reads::fault;

/// An unsigned number as SQLite keeps it. No counter of ours gets near the end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Takes a row's columns one after the other.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) const fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    /// The same row, from its first column on.
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

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        all: &[T],
        as_str: fn(T) -> &'static str,
    ) -> Result<T, StoreError> {
        let text: &str = self.take()?;
        all.iter()
            .copied()
            .find(|one| as_str(*one) == text)
            .ok_or_else(|| damaged(&format_args!("`{text}` is none of the words known here")))
    }

    pub(super) fn number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, StoreError> {
        let number: i64 = self.take()?;
        T::try_from(number).map_err(|error| damaged(&error))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.take().map(Timestamp::from_millis)
    }

    /// Text that may be damaged.
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

/// What is wrong with a row, for a list that goes on without it.
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
