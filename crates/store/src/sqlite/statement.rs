//! Statements over many rows at once.
//!
//! A call of SQLite costs more than a row, so one statement writes a run of rows: a multiple of eight first,
//! then the rest. Up to 64 rows need at most two statements, and few statements have to be cached.

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, Type};

/// The greatest number of rows in one statement.
const MAX_RUN: usize = 64;

/// Longer runs are multiples of this.
const SHORT_RUN: usize = 8;

/// The values of a run of rows, in the order of the statement's placeholders.
pub(super) struct Row(SqliteArguments);

impl Row {
    /// An empty list of values.
    pub(super) fn new() -> Self {
        Self(SqliteArguments::default())
    }

    /// Adds a value.
    pub(super) fn put<'v>(
        &mut self,
        value: impl Encode<'v, Sqlite> + Type<Sqlite>,
    ) -> Result<(), sqlx::Error> {
        self.0.add(value).map_err(sqlx::Error::Encode)
    }
}

/// A statement with a list of rows.
pub(super) struct Many {
    /// The text before the list.
    pub(super) before: &'static str,
    /// One row of the list, such as `(?,?)`.
    pub(super) row: &'static str,
    /// The text after the list.
    pub(super) after: &'static str,
}

impl Many {
    /// Runs the statement over `items`; `put` adds the values of one item. Returns the number of changed rows.
    pub(super) async fn execute<T: Sync>(
        &self,
        connection: &mut SqliteConnection,
        items: &[T],
        put: impl Fn(&mut Row, &T) -> Result<(), sqlx::Error>,
    ) -> Result<u64, sqlx::Error> {
        let mut changed = 0;
        let mut left = items;
        while !left.is_empty() {
            let (run, rest) = left.split_at(run_length(left.len()));
            left = rest;
            let mut row = Row::new();
            for item in run {
                put(&mut row, item)?;
            }
            changed += sqlx::query_with(AssertSqlSafe(self.text(run.len())), row.0)
                .execute(&mut *connection)
                .await?
                .rows_affected();
        }
        Ok(changed)
    }

    fn text(&self, rows: usize) -> String {
        let mut list = String::with_capacity(rows * (self.row.len() + 1));
        for at in 0..rows {
            if at > 0 {
                list.push(',');
            }
            list.push_str(self.row);
        }
        [self.before, &list, self.after].concat()
    }
}

/// The number of remaining rows that the next statement takes.
const fn run_length(left: usize) -> usize {
    if left >= MAX_RUN {
        MAX_RUN
    } else if left >= SHORT_RUN {
        left - left % SHORT_RUN
    } else {
        left
    }
}

#[cfg(test)]
mod tests {
    use super::{Many, run_length};

    #[test]
    fn a_run_is_a_multiple_of_eight_or_the_rest() {
        let runs = [1, 7, 8, 37, 63, 64, 1000].map(run_length);
        assert_eq!(runs, [1, 7, 8, 32, 56, 64, 64]);
    }

    #[test]
    fn a_statement_lists_its_rows() {
        let many = Many {
            before: "INSERT INTO t VALUES ",
            row: "(?)",
            after: " RETURNING 1",
        };
        assert_eq!(many.text(2), "INSERT INTO t VALUES (?),(?) RETURNING 1");
    }
}
