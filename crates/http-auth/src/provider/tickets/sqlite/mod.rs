//! Tickets in one SQLite file: write-ahead log, every commit synced before its callers are answered.
//!
//! The file holds the secrets that requests are signed with. It is its owner's alone (mode 0600), belongs on a
//! disk that others cannot read, and in no backup: after a loss the applications get other tickets.

mod file;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign_crypto::secret::{Secret, SecretBytes};
use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::message::Nonce;
use serde_json::value::RawValue;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqlitePool};

use super::{Limits, Once, OpenedTicket, RequestName, TicketStore, TicketStoreError};
use writer::{Entry, Writer};

/// Connections that read: one more than a small machine has cores.
const READERS: u32 = 3;

/// Remembers in a file: a restart forgets nothing. Processes of one provider on one machine may share it.
pub struct SqliteTickets {
    readers: SqlitePool,
    writer: Writer,
}

impl From<sqlx::Error> for TicketStoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

impl SqliteTickets {
    /// Opens the file, or makes it, and remembers as much as that.
    ///
    /// # Errors
    /// [`TicketStoreError`] when it is another program's file, which is left as it is, or cannot be written.
    pub async fn open(file: &Path, limits: Limits) -> Result<Self, TicketStoreError> {
        let trouble = |error: &dyn std::fmt::Display| {
            TicketStoreError(format!("{}: {error}", file.display()))
        };
        file::examine(file)?;
        file::own_alone(file).map_err(|error| trouble(&error))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .busy_timeout(Duration::from_secs(5))
            // What is over is not to be found in the file.
            .pragma("secure_delete", "ON")
            .disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await?;
        file::claim(&mut connection)
            .await
            .map_err(|error| trouble(&error))?;
        // Not before the file is known to be ours: a journal mode stays with it.
        sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
            .execute(&mut connection)
            .await?;
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        Ok(Self {
            readers,
            writer: Writer::start(connection, limits).await?,
        })
    }
}

/// SQLite's integers are signed; a time beyond them is never reached.
fn integer(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[async_trait]
impl TicketStore for SqliteTickets {
    fn outlives_a_restart(&self) -> bool {
        true
    }

    async fn keep(&self, ticket: OpenedTicket, now: u64) -> Result<Once, TicketStoreError> {
        self.writer
            .write(Entry::Ticket(Box::new(ticket)), now)
            .await
    }

    async fn ticket(&self, id: Nonce) -> Result<Option<OpenedTicket>, TicketStoreError> {
        let found: Option<(String, Vec<u8>, i64, String)> = sqlx::query_as(
            "SELECT application, secret, expires, auth_data FROM ticket WHERE id = ?",
        )
        .bind(id.0.to_vec())
        .fetch_optional(&self.readers)
        .await?;
        let Some((application, secret, expires, auth_data)) = found else {
            return Ok(None);
        };
        let damaged = || TicketStoreError("the file is damaged".to_owned());
        let secret = SecretBytes::from(secret);
        let auth_data = RawValue::from_string(auth_data).map_err(|_| damaged())?;
        let credentials = Credentials {
            application,
            id,
            secret: Secret::try_from_slice(secret.expose()).ok_or_else(damaged)?,
            expires: u64::try_from(expires).map_err(|_| damaged())?,
        };
        Ok(Some(OpenedTicket {
            credentials,
            auth_data: Arc::from(auth_data),
        }))
    }

    async fn request(
        &self,
        name: RequestName,
        application: &str,
        until: u64,
        now: u64,
    ) -> Result<Once, TicketStoreError> {
        let entry = Entry::Request(name, application.to_owned(), until);
        self.writer.write(entry, now).await
    }
}
