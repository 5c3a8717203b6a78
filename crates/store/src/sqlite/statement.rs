//! Statements over many rows at once.
//!
//! Handing a statement to SQLite costs more than a row does, so rows go in runs: whole eights first,
//! then the rest. Up to 64 rows take two statements at most, and few texts have to be kept prepared.

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, Type};

/// The longest run of rows in one statement.
const MAX_RUN: usize = 64;

/// Longer runs than this are multiples of it.
const SHORT_RUN: usize = 8;

/// The values of some rows, in the order in which a statement takes them.
pub(super) struct Row(SqliteArguments);

impl Row {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self(SqliteArguments::default())
    }

    /// Takes one more value.
    pub(super) fn put<'v>(
        &mut self,
        value: impl Encode<'v, Sqlite> + Type<Sqlite>,
    ) -> Result<(), sqlx::Error> {
        self.0.add(value).map_err(sqlx::Error::Encode)
    }
}

/// A statement whose text holds one list of rows.
pub(super) struct Many {
    /// The text before the list.
    pub(super) before: &'static str,
    /// One row of the list, such as `(?,?)`.
    pub(super) row: &'static str,
    /// The text after the list.
    pub(super) after: &'static str,
}

impl Many {
    /// Runs the statement over `items`, whose values `put` adds; how many rows of the store it changed.
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

/// How many of the rows that are left go into the next statement.
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
    fn runs_are_whole_eights_or_the_rest() {
        let runs = [1, 7, 8, 37, 63, 64, 1000].map(run_length);
        assert_eq!(runs, [1, 7, 8, 32, 56, 64, 64]);
    }

    #[test]
    fn a_text_lists_its_rows() {
        let many = Many {
            before: "INSERT INTO t VALUES ",
            row: "(?)",
            after: " RETURNING 1",
        };
        assert_eq!(many.text(2), "INSERT INTO t VALUES (?),(?) RETURNING 1");
    }
}
