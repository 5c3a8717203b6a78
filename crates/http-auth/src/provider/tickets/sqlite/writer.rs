//! The task that writes. It writes all waiting entries in one transaction, syncs once, and then
//! sends all results.

use countersign_proto::broker::v2::Credentials;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::integer;
use crate::provider::tickets::marks::MAX_CONSUMERS;
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

type Answer = Result<Insertion, TicketStoreError>;

/// An entry to be stored.
pub(super) enum Entry {
    /// A ticket, and when the site issued it.
    Ticket(Box<OpenedTicket>, u64),
    /// Name, application, and expiry of the signature.
    Request(RequestName, String, u64),
}

enum Work {
    Insert(Entry),
    /// The tickets of this application, or of all, become unusable; those that were issued up to
    /// this time are void.
    Void(Option<String>, u64),
    /// Each mark that is later than the first time is set to the second.
    LowerVoid(u64, u64),
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

    /// Sets the marks of void tickets that are later than `later_than` to `to`.
    pub(super) async fn lower_void(
        &self,
        later_than: u64,
        to: u64,
    ) -> Result<(), TicketStoreError> {
        let work = Work::LowerVoid(later_than, to);
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
                Work::LowerVoid(later_than, to) => {
                    lower_void(&mut transaction, *later_than, *to).await?
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
    let update = match application {
        Some(application) => sqlx::query(
            "UPDATE ticket SET secret = randomblob(length(secret)) WHERE application = ?",
        )
        .bind(application),
        None => sqlx::query("UPDATE ticket SET secret = randomblob(length(secret))"),
    };
    update.execute(&mut *connection).await?;
    let mark = "INSERT INTO void SELECT \
                    CASE WHEN (SELECT count(*) FROM void WHERE application <> ?1) < ?3 \
                    THEN ?1 ELSE '' END, ?2 WHERE true \
                ON CONFLICT (application) DO UPDATE SET \
                    issued_until = max(issued_until, excluded.issued_until)";
    sqlx::query(mark)
        .bind(application.unwrap_or_default())
        .bind(integer(until))
        .bind(i64::try_from(MAX_CONSUMERS).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
    let covered = "DELETE FROM void WHERE application <> '' AND issued_until <= \
                   (SELECT issued_until FROM void WHERE application = '')";
    sqlx::query(covered).execute(connection).await?;
    Ok(Insertion::New)
}

async fn lower_void(
    connection: &mut SqliteConnection,
    later_than: u64,
    to: u64,
) -> Result<Insertion, TicketStoreError> {
    let lower = "UPDATE void SET issued_until = ?2 WHERE issued_until > ?1";
    sqlx::query(lower)
        .bind(integer(later_than))
        .bind(integer(to))
        .execute(connection)
        .await?;
    Ok(Insertion::New)
}

/// Deletes expired entries. The marks of void tickets stay: a clock that is ahead for a moment must not
/// delete them.
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

    /// Writes an entry unless it is stored already, its application has no room left, or it is a
    /// void ticket.
    async fn insert(
        &mut self,
        connection: &mut SqliteConnection,
        entry: &Entry,
    ) -> Result<Insertion, TicketStoreError> {
        let (shares, application, find, key) = match entry {
            Entry::Ticket(ticket, _) => (
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
        let refused = if shares.has_room(application) {
            let insert = match entry {
                Entry::Ticket(ticket, issued) => {
                    let Credentials {
                        secret, expires, ..
                    } = &ticket.credentials;
                    let row = "INSERT INTO ticket SELECT ?1, ?2, ?3, ?4, ?5, ?6 \
                               WHERE NOT EXISTS (SELECT 1 FROM void \
                                   WHERE application IN (?2, '') AND issued_until >= ?7) \
                               ON CONFLICT DO NOTHING";
                    let row = sqlx::query(row).bind(key.clone()).bind(application);
                    row.bind(secret.expose().to_vec())
                        .bind(integer(*expires))
                        .bind(ticket.auth_data.get())
                        .bind(integer(kept_until(*expires)))
                        .bind(integer(*issued))
                }
                Entry::Request(_, _, until) => {
                    let row = "INSERT INTO request VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
                    let row = sqlx::query(row).bind(key.clone());
                    row.bind(integer(kept_until(*until))).bind(application)
                }
            };
            if insert.execute(&mut *connection).await?.rows_affected() > 0 {
                shares.add(application);
                return Ok(Insertion::New);
            }
            Insertion::Void
        } else {
            Insertion::Full
        };
        let found = sqlx::query(find).bind(key);
        let found = found.fetch_optional(connection).await?;
        Ok(found.map_or(refused, |_| Insertion::Replayed))
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
