//! The ticket store in one SQLite file with a write-ahead log. Each commit is synced before its
//! callers get their results.
//!
//! The file contains the secrets with which requests are signed. Its mode is 0600. Keep it on a
//! disk that others cannot read, and do not back it up: if it is lost, consumers present other
//! tickets.

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

use super::{Insertion, Limits, OpenedTicket, RequestName, TicketStore, TicketStoreError};
use writer::{Entry, Writer};

/// Reading connections: one more than a small machine has cores.
const READERS: u32 = 3;

/// A ticket store in a file, which survives restarts. Processes of one provider on one machine may
/// share the file.
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
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`TicketStoreError`] if the file belongs to another program, in which case it is left
    /// unchanged, or if it cannot be written.
    pub async fn open(file: &Path, limits: Limits) -> Result<Self, TicketStoreError> {
        let failure = |error: &dyn std::fmt::Display| {
            TicketStoreError(format!("{}: {error}", file.display()))
        };
        file::check_owner(file)?;
        file::restrict_mode(file).map_err(|error| failure(&error))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .busy_timeout(Duration::from_secs(5))
            // Overwrite deleted secrets.
            .pragma("secure_delete", "ON")
            .disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await?;
        file::migrate(&mut connection)
            .await
            .map_err(|error| failure(&error))?;
        // The journal mode is stored in the file, so it is set only once the file is known to be
        // ours.
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

/// SQLite's integers are signed. Larger times are clamped: they are never reached.
fn integer(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[async_trait]
impl TicketStore for SqliteTickets {
    fn survives_restart(&self) -> bool {
        true
    }

    async fn insert_ticket(
        &self,
        ticket: OpenedTicket,
        issued: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError> {
        let entry = Entry::Ticket(Box::new(ticket), issued);
        self.writer.write(entry, now).await
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

    async fn void_tickets(
        &self,
        application: Option<&str>,
        until: u64,
    ) -> Result<(), TicketStoreError> {
        self.writer.void(application, until).await
    }

    async fn void_until(&self, application: &str) -> Result<u64, TicketStoreError> {
        let mark = "SELECT max(issued_until) FROM void WHERE application IN (?, '')";
        let mark = sqlx::query_scalar::<_, Option<i64>>(mark).bind(application);
        let mark = mark.fetch_one(&self.readers).await?;
        Ok(mark.map_or(0, |mark| u64::try_from(mark).unwrap_or_default()))
    }

    async fn lower_void(&self, later_than: u64, to: u64) -> Result<(), TicketStoreError> {
        self.writer.lower_void(later_than, to).await
    }

    async fn insert_request(
        &self,
        name: RequestName,
        application: &str,
        until: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError> {
        let entry = Entry::Request(name, application.to_owned(), until);
        self.writer.write(entry, now).await
    }
}
