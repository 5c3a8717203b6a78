//! Both ticket stores: concurrent insertions, limits and files.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_crypto::secret::Secret;
use countersign_http_auth::{
    Insertion, Limits, MemoryTickets, OpenedTicket, RequestName, SqliteTickets, TicketStore,
};
use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::message::Nonce;
use serde_json::value::RawValue;
use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnectOptions;

use super::world::{A, C, HOUR, SECOND};

pub(super) const NOW: u64 = 1_800_000_000_000;
/// Concurrent callers, as many as a busy provider has.
const RACERS: usize = 512;

pub(super) fn id(number: usize) -> Nonce {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Nonce(id)
}

fn ticket(number: usize) -> OpenedTicket {
    ticket_of(A, number)
}

pub(super) fn ticket_of(application: &str, number: usize) -> OpenedTicket {
    OpenedTicket {
        credentials: Credentials {
            application: application.to_owned(),
            id: id(number),
            secret: Secret::from_bytes([7; 32]),
            expires: NOW + HOUR,
        },
        auth_data: RawValue::from_string("null".to_owned()).unwrap().into(),
    }
}

pub(super) fn name(number: usize) -> RequestName {
    RequestName::new(id(number), "nonce")
}

/// Both stores, empty.
pub(super) async fn stores(
    folder: &tempfile::TempDir,
    limits: Limits,
) -> [Arc<dyn TicketStore>; 2] {
    let file = folder.path().join("tickets.db");
    let sqlite = SqliteTickets::open(&file, limits).await.unwrap();
    [Arc::new(MemoryTickets::new(limits)), Arc::new(sqlite)]
}

/// Inserts each entry twice, by neighbouring callers. Returns how often each entry was new.
async fn race<F>(all: usize, come: impl Fn(usize) -> F + Clone + Send + 'static) -> Vec<usize>
where
    F: Future<Output = Insertion> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let first: Arc<Vec<AtomicUsize>> = Arc::new((0..all).map(|_| AtomicUsize::new(0)).collect());
    let racers = (0..RACERS).map(|_| {
        let (next, first, come) = (next.clone(), first.clone(), come.clone());
        tokio::spawn(async move {
            while let number = next.fetch_add(1, Ordering::Relaxed) / 2
                && let Some(first) = first.get(number)
            {
                match come(number).await {
                    Insertion::New => drop(first.fetch_add(1, Ordering::Relaxed)),
                    Insertion::Replayed => {}
                    refused => panic!("there is room, and none is void: {refused:?}"),
                }
            }
        })
    });
    for racer in racers.collect::<Vec<_>>() {
        racer.await.unwrap();
    }
    let counts = first.iter().map(|first| first.load(Ordering::Relaxed));
    counts.collect()
}

// BRK-9 BRK-13
#[tokio::test(flavor = "multi_thread")]
async fn of_two_concurrent_insertions_exactly_one_is_new() {
    let folder = tempfile::tempdir().unwrap();
    // All entries belong to one application, which may have at most half of the store.
    let limits = Limits {
        tickets: 200_000,
        requests: 200_000,
    };
    let stores = stores(&folder, limits).await;
    // The second store syncs each batch to disk, so it gets fewer entries.
    for (store, all) in stores.into_iter().zip([100_000, 20_000]) {
        let presented = store.clone();
        let accepted = race(all, move |number| {
            let store = presented.clone();
            async move { store.insert_ticket(ticket(number), NOW, NOW).await.unwrap() }
        });
        assert!(accepted.await.into_iter().all(|accepted| accepted == 1));
        let accepted = race(all, move |number| {
            let store = store.clone();
            async move {
                store
                    .insert_request(name(number), A, NOW, NOW)
                    .await
                    .unwrap()
            }
        });
        assert!(accepted.await.into_iter().all(|accepted| accepted == 1));
    }
}

#[tokio::test]
async fn a_stored_ticket_is_found_until_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder, Limits::default()).await {
        assert!(store.ticket(id(1)).await.unwrap().is_none());
        let stored = ticket(1);
        assert_eq!(
            store.insert_ticket(stored.clone(), NOW, NOW).await,
            Ok(Insertion::New)
        );
        let found = store.ticket(id(1)).await.unwrap().unwrap();
        assert_eq!(found.credentials.secret, stored.credentials.secret);
        assert_eq!(found.credentials.application, "billing");
        assert_eq!(found.credentials.expires, NOW + HOUR);
        assert_eq!(found.auth_data.get(), "null");
        assert!(store.ticket(id(2)).await.unwrap().is_none());
        // It stays a minute longer than its lifetime, in case the clock is set back.
        let end = NOW + HOUR + 60 * SECOND;
        assert_eq!(
            store.insert_ticket(stored.clone(), NOW, end).await,
            Ok(Insertion::Replayed)
        );
        assert_eq!(
            store.insert_ticket(ticket(2), NOW, end + 10 * SECOND).await,
            Ok(Insertion::New)
        );
        assert!(store.ticket(id(1)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_full_store_evicts_no_unexpired_entry() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        tickets: 4,
        requests: 4,
    };
    for store in stores(&folder, limits).await {
        for number in 0..2 {
            assert_eq!(
                store.insert_ticket(ticket(number), NOW, NOW).await,
                Ok(Insertion::New)
            );
            assert_eq!(
                store.insert_request(name(number), A, NOW, NOW).await,
                Ok(Insertion::New)
            );
        }
        assert_eq!(
            store.insert_ticket(ticket(2), NOW, NOW).await,
            Ok(Insertion::Full)
        );
        assert_eq!(
            store.insert_request(name(2), A, NOW, NOW).await,
            Ok(Insertion::Full)
        );
        for number in 0..2 {
            assert!(store.ticket(id(number)).await.unwrap().is_some());
            let again = store.insert_request(name(number), A, NOW, NOW).await;
            assert_eq!(again, Ok(Insertion::Replayed));
            assert_eq!(
                store.insert_ticket(ticket(number), NOW, NOW).await,
                Ok(Insertion::Replayed)
            );
        }
        let later = NOW + 2 * HOUR;
        assert_eq!(
            store.insert_ticket(ticket(2), NOW, later).await,
            Ok(Insertion::New)
        );
        assert_eq!(
            store.insert_request(name(2), A, later, later).await,
            Ok(Insertion::New)
        );
    }
}

/// Regression: one application could fill the store, and all others were rejected until its tickets
/// expired.
#[tokio::test]
async fn each_application_has_a_share_and_the_next_one_finds_room() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        tickets: 10,
        requests: 10,
    };
    for store in stores(&folder, limits).await {
        let all = (0..).map(|number| {
            let store = &store;
            let of = format!("application {number}");
            async move {
                let mut stored = [0, 0];
                // The numbers of different applications do not overlap.
                for entry in number * 100.. {
                    let ticket = store
                        .insert_ticket(ticket_of(&of, entry), NOW, NOW)
                        .await
                        .unwrap();
                    let request = store
                        .insert_request(name(entry), &of, NOW, NOW)
                        .await
                        .unwrap();
                    stored[0] += usize::from(ticket == Insertion::New);
                    stored[1] += usize::from(request == Insertion::New);
                    if (ticket, request) == (Insertion::Full, Insertion::Full) {
                        break;
                    }
                }
                stored
            }
        });
        let mut shares = Vec::new();
        for share in all.take(5) {
            shares.push(share.await);
        }
        // Each gets half of what is free.
        assert_eq!(shares, [[5, 5], [3, 3], [1, 1], [1, 1], [0, 0]]);
        // Expired entries make room, and unexpired ones are still known.
        let later = NOW + 2 * HOUR;
        let of_first = store
            .insert_request(name(0), "application 0", NOW, NOW)
            .await;
        assert_eq!(of_first, Ok(Insertion::Replayed));
        let next = store.insert_ticket(ticket_of(C, 0), NOW, later).await;
        assert_eq!(next, Ok(Insertion::New));
    }
}

/// Regression: another program's file was rejected only after its mode and its journal had been
/// changed.
#[tokio::test]
async fn another_programs_file_is_rejected_and_unchanged() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let state = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut files: Vec<_> = files
            .map(|file| {
                let file = file.unwrap();
                let mode = file.metadata().unwrap().permissions().mode();
                (file.file_name(), mode, std::fs::read(file.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    };
    let make = async |name: &str, statements: &'static str| {
        let file = folder.path().join(name);
        let options = SqliteConnectOptions::new().filename(&file);
        let mut connection = options.create_if_missing(true).connect().await.unwrap();
        sqlx::raw_sql(statements)
            .execute(&mut connection)
            .await
            .unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        connection
    };
    // Files with tables and no application id, with another id, and with all data in the log.
    let tables = make("tables.db", "CREATE TABLE theirs (a)").await;
    let marked = make(
        "marked.db",
        "PRAGMA application_id = 7; CREATE TABLE theirs (a)",
    )
    .await;
    let log = make(
        "log.db",
        "PRAGMA journal_mode = WAL; CREATE TABLE theirs (a)",
    )
    .await;
    for closed in [tables, marked] {
        closed.close().await.unwrap();
    }
    std::fs::write(folder.path().join("text.db"), "x".repeat(1_000)).unwrap();
    std::fs::write(folder.path().join("short.db"), "x").unwrap();
    let before = state();
    for name in [
        "tables.db",
        "marked.db",
        "log.db",
        "text.db",
        "short.db",
        "",
    ] {
        let file = folder.path().join(name);
        let refused = SqliteTickets::open(&file, Limits::default()).await;
        let problem = refused.err().unwrap().to_string();
        assert!(problem.contains("not a file of tickets"), "{problem}");
    }
    assert_eq!(state(), before);
    drop(log);
}

/// Schema version 0 did not store the application of a request, and version 1 no times of void tickets.
/// Version 2 deleted these after a day and had no index of tickets by application.
#[tokio::test]
async fn an_older_schema_is_upgraded_and_a_newer_one_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let open = async || SqliteTickets::open(&file, Limits::default()).await;
    let store = open().await.unwrap();
    store.insert_request(name(1), A, NOW, NOW).await.unwrap();
    store.insert_ticket(ticket(1), NOW, NOW).await.unwrap();
    drop(store);
    let change = async |statements: &'static str| {
        let options = SqliteConnectOptions::new().filename(&file);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(statements)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    };
    open()
        .await
        .unwrap()
        .void_tickets(Some(C), NOW)
        .await
        .unwrap();
    change(
        "DROP INDEX ticket_application; \
         ALTER TABLE void ADD COLUMN until INTEGER NOT NULL DEFAULT 0; PRAGMA user_version = 2",
    )
    .await;
    let store = open().await.unwrap();
    assert_eq!(store.void_until(C).await, Ok(NOW));
    store.void_tickets(Some(A), NOW).await.unwrap();
    drop(store);
    change("DROP INDEX ticket_application; DROP TABLE void; PRAGMA user_version = 1").await;
    let store = open().await.unwrap();
    assert_eq!(store.void_until(A).await, Ok(0));
    assert!(store.ticket(id(1)).await.unwrap().is_some());
    drop(store);
    change(
        "DROP INDEX ticket_application; DROP TABLE void; \
         ALTER TABLE request DROP COLUMN application; PRAGMA user_version = 0",
    )
    .await;
    let store = open().await.unwrap();
    store.void_tickets(Some(C), NOW).await.unwrap();
    assert_eq!(store.void_until(C).await, Ok(NOW));
    assert_eq!(
        store.insert_request(name(1), A, NOW, NOW).await,
        Ok(Insertion::Replayed)
    );
    assert_eq!(
        store.insert_request(name(2), A, NOW, NOW).await,
        Ok(Insertion::New)
    );
    assert!(store.ticket(id(1)).await.unwrap().is_some());
    drop(store);
    change("PRAGMA user_version = 4").await;
    assert!(open().await.err().unwrap().to_string().contains("newer"));
}

#[tokio::test]
async fn the_files_have_mode_0600_and_two_processes_share_them() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    std::fs::write(&file, "").unwrap();
    let open = async || SqliteTickets::open(&file, Limits::default()).await;
    let store = open().await.unwrap();
    store.insert_ticket(ticket(1), NOW, NOW).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let metadata = file.unwrap().metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    // A second opening sees the entries of the first.
    assert_eq!(
        open()
            .await
            .unwrap()
            .insert_ticket(ticket(1), NOW, NOW)
            .await,
        Ok(Insertion::Replayed)
    );

    let other = folder.path().join("other.db");
    std::fs::write(&other, "x".repeat(1_000)).unwrap();
    assert!(
        SqliteTickets::open(&other, Limits::default())
            .await
            .is_err()
    );
    assert_eq!(std::fs::read(&other).unwrap(), [b'x'; 1_000]);
}
