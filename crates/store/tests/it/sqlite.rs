//! Properties of the SQLite file: contract, foreign files, versions, damage.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::store::{Store, StoreError};
use countersign_crypto::hash::sha256;
use countersign_store::{Inspection, OpenError, SqliteStore};
use countersign_testkit::contract::{self, StoreUnderTest};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("site.db")
    }

    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        options.create_if_missing(true).connect().await.unwrap()
    }

    async fn run(&self, statements: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// Changes rows of the audit log, after dropping the triggers that prevent it.
    async fn tamper(&self, statement: &str) {
        let open = "DROP TRIGGER audit_is_not_altered; DROP TRIGGER audit_is_not_shortened;";
        self.run(&format!("{open} {statement}")).await;
    }

    async fn refusal(&self) -> OpenError {
        let Err(error) = SqliteStore::open(&self.path()).await else {
            panic!("the store opened");
        };
        error
    }
}

#[async_trait]
impl StoreUnderTest for File {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.path()).await.unwrap())
    }

    async fn alter_audit(&self, seq: u64) {
        self.tamper(&format!(
            "UPDATE audit SET target = 'other' WHERE seq = {seq}"
        ))
        .await;
    }

    async fn remove_audit(&self, seq: u64) {
        self.tamper(&format!("DELETE FROM audit WHERE seq = {seq}"))
            .await;
    }
}

countersign_testkit::keeps_the_contract!(File::new());

#[tokio::test]
async fn the_audit_log_refuses_updates_and_deletions() {
    let file = File::new();
    let _store = file.open().await;
    let mut connection = file.connect().await;
    sqlx::raw_sql(
        "INSERT INTO audit VALUES (1, 0, NULL, '', 'site', '', NULL, 'done', '{}', zeroblob(32), \
         zeroblob(32))",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    for mistake in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"] {
        let refused = sqlx::query(mistake).execute(&mut connection).await;
        assert!(refused.unwrap_err().to_string().contains("append-only"));
    }
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let file = File::new();
    let store = SqliteStore::open(&file.path()).await.unwrap();
    store.close().await;
    let refused = contract::commit_nothing(&store).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_not_changed() {
    let file = File::new();
    let letter = "Dear Maria, this is no database. ".repeat(200);
    std::fs::write(file.path(), &letter).unwrap();
    assert!(matches!(file.refusal().await, OpenError::NotOurs { .. }));
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), letter);
}

#[tokio::test]
async fn a_database_of_another_program_is_not_changed() {
    let file = File::new();
    file.run("CREATE TABLE recipes (title TEXT)").await;
    assert!(matches!(file.refusal().await, OpenError::NotOurs { .. }));
}

/// A file of another program was opened before it was checked: SQLite applied and removed its write-ahead log,
/// and rolled back an interrupted transaction.
#[tokio::test]
async fn the_log_of_another_programs_database_is_not_changed() {
    let fill = "CREATE TABLE recipes (title TEXT); INSERT INTO recipes VALUES ('cake')";
    let more = "INSERT INTO recipes VALUES ('bread')";
    // More pages than the cache holds: some are written before the transaction ends.
    let half = "PRAGMA cache_size = 1; BEGIN; \
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99) \
                INSERT INTO recipes SELECT hex(randomblob(900)) FROM n";
    for (mode, last, suffix) in [("WAL", more, "-wal"), ("DELETE", half, "-journal")] {
        let file = File::new();
        let mut other = file.connect().await;
        for statements in [&*format!("PRAGMA journal_mode = {mode}"), fill, last] {
            let statements = AssertSqlSafe(statements.to_owned());
            sqlx::raw_sql(statements).execute(&mut other).await.unwrap();
        }
        // As a crash leaves them.
        let crashed = File::new();
        let all = |of: &File| {
            let log = format!("{}{suffix}", of.path().display());
            (std::fs::read(of.path()).unwrap(), std::fs::read(log).ok())
        };
        let (database, log) = all(&file);
        std::fs::write(crashed.path(), &database).unwrap();
        let crashed_log = format!("{}{suffix}", crashed.path().display());
        std::fs::write(crashed_log, log.as_ref().unwrap()).unwrap();
        assert!(matches!(crashed.refusal().await, OpenError::NotOurs { .. }));
        let inspected = Inspection::of(&crashed.path()).await;
        assert!(matches!(inspected, Err(OpenError::NotOurs { .. })));
        assert!(all(&crashed) == (database, log), "{mode}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_not_changed() {
    let file = File::new();
    let store = SqliteStore::open(&file.path()).await.unwrap();
    store.close().await;
    // A newer version may use another journal mode.
    file.run("PRAGMA journal_mode = DELETE").await;
    file.run(
        "INSERT INTO _sqlx_migrations VALUES (99, 'newer', CURRENT_TIMESTAMP, true, x'00', 0)",
    )
    .await;
    let error = file.refusal().await;
    assert!(matches!(error, OpenError::Newer { layout: 99, .. }));
    assert!(error.to_string().contains("newer version"));
    let mut connection = file.connect().await;
    let mode = sqlx::query_scalar("PRAGMA journal_mode");
    let mode: String = mode.fetch_one(&mut connection).await.unwrap();
    assert_eq!(mode, "delete", "the journal mode is unchanged");
}

/// Backups of a layout with the former name of a column were reported as damaged, and could not be restored.
#[tokio::test]
async fn a_file_of_an_earlier_layout_is_inspected_and_opened() {
    let file = File::new();
    let store = SqliteStore::open(&file.path()).await.unwrap();
    contract::commit_nothing(&store).await.unwrap();
    contract::commit_nothing(&store).await.unwrap();
    store.close().await;
    let later = file.path().with_file_name("later.db");
    std::fs::rename(file.path(), &later).unwrap();
    file.run(concat!(
        "PRAGMA application_id = 0x4353676e;",
        include_str!("../../migrations/0001_site.sql"),
        include_str!("../../migrations/0002_delivered_key.sql"),
        include_str!("../../migrations/0003_application.sql"),
        include_str!("../../migrations/0004_bound.sql"),
    ))
    .await;
    file.run(&format!(
        "ATTACH '{}' AS later; \
         CREATE TABLE _sqlx_migrations AS SELECT * FROM later._sqlx_migrations WHERE version <= 4; \
         INSERT INTO audit SELECT * FROM later.audit",
        later.display()
    ))
    .await;

    let inspection = Inspection::of(&file.path()).await.unwrap();
    assert_eq!((inspection.layout, inspection.head.seq), (4, 2));
    assert_eq!(inspection.broken, None);
    assert!(inspection.flaws.is_empty(), "{:?}", inspection.flaws);
    inspection.close().await;

    let store = SqliteStore::open(&file.path()).await.unwrap();
    assert_eq!(contract::verify(&store).await, 2);
}

/// The file has the digest of each applied migration. After a migration was edited, every older site was
/// reported as damaged.
#[test]
fn a_released_migration_is_never_changed() {
    for (layout, digest) in [
        (
            include_str!("../../migrations/0001_site.sql"),
            "b55a494a0e08eff63a167d49f000db1db7cb5d85217e28f7aaf3a8ae2a391fc9",
        ),
        (
            include_str!("../../migrations/0002_delivered_key.sql"),
            "f6a9e6674df88c8a5ed52070c36f0a4e925d2d5272d77f82ce8d75d89d027dcf",
        ),
        (
            include_str!("../../migrations/0003_application.sql"),
            "1922ef2046b97a0fdc59490f48013d5bda30acbe36e021e2031ca5b910c253d1",
        ),
        (
            include_str!("../../migrations/0004_bound.sql"),
            "c431f5966a7308a16c08c7fab84cdd83c58b161f05abccf91b5bc54c0999c8c1",
        ),
        (
            include_str!("../../migrations/0005_channel.sql"),
            "73404bc630b811b66e26c8ba8623a2a6ccf7a210e2d56ca176c71063471bda80",
        ),
    ] {
        let found = sha256(layout.as_bytes()).map(|byte| format!("{byte:02x}"));
        assert_eq!(found.concat(), digest, "{layout:.60}");
    }
}

#[tokio::test]
async fn a_damaged_database_is_not_used() {
    let file = File::new();
    let store = SqliteStore::open(&file.path()).await.unwrap();
    store.close().await;
    let mut bytes = std::fs::read(file.path()).unwrap();
    for byte in bytes.iter_mut().skip(100).take(4000) {
        *byte = 0xff;
    }
    std::fs::write(file.path(), bytes).unwrap();
    let error = file.refusal().await;
    assert!(
        matches!(error, OpenError::Damaged { .. } | OpenError::NotOurs { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_folder_is_reported() {
    let path = PathBuf::from("/nonexistent/folder/site.db");
    let Err(error) = SqliteStore::open(&path).await else {
        panic!("the store opened");
    };
    assert!(matches!(error, OpenError::NotWritable { .. }));
    assert!(error.to_string().contains("/nonexistent/folder/site.db"));
}
