//! The one task that writes. What waits is written in one transaction and synced once; then all are answered.

use sqlx::sqlite::{SqliteConnection, SqliteQueryResult};
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
        connection: SqliteConnection,
        limits: Limits,
    ) -> Result<Self, TicketStoreError> {
        let (queue, mut arrivals) = mpsc::channel(QUEUE);
        let mut task = Task {
            connection,
            limits,
            tickets: Shares::new(0),
            requests: Shares::new(0),
            swept: 0,
        };
        task.count().await?;
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
    tickets: Shares,
    requests: Shares,
    /// When what is over was deleted, by the site's time.
    swept: u64,
}

impl Task {
    async fn write(&mut self, batch: Vec<Waiting>) {
        let written = self.transaction(&batch).await;
        let answers = match written {
            Ok(answers) => answers.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => {
                // It fails when there is no transaction any more: then there is nothing to undo.
                let _ = self.execute("ROLLBACK").await;
                // What was counted may not be there: the next transaction counts anew.
                self.swept = 0;
                batch.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for (waiting, answer) in batch.into_iter().zip(answers) {
            // A caller that went away does not undo what it asked for.
            let _ = waiting.answer.send(answer);
        }
    }

    async fn transaction(&mut self, batch: &[Waiting]) -> Result<Vec<Once>, TicketStoreError> {
        let now = batch.iter().map(|waiting| waiting.now).max().unwrap_or(0);
        self.execute("BEGIN IMMEDIATE").await?;
        if now.abs_diff(self.swept) >= SWEEP {
            self.sweep(now).await?;
        }
        let mut answers = Vec::with_capacity(batch.len());
        for waiting in batch {
            answers.push(match &waiting.entry {
                Entry::Ticket(ticket) => self.ticket(ticket).await?,
                Entry::Request(name, of, until) => self.request(*name, of, *until).await?,
            });
        }
        self.execute("COMMIT").await?;
        Ok(answers)
    }

    async fn ticket(&mut self, ticket: &OpenedTicket) -> Result<Once, TicketStoreError> {
        let credentials = &ticket.credentials;
        let id = credentials.id.0.to_vec();
        if !self.tickets.has_room(&credentials.application) {
            return self
                .when_full("SELECT 1 FROM ticket WHERE id = ?", id)
                .await;
        }
        let written =
            sqlx::query("INSERT INTO ticket VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(id)
                .bind(&credentials.application)
                .bind(credentials.secret.expose().to_vec())
                .bind(integer(credentials.expires))
                .bind(ticket.auth_data.get())
                .bind(integer(remembered(credentials.expires)))
                .execute(&mut self.connection)
                .await?;
        Ok(counted(
            &written,
            &mut self.tickets,
            &credentials.application,
        ))
    }

    async fn request(
        &mut self,
        name: RequestName,
        of: &str,
        until: u64,
    ) -> Result<Once, TicketStoreError> {
        let name = name.0.to_vec();
        if !self.requests.has_room(of) {
            let before = "SELECT 1 FROM request WHERE name = ?";
            return self.when_full(before, name).await;
        }
        let written = sqlx::query("INSERT INTO request VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(integer(remembered(until)))
            .bind(of)
            .execute(&mut self.connection)
            .await?;
        Ok(counted(&written, &mut self.requests, of))
    }

    async fn when_full(
        &mut self,
        before: &'static str,
        key: Vec<u8>,
    ) -> Result<Once, TicketStoreError> {
        let before = sqlx::query(before).bind(key);
        let before = before.fetch_optional(&mut self.connection).await?;
        Ok(before.map_or(Once::Full, |_| Once::Again))
    }

    /// Deletes what is over. Other processes may share the file, so it is counted anew.
    async fn sweep(&mut self, now: u64) -> Result<(), TicketStoreError> {
        for table in [
            "DELETE FROM ticket WHERE until < ?",
            "DELETE FROM request WHERE until < ?",
        ] {
            let deleted = sqlx::query(table).bind(integer(now));
            deleted.execute(&mut self.connection).await?;
        }
        self.swept = now;
        self.count().await
    }

    async fn count(&mut self) -> Result<(), TicketStoreError> {
        let tickets = "SELECT application, count(*) FROM ticket GROUP BY application";
        self.tickets = self.shares(tickets, self.limits.tickets).await?;
        let requests = "SELECT application, count(*) FROM request GROUP BY application";
        self.requests = self.shares(requests, self.limits.requests).await?;
        Ok(())
    }

    async fn shares(
        &mut self,
        counts: &'static str,
        limit: usize,
    ) -> Result<Shares, TicketStoreError> {
        let counts: Vec<(String, i64)> = sqlx::query_as(counts)
            .fetch_all(&mut self.connection)
            .await?;
        let mut shares = Shares::new(limit);
        for (application, rows) in counts {
            shares.add_all(&application, usize::try_from(rows).unwrap_or(usize::MAX));
        }
        Ok(shares)
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), TicketStoreError> {
        sqlx::query(statement).execute(&mut self.connection).await?;
        Ok(())
    }
}

/// What an insert that ignores what is there has done.
fn counted(written: &SqliteQueryResult, shares: &mut Shares, application: &str) -> Once {
    match written.rows_affected() {
        0 => Once::Again,
        _ => {
            shares.add(application);
            Once::First
        }
    }
}
