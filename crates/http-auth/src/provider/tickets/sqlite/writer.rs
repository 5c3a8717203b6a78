//! The task that writes. It writes all waiting entries in one transaction, syncs once, and then
//! sends all results.

use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::limits::MAX_TICKET;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::integer;
use crate::provider::tickets::shares::Shares;
use crate::provider::tickets::{
    Insertion, Limits, OpenedTicket, RequestName, TicketStoreError, kept_until,
};

/// Entries that may wait before callers are blocked.
const QUEUE_LENGTH: usize = 1_024;
/// Maximum number of entries in one transaction: a sync costs more than writing this many.
const MAX_BATCH: usize = 512;
/// How often expired entries are deleted, in milliseconds of the site's time.
const SWEEP_INTERVAL: u64 = 10_000;
/// Maximum number of applications whose tickets are void.
const MAX_VOID: i64 = 4_096;

type Answer = Result<Insertion, TicketStoreError>;

/// An entry to be stored.
pub(super) enum Entry {
    Ticket(Box<OpenedTicket>),
    /// Name, application, and expiry of the signature.
    Request(RequestName, String, u64),
}

enum Work {
    Insert(Entry),
    /// The tickets of this application, or of all, become unusable; those that were issued up to
    /// this time are void.
    Void(Option<String>, u64),
}

struct Waiting {
    work: Work,
    now: u64,
    answer: oneshot::Sender<Answer>,
}

/// The handle of the writing task, which ends when the handle is dropped.
pub(super) struct Writer {
    queue: mpsc::Sender<Waiting>,
}

impl Writer {
    pub(super) async fn start(
        mut connection: SqliteConnection,
        limits: Limits,
    ) -> Result<Self, TicketStoreError> {
        let (queue, mut arrivals) = mpsc::channel(QUEUE_LENGTH);
        let mut task = Task {
            counts: Counts::read(&mut connection, limits).await?,
            connection,
            limits,
            swept: 0,
        };
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(MAX_BATCH);
            while arrivals.recv_many(&mut batch, MAX_BATCH).await > 0 {
                task.write(std::mem::take(&mut batch)).await;
            }
        });
        Ok(Self { queue })
    }

    /// Stores an entry, and returns when it is synced to disk.
    pub(super) async fn write(&self, entry: Entry, now: u64) -> Answer {
        self.do_work(Work::Insert(entry), now).await
    }

    /// Makes the tickets of an application, or of all, unusable and void, and returns when that is
    /// synced to disk.
    pub(super) async fn void(
        &self,
        application: Option<&str>,
        until: u64,
    ) -> Result<(), TicketStoreError> {
        let work = Work::Void(application.map(str::to_owned), until);
        self.do_work(work, 0).await.map(|_| ())
    }

    async fn do_work(&self, work: Work, now: u64) -> Answer {
        let (answer, written) = oneshot::channel();
        let waiting = Waiting { work, now, answer };
        let ended = || TicketStoreError("the writing task has ended".to_owned());
        self.queue.send(waiting).await.map_err(|_| ended())?;
        written.await.map_err(|_| ended())?
    }
}

struct Task {
    connection: SqliteConnection,
    limits: Limits,
    counts: Counts,
    /// When expired entries were last deleted, by the site's time.
    swept: u64,
}

impl Task {
    async fn write(&mut self, batch: Vec<Waiting>) {
        let written = self.transaction(&batch).await;
        if written.is_err() {
            // Counted entries may not have been stored, so the next transaction counts again.
            self.swept = 0;
        }
        let answers = match written {
            Ok(answers) => answers.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        };
        for (waiting, answer) in batch.into_iter().zip(answers) {
            // The entry stays stored if the caller's future was dropped.
            let _ = waiting.answer.send(answer);
        }
    }

    /// Writes a batch atomically: dropping the transaction rolls it back.
    async fn transaction(&mut self, batch: &[Waiting]) -> Result<Vec<Insertion>, TicketStoreError> {
        let now = batch.iter().map(|waiting| waiting.now).max().unwrap_or(0);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        if now.abs_diff(self.swept) >= SWEEP_INTERVAL {
            sweep(&mut transaction, now).await?;
            // Other processes may share the file, so entries are counted again.
            self.counts = Counts::read(&mut transaction, self.limits).await?;
            self.swept = now;
        }
        let mut answers = Vec::with_capacity(batch.len());
        for waiting in batch {
            answers.push(match &waiting.work {
                Work::Insert(entry) => self.counts.insert(&mut transaction, entry).await?,
                Work::Void(application, until) => {
                    void(&mut transaction, application.as_deref(), *until).await?
                }
            });
        }
        transaction.commit().await?;
        Ok(answers)
    }
}

/// Overwrites the secrets of the tickets of an application, or of all, and stores up to when they
/// are void. An application that finds no place makes the tickets of all void.
async fn void(
    connection: &mut SqliteConnection,
    application: Option<&str>,
    until: u64,
) -> Result<Insertion, TicketStoreError> {
    let update = "UPDATE ticket SET secret = randomblob(length(secret)) \
                  WHERE ?1 IS NULL OR application = ?1";
    sqlx::query(update)
        .bind(application)
        .execute(&mut *connection)
        .await?;
    let mark = "INSERT INTO void SELECT \
                    CASE WHEN (SELECT count(*) FROM void WHERE application <> ?1) < ?4 \
                    THEN ?1 ELSE '' END, ?2, ?3 WHERE true \
                ON CONFLICT (application) DO UPDATE SET \
                    issued_until = max(issued_until, excluded.issued_until), \
                    until = max(until, excluded.until)";
    sqlx::query(mark)
        .bind(application.unwrap_or_default())
        .bind(integer(until))
        .bind(integer(kept_until(until.saturating_add(MAX_TICKET))))
        .bind(MAX_VOID)
        .execute(connection)
        .await?;
    Ok(Insertion::New)
}

/// Deletes expired entries.
async fn sweep(connection: &mut SqliteConnection, now: u64) -> Result<(), TicketStoreError> {
    for table in [
        "DELETE FROM ticket WHERE until < ?",
        "DELETE FROM request WHERE until < ?",
        // No ticket is valid for longer, so an older mark has no effect.
        "DELETE FROM void WHERE until < ?",
    ] {
        let deleted = sqlx::query(table).bind(integer(now));
        deleted.execute(&mut *connection).await?;
    }
    Ok(())
}

/// The number of entries of each application in the file.
struct Counts {
    tickets: Shares,
    requests: Shares,
}

impl Counts {
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

    /// Writes an entry unless it is stored already or its application has no room left.
    async fn insert(
        &mut self,
        connection: &mut SqliteConnection,
        entry: &Entry,
    ) -> Result<Insertion, TicketStoreError> {
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
            return Ok(found.map_or(Insertion::Full, |_| Insertion::Replayed));
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
                    .bind(integer(kept_until(*expires)))
            }
            Entry::Request(_, _, until) => {
                let row = "INSERT INTO request VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
                let row = sqlx::query(row).bind(key);
                row.bind(integer(kept_until(*until))).bind(application)
            }
        };
        let written = insert.execute(connection).await?;
        if written.rows_affected() == 0 {
            return Ok(Insertion::Replayed);
        }
        shares.add(application);
        Ok(Insertion::New)
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
