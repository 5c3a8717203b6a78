//! The connections that read.
//!
//! ```text
//! idle ──a read takes it──▶ reads ──its rows are there──▶ idle
//!                             └──its caller vanished──▶ waits for the statement to end ──▶ idle
//! ```
//!
//! The pool of SQLx asks a connection for a sign of life after each read, in a task of its own. A
//! connection of SQLite lives on a thread of this process, so that this costs more than the read itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::reads::Query;

/// How long a read waits for a connection.
const WAIT: Duration = Duration::from_secs(30);

/// The connections that read a store. Clones have the same connections.
#[derive(Debug, Clone)]
pub(super) struct Readers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: SqliteConnectOptions,
    /// The number of connections.
    most: u32,
    /// A connection, or the right to open one.
    places: Arc<Semaphore>,
    /// The last one is used next, so that its page cache is warm.
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    /// Opens the first of at most `most` connections.
    pub(super) async fn open(
        options: SqliteConnectOptions,
        most: u32,
    ) -> Result<Self, sqlx::Error> {
        let first = options.connect().await?;
        Ok(Self(Arc::new(Inner {
            options,
            most,
            places: Arc::new(Semaphore::new(most as usize)),
            idle: Mutex::new(vec![first]),
        })))
    }

    /// Reads the first row.
    pub(super) async fn fetch_optional(
        &self,
        query: Query,
    ) -> Result<Option<SqliteRow>, sqlx::Error> {
        let mut reader = self.reader().await?;
        let fetched = query.fetch_optional(reader.connection()?).await;
        reader.finish(fetched)
    }

    /// Reads all rows.
    pub(super) async fn fetch_all(&self, query: Query) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut reader = self.reader().await?;
        let fetched = query.fetch_all(reader.connection()?).await;
        reader.finish(fetched)
    }

    /// Waits for the reads that run, and closes the connections. Later reads fail.
    pub(super) async fn close(&self) {
        let Ok(_places) = self.0.places.acquire_many(self.0.most).await else {
            return;
        };
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            let _ = connection.close().await;
        }
        self.0.places.close();
    }

    async fn reader(&self) -> Result<Reader, sqlx::Error> {
        let places = || Arc::clone(&self.0.places);
        let place = match places().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => timeout(WAIT, places().acquire_owned())
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)?
                .map_err(|_| sqlx::Error::PoolClosed)?,
        };
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.0.options.connect().await?,
        };
        Ok(Reader {
            connection: Some(connection),
            place: Some(place),
            readers: self.clone(),
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection during a read.
struct Reader {
    connection: Option<SqliteConnection>,
    place: Option<OwnedSemaphorePermit>,
    readers: Readers,
}

impl Reader {
    fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Returns the connection for the next read, unless its thread has ended.
    fn finish<T>(mut self, fetched: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let connection = self.connection.take();
        if !matches!(fetched, Err(sqlx::Error::WorkerCrashed)) {
            self.readers.idle().extend(connection);
        }
        fetched
    }
}

impl Drop for Reader {
    /// A caller that vanished leaves a statement that runs. No other read waits for it.
    fn drop(&mut self) {
        let (Some(mut connection), place) = (self.connection.take(), self.place.take()) else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let readers = self.readers.clone();
        runtime.spawn(async move {
            if connection.ping().await.is_ok() {
                readers.idle().push(connection);
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use sqlx::Row;

    use super::*;

    const ENDLESS: &str = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) \
                           SELECT n FROM number";

    async fn seven(readers: &Readers) -> Result<i64, sqlx::Error> {
        let row = readers.fetch_optional(sqlx::query("SELECT 7")).await?;
        row.ok_or(sqlx::Error::RowNotFound)?.try_get(0)
    }

    async fn readers(most: u32) -> Readers {
        let options = SqliteConnectOptions::new().filename(":memory:");
        Readers::open(options, most).await.unwrap()
    }

    /// A caller that disconnects during a long list must not take a connection away, nor leave one to the
    /// next read that still computes the list.
    #[tokio::test]
    async fn a_read_whose_caller_vanished_gives_its_connection_back_when_it_has_ended() {
        let readers = readers(1).await;
        for _ in 0..2 {
            let vanishes = readers.fetch_all(sqlx::query(ENDLESS));
            assert!(vanishes.now_or_never().is_none());
            assert!(readers.idle().is_empty());
            assert_eq!(seven(&readers).await.unwrap(), 7);
            assert_eq!(readers.idle().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_read_waits_for_a_connection_and_a_closed_store_has_none() {
        let readers = readers(2).await;
        let reads = (0..8).map(|_| seven(&readers));
        let read = futures_util::future::try_join_all(reads).await.unwrap();
        assert_eq!(read, [7; 8]);
        assert_eq!(readers.idle().len(), 2);
        readers.close().await;
        assert!(matches!(
            seven(&readers).await,
            Err(sqlx::Error::PoolClosed)
        ));
        readers.close().await;
    }
}
