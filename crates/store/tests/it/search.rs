//! The words of a search in the file: of an earlier version, after changes by hand, and of many accounts.

use std::path::Path;

use countersign_core::accounts::Kind;
use countersign_core::page::Page;
use countersign_core::store::Accounts;
use countersign_core::text::FullName;
use countersign_store::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

async fn run(file: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(file);
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// The names of people that a search finds, those of damaged accounts too.
async fn search(store: &SqliteStore, text: &str, after: Option<&str>) -> Vec<String> {
    let search = FullName::try_from(text.to_owned()).unwrap().into();
    let after = after.map(str::to_owned);
    let page = Page { after, limit: 3 };
    let found = store.accounts(Kind::Person, &page, Some(&search)).await;
    let names = found.unwrap().into_iter().map(|account| match account {
        Ok(account) => account.name.to_string(),
        Err(damaged) => damaged.name,
    });
    names.collect()
}

/// Adds accounts, as an earlier version wrote them: `prefix` and a number of five digits.
fn added(prefix: &str, count: u32, full_name: &str) -> String {
    format!(
        "WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted LIMIT {count}) \
         INSERT INTO account (id, name, kind, role, full_name, email, state, revision, created, changed) \
         SELECT randomblob(16), format('{prefix}%05d', n), 'person', 'member', '{full_name}', '', \
         'active', 1, 0, 0 FROM counted;"
    )
}

#[tokio::test]
async fn accounts_of_an_earlier_version_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.db");
    SqliteStore::open(&file).await.unwrap().close().await;
    let earlier = format!(
        "DROP TRIGGER a_deleted_account_is_not_found; DROP TRIGGER a_changed_account_is_not_found; \
         DROP TABLE account_word; DELETE FROM _sqlx_migrations WHERE description = 'account_words'; \
         {} {} UPDATE account SET full_name = CAST(x'4cff' AS TEXT) WHERE name = 'tom00001'; {}",
        added("ann", 1, "Anna Lind"),
        added("tom", 2, "Tom Adler"),
        include_str!("../../migrations/0018_person_search.sql"),
    );
    run(&file, &earlier).await;
    let store = SqliteStore::open(&file).await.unwrap();
    assert_eq!(search(&store, "LIND", None).await, ["ann00000"]);
    assert_eq!(search(&store, "tom0", None).await, ["tom00000", "tom00001"]);
    store.close().await;

    // An account that was changed by hand is found by its new texts after the next start.
    run(
        &file,
        "UPDATE account SET full_name = 'Anna Berg' WHERE name = 'ann00000'; \
         DELETE FROM account WHERE name = 'tom00000'",
    )
    .await;
    let store = SqliteStore::open(&file).await.unwrap();
    assert_eq!(search(&store, "lind", None).await, [""; 0]);
    assert_eq!(search(&store, "berg", None).await, ["ann00000"]);
    assert_eq!(search(&store, "tom", None).await, ["tom00001"]);
}

/// A text with which more than 30,000 words begin is searched for in another order.
#[tokio::test]
async fn the_first_of_many_accounts_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.db");
    SqliteStore::open(&file).await.unwrap().close().await;
    let many = [
        added("a", 3, "Zoe Lind"),
        added("b", 15_001, "May Lind-Lind"),
        added("z", 3, "Zoe Lind"),
    ];
    run(&file, &many.concat()).await;
    let store = SqliteStore::open(&file).await.unwrap();
    assert_eq!(
        search(&store, "lind", None).await,
        ["a00000", "a00001", "a00002"]
    );
    let last = search(&store, "lind", Some("b14999")).await;
    assert_eq!(last, ["b15000", "z00000", "z00001"]);
    assert_eq!(
        search(&store, "zoe", Some("a00001")).await,
        ["a00002", "z00000", "z00001"]
    );
    assert_eq!(search(&store, "lind", Some("z00002")).await, [""; 0]);
}
