//! The one task that writes. What waits is written in one transaction and synced once; then all are answered.

use countersign_proto::broker::v2::Credentials;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::integer;
use crate::provider::tickets::shares::Shares;
use crate::provider::tickets::{
    Limits, Once, OpenedTicket, RequestName, TicketStoreError, remembered,
};

/// Entries that may wait before a caller has to.
const QUEUE: usize = 1_024;
/// Entries in one transaction: a sync costs more than writing that many.
const LARGEST_BATCH: usize = 512;
/// How often what is over is deleted, in milliseconds of the site's time.
const SWEEP: u64 = 10_000;

type Answer = Result<Once, TicketStoreError>;

/// What is to be remembered.
pub(super) enum Entry {
    Ticket(Box<OpenedTicket>),
    /// Of which application, and until when.
    Request(RequestName, String, u64),
}

struct Waiting {
    entry: Entry,
    now: u64,
    answer: oneshot::Sender<Answer>,
}

/// The way to the writing task, which ends with it.
pub(super) struct Writer {
    queue: mpsc::Sender<Waiting>,
}

impl Writer {
    pub(super) async fn start(
        mut connection: SqliteConnection,
        limits: Limits,
    ) -> Result<Self, TicketStoreError> {
        let (queue, mut arrivals) = mpsc::channel(QUEUE);
        let mut task = Task {
            counted: Counted::read(&mut connection, limits).await?,
            connection,
            limits,
            swept: 0,
        };
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(LARGEST_BATCH);
            while arrivals.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
                task.write(std::mem::take(&mut batch)).await;
            }
        });
        Ok(Self { queue })
    }

    /// Remembers it, and returns when it is on the disk.
    pub(super) async fn write(&self, entry: Entry, now: u64) -> Answer {
        let (answer, written) = oneshot::channel();
        let waiting = Waiting { entry, now, answer };
        let ended = || TicketStoreError("the writer has ended".to_owned());
        self.queue.send(waiting).await.map_err(|_| ended())?;
        written.await.map_err(|_| ended())?
    }
}

struct Task {
    connection: SqliteConnection,
    limits: Limits,
    counted: Counted,
    /// When what is over was deleted, by the site's time.
    swept: u64,
}

impl Task {
    async fn write(&mut self, batch: Vec<Waiting>) {
        let written = self.transaction(&batch).await;
        if written.is_err() {
            // What was counted may not be there: the next transaction counts anew.
            self.swept = 0;
        }
        let answers = match written {
            Ok(answers) => answers.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        };
        for (waiting, answer) in batch.into_iter().zip(answers) {
            // A caller that went away does not undo what it asked for.
            let _ = waiting.answer.send(answer);
        }
    }

    /// Writes a batch whole or not at all: a transaction that is dropped is rolled back.
    async fn transaction(&mut self, batch: &[Waiting]) -> Result<Vec<Once>, TicketStoreError> {
        let now = batch.iter().map(|waiting| waiting.now).max().unwrap_or(0);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        if now.abs_diff(self.swept) >= SWEEP {
            sweep(&mut transaction, now).await?;
            // Other processes may share the file, so it is counted anew.
            self.counted = Counted::read(&mut transaction, self.limits).await?;
            self.swept = now;
        }
        let mut answers = Vec::with_capacity(batch.len());
        for waiting in batch {
            let entry = &waiting.entry;
            answers.push(self.counted.remember(&mut transaction, entry).await?);
        }
        transaction.commit().await?;
        Ok(answers)
    }
}

/// Deletes what is over.
async fn sweep(connection: &mut SqliteConnection, now: u64) -> Result<(), TicketStoreError> {
    for table in [
        "DELETE FROM ticket WHERE until < ?",
        "DELETE FROM request WHERE until < ?",
    ] {
        let deleted = sqlx::query(table).bind(integer(now));
        deleted.execute(&mut *connection).await?;
    }
    Ok(())
}

/// How much of each application is in the file.
struct Counted {
    tickets: Shares,
    requests: Shares,
}

impl Counted {
    async fn read(
        connection: &mut SqliteConnection,
        limits: Limits,
    ) -> Result<Self, TicketStoreError> {
        let tickets = "SELECT application, count(*) FROM ticket GROUP BY application";
        let requests = "SELECT application, count(*) FROM request GROUP BY application";
        Ok(Self {
            tickets: shares(connection, tickets, limits.tickets).await?,
            requests: shares(connection, requests, limits.requests).await?,
        })
    }

    /// Writes an entry unless it is there already, or its application has no room left.
    async fn remember(
        &mut self,
        connection: &mut SqliteConnection,
        entry: &Entry,
    ) -> Result<Once, TicketStoreError> {
        let (shares, application, find, key) = match entry {
            Entry::Ticket(ticket) => (
                &mut self.tickets,
                &ticket.credentials.application,
                "SELECT 1 FROM ticket WHERE id = ?",
                ticket.credentials.id.0.to_vec(),
            ),
            Entry::Request(name, application, _) => (
                &mut self.requests,
                application,
                "SELECT 1 FROM request WHERE name = ?",
                name.0.to_vec(),
            ),
        };
        if !shares.has_room(application) {
            let found = sqlx::query(find).bind(key);
            let found = found.fetch_optional(connection).await?;
            return Ok(found.map_or(Once::Full, |_| Once::Again));
        }
        let insert = match entry {
            Entry::Ticket(ticket) => {
                let Credentials {
                    secret, expires, ..
                } = &ticket.credentials;
                let row = "INSERT INTO ticket VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
                let row = sqlx::query(row).bind(key).bind(application);
                row.bind(secret.expose().to_vec())
                    .bind(integer(*expires))
                    .bind(ticket.auth_data.get())
                    .bind(integer(remembered(*expires)))
            }
            Entry::Request(_, _, until) => {
                let row = "INSERT INTO request VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
                let row = sqlx::query(row).bind(key);
                row.bind(integer(remembered(*until))).bind(application)
            }
        };
        let written = insert.execute(connection).await?;
        if written.rows_affected() == 0 {
            return Ok(Once::Again);
        }
        shares.add(application);
        Ok(Once::First)
    }
}

async fn shares(
    connection: &mut SqliteConnection,
    counts: &'static str,
    limit: usize,
) -> Result<Shares, TicketStoreError> {
    let counts: Vec<(String, i64)> = sqlx::query_as(counts).fetch_all(connection).await?;
    let mut shares = Shares::new(limit);
    for (application, rows) in counts {
        shares.add_all(&application, usize::try_from(rows).unwrap_or(usize::MAX));
    }
    Ok(shares)
}
