//! Measures durable changes per second with one and with many writers, and the time of a login's lookup.
//!
//! `cargo run --release -p countersign-store --example durable_changes [ACCOUNTS]`

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "a measurement: it reads the clock, prints, and stops when something fails"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::access::{Channel, Role};
use countersign_core::accounts::{
    Account, CredentialId, Kind, PASSPHRASE_VERSION, PassphraseCredential, PassphraseSuite, State,
};
use countersign_core::audit::{Actor, AuditDraft, AuditOutcome};
use countersign_core::id::AccountId;
use countersign_core::store::{Change, ChangeSet, Store};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::passphrase::SetupId;
use countersign_store::SqliteStore;
use tokio::task::JoinSet;

const MEASURED: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let accounts = std::env::args()
        .nth(1)
        .map_or(0, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("site.db"))
        .await
        .unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    if accounts > 0 {
        fill(&store, accounts).await;
        look_up(&store, accounts).await;
    }
    // Several rounds, because the load of the machine varies.
    for _ in 0..3 {
        let one = changes(&store, 1).await;
        println!("   1 writer:  {one:>8.0} durable changes/s");
        for writers in [8, 64, 256] {
            let rate = changes(&store, writers).await;
            let gain = rate / one;
            println!("{writers:>4} writers: {rate:>8.0} durable changes/s ({gain:.1} x)");
        }
    }
}

/// Creates persons for a while. Returns their number per second.
async fn changes(store: &Arc<dyn Store>, writers: usize) -> f64 {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..writers {
        let store = Arc::clone(store);
        running.spawn(async move {
            let mut count = 0_u32;
            while begun.elapsed() < MEASURED {
                let [a, b, c, d] = fresh(&mut SystemEntropy);
                let [e, f, g, h] = fresh(&mut SystemEntropy);
                let name = format!("p{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]));
                store.commit(person(&name)).await.unwrap();
                count += 1;
            }
            count
        });
    }
    let count: u32 = running.join_all().await.iter().sum();
    f64::from(count) / begun.elapsed().as_secs_f64()
}

async fn fill(store: &Arc<dyn Store>, accounts: u32) {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for lane in 0..256 {
        let store = Arc::clone(store);
        running.spawn(async move {
            for at in (lane..accounts).step_by(256) {
                store.commit(person(&filled(at))).await.unwrap();
            }
        });
    }
    running.join_all().await;
    println!(
        "{accounts} accounts in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

async fn look_up(store: &Arc<dyn Store>, accounts: u32) {
    let mut times = Vec::new();
    for at in 0..20_000_u32 {
        let name = filled(at.wrapping_mul(2_654_435_761) % accounts)
            .parse()
            .unwrap();
        let begun = Instant::now();
        assert!(store.passphrase_login(&name).await.unwrap().is_some());
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).unwrap();
    println!("login lookup: median {:?}, p99 {:?}", at(0.5), at(0.99));
}

/// Names in random order.
fn filled(at: u32) -> String {
    format!("p{:08x}", at.wrapping_mul(2_654_435_761))
}

fn person(name: &str) -> ChangeSet {
    let now = Timestamp::from_millis(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis() as i64,
    );
    let account = Account {
        id: AccountId::new(now, &mut SystemEntropy),
        name: name.parse().unwrap(),
        kind: Kind::Person,
        role: Role::Member,
        full_name: "Sample Person".to_owned(),
        email: "sample@example.org".to_owned(),
        state: State::Active,
        revision: 1,
        created: now,
        changed: now,
    };
    let credential = PassphraseCredential {
        account: account.id,
        version: PASSPHRASE_VERSION,
        suite: PassphraseSuite::OpaqueRistretto255,
        setup: SetupId::from_bytes([1; 8]),
        credential_id: CredentialId(*account.id.as_bytes()),
        record: vec![1; 192],
        sealed_identity: vec![1; 768],
        certificate: None,
        changed: now,
    };
    let audit = AuditDraft {
        time: now,
        actor: Actor {
            account: None,
            name: "local admin".to_owned(),
        },
        channel: Channel::AdminSocket,
        operation: "person.load".to_owned(),
        target: Some(name.to_owned()),
        outcome: AuditOutcome::Done,
        details: "{}".to_owned(),
    };
    let changes = vec![
        Change::InsertAccount(account),
        Change::PutPassphrase(credential),
    ];
    ChangeSet::new(changes, audit)
}
