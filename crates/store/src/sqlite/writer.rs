//! The writing task and its group commit.
//!
//! ```text
//!  commit() ──┐
//!  commit() ──┼─▶ queue ─▶ batch ─▶ BEGIN, all changes run by run, audit entries, COMMIT (one sync)
//!  commit() ──┘                        │                                   │
//!                     a decision is no longer valid                        ▼
//!                                      │              observer, then a reply to every caller
//!                                      ▼                                   ▲
//!                       ROLLBACK, then each set in its own savepoint, COMMIT
//! ```
//!
//! While one batch is synced, the next one is collected: the more callers there are, the more changes share a
//! sync. A set whose decision is no longer valid fails alone.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_core::audit::{AuditEntry, ChainHead};
use countersign_core::store::{Change, ChangeSet, Committed, Effects, Observer, StoreError};
use countersign_proto::peer::SignedAuditHead;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::batch::{self, ByKind, LARGEST_BATCH};
use super::failure::Failure;
use super::{audit, reads};

/// The number of change sets that may wait. Beyond it, callers wait to enqueue.
const QUEUE: usize = 1024;

/// What the connection waits for a lock, in milliseconds, as when it was opened.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 5000";

/// How long the task waits for a change before it tries again to empty the write-ahead log.
const ERASE_AGAIN: Duration = Duration::from_secs(1);

type Answer = Result<Committed, StoreError>;

struct Waiting {
    set: ChangeSet,
    answer: oneshot::Sender<Answer>,
}

/// A handle of the writing task.
pub(super) struct Writer {
    queue: mpsc::Sender<Option<Waiting>>,
    task: Mutex<Option<JoinHandle<()>>>,
    observer: SharedObserver,
}

/// The observer of the store; `None` until one is set.
type SharedObserver = Arc<RwLock<Option<Arc<dyn Observer>>>>;

impl Writer {
    /// Starts the writing task with `connection`.
    pub(super) fn start(connection: SqliteConnection, head: ChainHead, file: &Path) -> Self {
        let (queue, arrivals) = mpsc::channel(QUEUE);
        let observer = SharedObserver::default();
        let task = tokio::spawn(
            Task {
                connection,
                head,
                arrivals,
                file: file.to_owned(),
                observer: observer.clone(),
                // A process that was killed may have left something to erase.
                erasing: true,
            }
            .run(),
        );
        Self {
            queue,
            task: Mutex::new(Some(task)),
            observer,
        }
    }

    pub(super) fn observe(&self, observer: Arc<dyn Observer>) {
        let slot = self.observer.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = Some(observer);
    }

    /// Writes a set. Returns after it was synced to the disk.
    pub(super) async fn commit(&self, set: ChangeSet) -> Answer {
        let (answer, written) = oneshot::channel();
        self.queue
            .send(Some(Waiting { set, answer }))
            .await
            .map_err(|_| closed())?;
        written.await.map_err(|_| closed())?
    }

    /// Waits until the task has ended, also by a panic.
    pub(super) async fn ended(&self) {
        self.queue.closed().await;
    }

    /// Lets the task write the waiting sets, and waits for its end.
    pub(super) async fn close(&self) {
        if let Some(task) = self.task.lock().await.take() {
            // An error means that the task has ended already.
            let _ = self.queue.send(None).await;
            let _ = task.await;
        }
    }
}

/// The signature over the log that a set asks for. A panic is a bug, but must not end the writing task.
fn signed(
    observer: &Arc<dyn Observer>,
    set: &ChangeSet,
    end: ChainHead,
) -> Option<SignedAuditHead> {
    let signed = catch_unwind(AssertUnwindSafe(|| observer.sign(set, end)));
    signed.unwrap_or_else(|_| {
        let operation = &set.audit.operation;
        tracing::error!(%operation, "the audit log was not signed: the observer panicked");
        None
    })
}

fn closed() -> StoreError {
    StoreError::Unavailable {
        problem: "the store is closed".to_owned(),
    }
}

struct Task {
    connection: SqliteConnection,
    head: ChainHead,
    arrivals: mpsc::Receiver<Option<Waiting>>,
    file: PathBuf,
    observer: SharedObserver,
    /// Something that was replaced has to be erased from the write-ahead log.
    erasing: bool,
}

impl Task {
    async fn run(mut self) {
        let mut arrived = Vec::with_capacity(LARGEST_BATCH);
        let mut queue = VecDeque::new();
        let mut open = true;
        self.erase_log().await;
        while open || !queue.is_empty() {
            if queue.is_empty() {
                open = self.next(&mut arrived).await;
            }
            while let Ok(more) = self.arrivals.try_recv() {
                arrived.push(more);
            }
            for one in arrived.drain(..) {
                match one {
                    Some(waiting) => queue.push_back(waiting),
                    None => {
                        open = false;
                        self.arrivals.close();
                    }
                }
            }
            if !queue.is_empty() {
                let length = queue.len().min(LARGEST_BATCH);
                self.write(queue.drain(..length).collect()).await;
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
    }

    /// Waits for change sets; `false` if there are no more. Meanwhile, erases what a reader kept in
    /// the log.
    async fn next(&mut self, arrived: &mut Vec<Option<Waiting>>) -> bool {
        while self.erasing {
            let next = self.arrivals.recv_many(arrived, LARGEST_BATCH);
            if let Ok(arrived) = timeout(ERASE_AGAIN, next).await {
                return arrived > 0;
            }
            self.erase_log().await;
        }
        self.arrivals.recv_many(arrived, LARGEST_BATCH).await > 0
    }

    async fn write(&mut self, batch: Vec<Waiting>) {
        let (sets, callers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.set, waiting.answer))
            .unzip();
        let erases = sets.iter().flat_map(|set| &set.changes).any(Change::erases);
        let written = match erases {
            true => self.erasing_transaction(&sets).await,
            false => self.transaction(&sets).await,
        };
        let answers = match written {
            Ok(mut answers) => {
                self.observed(&sets, &mut answers);
                answers
            }
            Err(error) => {
                tracing::error!(%error, changes = sets.len(), "changes were not written");
                self.recover().await;
                let trouble = self.trouble(&error);
                sets.iter().map(|_| Err(trouble.clone())).collect()
            }
        };
        self.erase_log().await;
        for (caller, answer) in callers.into_iter().zip(answers) {
            // The set stays written if its caller was cancelled.
            let _ = caller.send(answer);
        }
    }

    /// Passes the committed sets to the observer, in their order.
    fn observed(&self, sets: &[ChangeSet], answers: &mut [Answer]) {
        let Some(observer) = self.observer() else {
            return;
        };
        for (set, answer) in sets.iter().zip(answers) {
            let Ok(committed) = answer else {
                continue;
            };
            // A panic is a bug, but must not end the writing task.
            let observed = catch_unwind(AssertUnwindSafe(|| observer.committed(set)));
            committed.effects = observed.unwrap_or_else(|_| {
                let (operation, seq) = (&set.audit.operation, committed.audit_seq);
                tracing::error!(%operation, seq, "the effects of a change were not applied: the observer panicked");
                Effects::default()
            });
        }
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        let observer = self.observer.read();
        observer.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes the sets in one transaction that overwrites what it replaces with zeros.
    async fn erasing_transaction(
        &mut self,
        sets: &[ChangeSet],
    ) -> Result<Vec<Answer>, sqlx::Error> {
        self.execute("PRAGMA secure_delete = ON").await?;
        let written = self.transaction(sets).await;
        self.erasing = true;
        if let Err(error) = self.execute("PRAGMA secure_delete = OFF").await {
            tracing::warn!(%error, "changes are still overwritten with zeros, which is slower");
        }
        written
    }

    /// Empties the write-ahead log if it contains something that has to be erased. While a reader
    /// uses the log, SQLite does not; then the task tries again later.
    async fn erase_log(&mut self) {
        if !self.erasing {
            return;
        }
        // Callers must not wait for a reader, for example a backup.
        if self.execute("PRAGMA busy_timeout = 0").await.is_err() {
            return;
        }
        let emptied = sqlx::query_scalar::<_, i64>("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut self.connection)
            .await;
        self.erasing = !matches!(emptied, Ok(0));
        if let Err(error) = self.execute(BUSY_TIMEOUT).await {
            tracing::warn!(%error, "the store does not wait for locks any more");
        }
    }

    /// Writes the sets in one transaction. After an error, none of them is written.
    async fn transaction(&mut self, sets: &[ChangeSet]) -> Result<Vec<Answer>, sqlx::Error> {
        self.execute("BEGIN IMMEDIATE").await?;
        let decided = match self.together(sets).await {
            Ok(()) => sets.iter().map(|_| Ok(())).collect(),
            Err(Failure::Overtaken(_)) => {
                self.execute("ROLLBACK").await?;
                self.execute("BEGIN IMMEDIATE").await?;
                self.one_by_one(sets).await?
            }
            Err(Failure::Trouble(error)) => return Err(error),
        };
        let mut head = self.head;
        let mut entries: Vec<AuditEntry> = Vec::with_capacity(sets.len());
        let mut signatures = Vec::new();
        let observer = self.observer();
        let answers = sets
            .iter()
            .zip(decided)
            .map(|(set, decision)| {
                decision.map(|()| {
                    entries.push(head.append(set.audit.clone()));
                    signatures.extend(observer.as_ref().and_then(|site| signed(site, set, head)));
                    Committed {
                        audit_seq: head.seq,
                        effects: Effects::default(),
                    }
                })
            })
            .collect();
        audit::append(&mut self.connection, &entries).await?;
        audit::sign(&mut self.connection, &signatures).await?;
        self.execute("COMMIT").await?;
        self.head = head;
        Ok(answers)
    }

    /// Writes all sets, each run of them kind by kind. It fails if the decision of one set is no longer valid.
    async fn together(&mut self, sets: &[ChangeSet]) -> Result<(), Failure> {
        for run in batch::runs(sets) {
            run.write(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Writes each set in a savepoint of its own, so that a set whose decision is no longer valid fails alone.
    async fn one_by_one(
        &mut self,
        sets: &[ChangeSet],
    ) -> Result<Vec<Result<(), StoreError>>, sqlx::Error> {
        let mut answers = Vec::with_capacity(sets.len());
        for set in sets {
            self.execute("SAVEPOINT one").await?;
            let answer = self.set(set).await;
            match answer {
                Ok(()) => answers.push(Ok(())),
                Err(Failure::Overtaken(error)) => {
                    self.execute("ROLLBACK TO one").await?;
                    answers.push(Err(error));
                }
                Err(Failure::Trouble(error)) => return Err(error),
            }
            self.execute("RELEASE one").await?;
        }
        Ok(answers)
    }

    async fn set(&mut self, set: &ChangeSet) -> Result<(), Failure> {
        for change in &set.changes {
            ByKind::one(change).write(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Converts an error and adds the path of the file, which helps an operator to free space.
    fn trouble(&self, error: &sqlx::Error) -> StoreError {
        match reads::fault(error) {
            StoreError::Unavailable { problem } => StoreError::Unavailable {
                problem: format!("{}: {problem}", self.file.display()),
            },
            other => other,
        }
    }

    /// Ends the transaction after a failure. After some errors SQLite has already rolled back.
    async fn recover(&mut self) {
        if let Err(error) = self.execute("ROLLBACK").await {
            tracing::debug!(%error, "nothing to roll back");
        }
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(statement)
            .execute(&mut self.connection)
            .await
            .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a panic of the writing task, the process continued and every change failed.
    #[tokio::test]
    async fn the_end_of_the_writing_task_is_reported() {
        let connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let writer = Writer::start(connection, ChainHead::EMPTY, Path::new("site.db"));
        let task = writer.task.lock().await.take().unwrap();
        task.abort();
        writer.ended().await;
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
