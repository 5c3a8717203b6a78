//! Makes each write fail that can fail: a set is written completely or not at all, and the store continues.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_core::accounts::State;
use countersign_core::store::{Accounts, Change, ChangeSet, Setting, Settings, Store, StoreError};
use countersign_store::SqliteStore;
use countersign_testkit::contract::{self, person, service, set, verify};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

/// Successive sets with every kind of change of accounts, tickets, devices and settings.
fn script() -> Vec<ChangeSet> {
    let (maria, robot) = (person("maria"), service("robot"));
    let now = maria.created;
    let locked = maria
        .clone()
        .revised(now, |account| account.state = State::Locked);
    let (first, second) = (contract::key(&robot, 1), contract::key(&robot, 2));
    let colour = |value: &str, revision| Change::PutSetting {
        name: "colour",
        setting: Setting {
            value: value.into(),
            revision,
        },
    };
    let revoke = Change::DeleteKey {
        account: robot.id,
        thumbprint: first.thumbprint,
    };
    let delete = Change::DeleteAccount {
        id: robot.id,
        revision: 1,
    };
    let (ticket, phone) = (contract::ticket(&maria, 1), contract::device(&maria, 1));
    [
        vec![Change::InsertAccount(maria.clone()), colour("red", 1)],
        vec![
            Change::InsertAccount(robot),
            Change::InsertKey(first),
            Change::InsertKey(second),
        ],
        vec![
            Change::InsertTicket(ticket.clone()),
            contract::bind(&ticket, &phone),
            Change::InsertDevice(phone.clone()),
        ],
        vec![contract::revoke(&ticket), contract::delete_device(&phone)],
        vec![Change::UpdateAccount(locked), colour("blue", 2)],
        vec![revoke, colour("green", 3)],
        vec![delete, colour("black", 4)],
    ]
    .map(set)
    .into()
}

async fn connect(file: &Path) -> SqliteConnection {
    let file = SqliteConnectOptions::new().filename(file);
    file.connect().await.unwrap()
}

const TABLES: [&str; 8] = [
    "account",
    "account_key",
    "removed_key",
    "enrolment_ticket",
    "device",
    "removed_device_key",
    "setting",
    "audit",
];

/// The rows of all tables that the script writes.
async fn rows(connection: &mut SqliteConnection) -> String {
    let mut all = Vec::new();
    for table in TABLES {
        let columns =
            format!("SELECT group_concat(name, '), quote(') FROM pragma_table_info('{table}')");
        let columns = sqlx::query_scalar::<_, String>(AssertSqlSafe(columns));
        let columns = columns.fetch_one(&mut *connection).await.unwrap();
        let rows =
            format!("SELECT concat_ws(' ', '{table}', quote({columns})) FROM {table} ORDER BY 1");
        let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(rows));
        all.extend(rows.fetch_all(&mut *connection).await.unwrap());
    }
    all.join("\n")
}

/// SQLite refuses one kind of write to one table, as if a page of it could not be written.
#[tokio::test]
async fn a_set_with_a_failed_write_changes_nothing_and_can_be_repeated() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("site.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let mut other = connect(&file).await;
    let mut failed = 0;
    for set in script() {
        let before = rows(&mut other).await;
        for table in TABLES {
            for write in ["INSERT", "UPDATE", "DELETE"] {
                if table == "audit" && write != "INSERT" {
                    continue;
                }
                let fail = format!(
                    "CREATE TRIGGER fault AFTER {write} ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END"
                );
                let fail = sqlx::raw_sql(AssertSqlSafe(fail));
                fail.execute(&mut other).await.unwrap();
                let meant = write_of(&set, table, write);
                let answer = match meant {
                    true => Some(store.commit(set.clone()).await),
                    false => None,
                };
                let mend = sqlx::raw_sql("DROP TRIGGER fault");
                mend.execute(&mut other).await.unwrap();
                if let Some(answer) = answer {
                    let trouble = matches!(answer, Err(StoreError::Unavailable { .. }));
                    assert!(trouble, "{write} of {table}: {answer:?}");
                    assert_eq!(rows(&mut other).await, before, "{write} of {table}");
                    failed += 1;
                }
            }
        }
        store.commit(set).await.unwrap();
        assert_ne!(rows(&mut other).await, before);
    }
    assert_eq!(failed, 26, "each write of the script failed once");
    assert_eq!(verify(&store).await, 7);
}

/// Whether the set has that kind of write to the table.
fn write_of(set: &ChangeSet, table: &str, write: &str) -> bool {
    set.changes.iter().any(|change| match change {
        Change::InsertAccount(_) => (table, write) == ("account", "INSERT"),
        Change::UpdateAccount(_) => (table, write) == ("account", "UPDATE"),
        Change::DeleteAccount { .. } => {
            let writes = [
                ("account", "DELETE"),
                ("account_key", "DELETE"),
                ("removed_key", "INSERT"),
            ];
            writes.contains(&(table, write))
        }
        Change::InsertKey(_) => (table, write) == ("account_key", "INSERT"),
        Change::DeleteKey { .. } => {
            [("account_key", "DELETE"), ("removed_key", "INSERT")].contains(&(table, write))
        }
        Change::InsertTicket(_) => (table, write) == ("enrolment_ticket", "INSERT"),
        Change::BindTicket { .. } | Change::RevokeTicket { .. } => {
            (table, write) == ("enrolment_ticket", "UPDATE")
        }
        Change::InsertDevice(_) => (table, write) == ("device", "INSERT"),
        Change::DeleteDevice { .. } => {
            [("device", "DELETE"), ("removed_device_key", "INSERT")].contains(&(table, write))
        }
        Change::PutSetting { setting, .. } => {
            let way = if setting.revision == 1 {
                "INSERT"
            } else {
                "UPDATE"
            };
            (table, write) == ("setting", way)
        }
        _ => false,
    }) || (table, write) == ("audit", "INSERT")
}

/// The environment variable with the store's folder, for the process with a file size limit.
const FOLDER: &str = "COUNTERSIGN_TEST_FOLDER";
const SETS: u64 = 12;

/// Creates persons one by one, each with a setting that counts them, and records acknowledged ones.
#[tokio::test]
#[ignore = "the test below runs it in a process with a file size limit"]
async fn writes_what_it_can() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let mut noted = std::fs::File::create(folder.join("acknowledged")).unwrap();
    let store = SqliteStore::open(&folder.join("site.db")).await.unwrap();
    for at in 0..SETS {
        let count = store.setting("count").await.unwrap();
        let setting = Setting {
            value: Vec::new(),
            revision: count.map_or(0, |count| count.revision) + 1,
        };
        let changes = vec![
            Change::InsertAccount(person(&format!("person-{at}"))),
            Change::PutSetting {
                name: "count",
                setting,
            },
        ];
        match store.commit(set(changes)).await {
            Ok(_) => writeln!(noted, "{at}").unwrap(),
            Err(error) => assert!(matches!(error, StoreError::Unavailable { .. }), "{error}"),
        }
    }
}

/// The disk is full after a number of KiB: a write in the middle of a set fails, and all later ones too.
#[tokio::test]
async fn a_disk_that_is_full_at_any_point_leaves_complete_sets() {
    let mut cut_short = 0;
    for limit in (33..=121).step_by(8) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("site.db");
        SqliteStore::open(&file).await.unwrap().close().await;
        let limited = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let child = Command::new("bash")
            .args(["-c", &limited])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "disk::writes_what_it_can", "--ignored"])
            .env(FOLDER, folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{limit} KiB: {said}");
        let noted = std::fs::read_to_string(folder.path().join("acknowledged")).unwrap();
        let store = SqliteStore::open(&file).await.unwrap();
        let mut persons = 0;
        for at in 0..SETS {
            let name = person(&format!("person-{at}")).name;
            let there = store.account_by_name(&name).await.unwrap().is_some();
            let acknowledged = noted.lines().any(|line| line == at.to_string());
            assert!(there || !acknowledged, "{limit} KiB: {name} was lost");
            persons += u64::from(there);
        }
        let count = store.setting("count").await.unwrap();
        assert_eq!(count.map_or(0, |count| count.revision), persons);
        assert_eq!(verify(&store).await, persons, "{limit} KiB");
        let behind = vec![Change::InsertAccount(person("behind"))];
        store.commit(set(behind)).await.unwrap();
        cut_short += u64::from(persons < SETS);
    }
    assert!(cut_short > 3, "the limits are too high");
}
