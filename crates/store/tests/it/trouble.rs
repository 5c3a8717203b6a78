//! A site with a damaged file or a full disk.

use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::{Decision, NewSession, NewSite, Parts, Site};
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::sessions::Proof;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::PartyKey;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile};
use countersign_proto::operation::{Code, Operation};
use countersign_proto::session::{EncryptionOption, Strength};
use countersign_store::SqliteStore;
use countersign_testkit::harness;
use futures_util::FutureExt;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use crate::sealed_data::execute;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

pub(crate) struct TestSite {
    pub(crate) site: Site,
    folder: TempDir,
}

impl TestSite {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("site.db")).await;
        let slot = SlotFile::generate(&mut SystemEntropy);
        let new_site = NewSite {
            zone: "example.org".parse().unwrap(),
            slots: &[NewSlot::File(&slot)],
            next_slots: &[NewSlot::File(&slot)],
        };
        let parts = Parts {
            store: Arc::new(store.unwrap()),
            table: operations::table().unwrap(),
            entropy: Box::new(SystemEntropy),
            offer: Offer::default(),
            floor: Strength::Delivered,
        };
        let site = Site::create(parts, new_site, NOW).await.unwrap();
        Self { site, folder }
    }

    async fn database(&self) -> SqliteConnection {
        let file = SqliteConnectOptions::new().filename(self.folder.path().join("site.db"));
        file.connect().await.unwrap()
    }

    pub(crate) async fn admin(&self, name: &str, params: Value) -> Value {
        let (code, data) = run(&self.site, &Caller::admin_socket(), name, params).await;
        assert_eq!(code, Code::SUCCESS, "{name}: {data}");
        data
    }

    async fn refused(&self, name: &str, params: Value) -> (Code, Value) {
        let (code, data) = run(&self.site, &Caller::admin_socket(), name, params).await;
        assert_ne!(code, Code::SUCCESS, "{name}: {data}");
        (code, data)
    }

    /// Creates a person and opens a session for them.
    async fn session(&self, name: &str) -> Caller {
        let created = self.admin("person.create", json!({ "name": name })).await;
        let opening = NewSession {
            account: created["id"].as_str().unwrap().parse().unwrap(),
            proof: Proof::Passphrase,
            credential: None,
            option: EncryptionOption::HybridAes256Gcm,
            peer: "192.0.2.7:1234".to_owned(),
            cut: Box::new(|_| {}),
            max_sessions: 1_000,
        };
        let Decision::Opened(info) = self.site.open_session(opening, NOW).await.unwrap() else {
            panic!("no session");
        };
        info.caller()
    }
}

async fn run(site: &Site, caller: &Caller, name: &str, params: Value) -> (Code, Value) {
    let (group, command) = name.split_once('.').unwrap();
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let operation = Operation::new(7, group, command, params);
    let outcome = site.run(caller, &operation, NOW).await;
    let data = serde_json::from_str(outcome.data.get()).unwrap();
    (outcome.code, data)
}

async fn register(test: &TestSite, id: &str, settings: Value) -> Value {
    let identity = Identity::generate(&mut SystemEntropy);
    let key = PartyKey::new(Arc::new(identity)).public().to_pem();
    let params = json!({ "id": id, "public_keys": [key], "settings": settings });
    test.admin("app.create", params).await
}

/// Changes the database directly.
pub(crate) async fn damage(test: &TestSite, statement: &'static str) {
    let mut database = test.database().await;
    for statement in ["PRAGMA ignore_check_constraints = ON", statement] {
        let done = sqlx::query(statement).execute(&mut database).await;
        done.unwrap();
    }
}

/// With one damaged row, no account was listed, and the row could not be deleted.
#[tokio::test]
async fn a_damaged_account_is_listed_apart_and_can_be_deleted() {
    let test = TestSite::new().await;
    for name in ["ada", "bob", "maria", "zoe"] {
        test.admin("person.create", json!({ "name": name })).await;
    }
    for name in ["press", "robot"] {
        test.admin("service.create", json!({ "name": name })).await;
    }
    register(&test, "billing", json!({ "service": "robot" })).await;
    for statement in [
        "UPDATE account SET state = 'lokced' WHERE name = 'bob@example.org'",
        "UPDATE account SET kind = 'persom' WHERE name = 'maria@example.org'",
        "UPDATE account SET name = 'zo e@example.org' WHERE name = 'zoe@example.org'",
        "UPDATE account SET revision = -1 WHERE name = 'robot@example.org'",
    ] {
        damage(&test, statement).await;
    }
    let names = async |group: &str| {
        let listed = test.admin(&format!("{group}.list"), json!({})).await;
        let names = |list: &str| {
            let entries = listed[list].as_array().cloned().unwrap_or_default();
            let names = entries.iter().map(|entry| entry["name"].as_str().unwrap());
            names.collect::<Vec<_>>().join(", ")
        };
        (names("entries"), names("damaged"))
    };
    let pair = |sound: &str, damaged: &str| (sound.to_owned(), damaged.to_owned());
    assert_eq!(
        names("person").await,
        pair(
            "ada@example.org",
            "bob@example.org, maria@example.org, zo e@example.org"
        )
    );
    assert_eq!(
        names("service").await,
        pair("press@example.org", "robot@example.org")
    );
    let first = test.admin("person.list", json!({ "limit": 2 })).await;
    assert_eq!(first["next"], "bob@example.org");
    let second = json!({ "limit": 2, "after": "bob" });
    let second = test.admin("person.list", second).await;
    assert_eq!(second["damaged"][1]["name"], "zo e@example.org");
    test.admin("app.list", json!({})).await;

    // The operation for services does not delete a person.
    test.refused("person.delete", json!({ "name": "robot" }))
        .await;
    for name in ["bob", "maria", "zo e@example.org"] {
        test.admin("person.delete", json!({ "name": name })).await;
    }
    test.admin("service.delete", json!({ "name": "robot" }))
        .await;
    assert_eq!(names("person").await, pair("ada@example.org", ""));
    assert_eq!(names("service").await, pair("press@example.org", ""));
    let shown = test.admin("app.show", json!({ "id": "billing" })).await;
    assert!(shown["service"].is_null(), "{shown}");
    let again = test.refused("person.delete", json!({ "name": "bob" }));
    assert_eq!(again.await.0, Code::NOT_FOUND);
    test.admin("person.create", json!({ "name": "bob" })).await;
}

/// With one damaged row of a peer, `peer list`, `peer doctor` and `audit verify` failed as a whole, `site
/// doctor` did not say which peer it was, and neither messages nor heads were sent to the other peers.
#[tokio::test]
async fn a_damaged_peer_is_named_beside_the_others_and_can_be_forgotten() {
    let test = harness::TestSite::builder().file().build().await;
    test.takes_enrolments();
    let transport = harness::TestPeer::new("any.example");
    test.site.connect_peers_with(Arc::new(transport));
    test.admin("person.create", json!({ "name": "ada" })).await;
    test.admin("peer.start", json!({})).await;
    test.peer("ada").await;
    let sound = harness::TestPeer::new("c.example");
    let sound = test.joined_by(sound, "ada").await.known().id().to_string();
    execute(
        &test,
        "UPDATE peer SET document = '{' WHERE zone = 'b.example'".to_owned(),
    )
    .await;

    let listed = test.admin("peer.list", json!({})).await;
    let entries = listed["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["site"], json!(sound));
    let damaged = &listed["damaged"][0];
    assert_eq!(damaged["zone"], "b.example");
    let id = damaged["site"].as_str().unwrap();

    let checks = test.admin("peer.doctor", json!({})).await;
    let finding = |of: &str| {
        let findings = checks["findings"].as_array().unwrap().iter();
        let mut found = findings.filter(|finding| finding["of"] == of);
        found.next().unwrap().clone()
    };
    assert_eq!(finding(&sound)["state"], "active");
    assert_eq!(finding(id)["state"], "damaged");
    let next = finding(id)["next"].as_str().unwrap().to_owned();
    assert!(next.contains(&format!("`peer forget {id}`")), "{next}");
    let report = test.admin("site.doctor", json!({})).await;
    let checks = report["checks"].as_array().unwrap().iter();
    let found: Vec<_> = checks.filter(|check| check["check"] == "peers").collect();
    assert_eq!(found[0]["message"], "b.example: damaged");

    let verified = test.admin("audit.verify", json!({ "peers": true })).await;
    assert_eq!(verified["intact"], false);
    let flaw = verified["flaws"][0].as_str().unwrap();
    assert!(flaw.contains(id), "{flaw}");
    // What waits for the other peer is found.
    let now = test.now();
    assert_eq!(test.site.peers_awaited(now).await.unwrap().len(), 1);

    test.admin("peer.forget", json!({ "peer": id })).await;
    let listed = test.admin("peer.list", json!({})).await;
    assert!(listed["damaged"].is_null(), "{listed}");
    let verified = test.admin("audit.verify", json!({})).await;
    assert_eq!(verified["intact"], true);
}

/// With one damaged row, no device was listed, and `device revoke` failed.
#[tokio::test]
async fn a_damaged_device_is_listed_beside_the_others_and_can_be_revoked() {
    let test = harness::TestSite::builder().file().build().await;
    test.takes_enrolments();
    let ada = test.admin("person.create", json!({ "name": "ada" })).await;
    let name = ada["name"].as_str().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let device = harness::TestDevice::new();
        let ticket = test.ticket("ada").await;
        let now = test.now();
        let enrolled = device.enrol(&test.site, &ticket.token, name, now);
        ids.push(enrolled.await.unwrap().device.to_string());
    }
    let hex = ids[0].replace('-', "");
    execute(
        &test,
        format!("UPDATE device SET name = '' WHERE id = x'{hex}'"),
    )
    .await;
    let listed = async || test.admin("device.list", json!({ "person": "ada" })).await;
    let both = listed().await;
    assert_eq!(both["entries"][0]["id"], json!(ids[1]));
    let damaged = &both["damaged"][0];
    assert_eq!(damaged["id"], json!(ids[0]));
    assert_eq!(damaged["person"], ada["name"]);
    test.admin("device.revoke", json!({ "id": ids[0] })).await;
    let left = listed().await;
    assert_eq!(left["entries"], both["entries"]);
    assert!(left["damaged"].is_null(), "{left}");
}

/// With a damaged setting, `peer status` failed, and `peer start` did not write it again.
#[tokio::test]
async fn a_damaged_setting_of_the_peer_server_counts_as_stopped_and_is_written_again() {
    let test = harness::TestSite::builder().file().build().await;
    let transport = harness::TestPeer::new("any.example");
    test.site.connect_peers_with(Arc::new(transport));
    test.admin("peer.start", json!({})).await;
    let wanted = async || test.admin("peer.status", json!({})).await["wanted"].clone();
    assert_eq!(wanted().await, true);
    execute(
        &test,
        "UPDATE setting SET value = x'7b' WHERE name = 'peer_server'".to_owned(),
    )
    .await;
    assert_eq!(wanted().await, false);
    test.admin("peer.start", json!({})).await;
    assert_eq!(wanted().await, true);
}

/// `app delete` refused to delete a damaged registration.
#[tokio::test]
async fn a_damaged_registration_can_be_deleted() {
    let test = TestSite::new().await;
    register(&test, "billing", json!({})).await;
    register(
        &test,
        "ledger",
        json!({ "may_call": [{ "app": "billing" }] }),
    )
    .await;
    damage(
        &test,
        "UPDATE application SET document = '{\"id\":' WHERE id = 'billing'",
    )
    .await;
    test.admin("app.delete", json!({ "id": "billing" })).await;
    let listed = test.admin("app.list", json!({})).await;
    assert!(listed["damaged"].is_null(), "{listed}");
    assert_eq!(listed["entries"][0]["may_call"], json!([]));
    register(&test, "billing", json!({})).await;
}

/// With one damaged row, no application was listed.
#[tokio::test]
async fn a_damaged_registration_is_listed_apart_from_the_others() {
    let test = TestSite::new().await;
    for id in ["archive", "billing", "ledger"] {
        register(&test, id, json!({})).await;
    }
    damage(
        &test,
        "UPDATE application SET document = '{\"id\":' WHERE id = 'billing'",
    )
    .await;
    let stretch = async |after: Option<&str>| {
        let mut params = json!({ "limit": 2 });
        if let Some(after) = after {
            params["after"] = json!(after);
        }
        let listed = test.admin("app.list", params).await;
        let ids = |list: &str| -> Vec<Value> {
            let entries = listed[list].as_array().cloned().unwrap_or_default();
            entries
                .into_iter()
                .map(|entry| entry["id"].clone())
                .collect()
        };
        (ids("entries"), ids("damaged"), listed["next"].clone())
    };
    assert_eq!(
        stretch(None).await,
        (
            vec![json!("archive")],
            vec![json!("billing")],
            json!("billing")
        )
    );
    assert_eq!(
        stretch(Some("billing")).await,
        (vec![json!("ledger")], vec![], Value::Null)
    );
    // Intact registrations can be deleted as before.
    test.admin("app.delete", json!({ "id": "ledger" })).await;
}

/// The effects of a change are applied after it was synced to the disk, and not before.
#[tokio::test]
async fn a_change_that_fails_on_a_full_disk_ends_no_session() {
    let test = TestSite::new().await;
    let maria = test.session("maria").await;
    let mut file = test.database().await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::raw_sql(full).execute(&mut file).await.unwrap();
    let lock = json!({ "name": "maria" });
    let (code, _) = test.refused("person.lock", lock.clone()).await;
    assert_eq!(code, Code::INTERNAL);
    let params = json!({ "session_lifetime": 60 });
    test.refused("site.config", params).await;
    assert_ne!(test.site.config().session_lifetime, 60);
    let (code, _) = run(&test.site, &maria, "self.show", json!({})).await;
    assert_eq!(code, Code::SUCCESS);

    let room = "DROP TRIGGER full";
    sqlx::raw_sql(room).execute(&mut file).await.unwrap();
    test.admin("person.lock", lock).await;
    let (code, _) = run(&test.site, &maria, "self.show", json!({})).await;
    assert_eq!(code, Code::NOT_PERMITTED);
}

/// A session was refused while the disk was full, and its client disconnected: no caller kept the audit entry, and
/// waiting entries of other sessions were lost with it.
#[tokio::test]
async fn an_entry_is_written_after_its_session_has_ended() {
    let test = TestSite::new().await;
    let maria = test.session("maria").await;
    let mut file = test.database().await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::raw_sql(full).execute(&mut file).await.unwrap();
    let refused = run(&test.site, &maria, "person.list", json!({}));
    assert!(refused.now_or_never().is_none(), "it is being written");
    // Queued after it, so that the first one has failed too.
    let create = json!({ "name": "bob" });
    let (code, _) = run(&test.site, &Caller::admin_socket(), "person.create", create).await;
    assert_eq!(code, Code::INTERNAL);
    let room = "DROP TRIGGER full";
    sqlx::raw_sql(room).execute(&mut file).await.unwrap();
    test.site.write_counted(NOW).await.unwrap();
    let listed = test.admin("audit.list", json!({ "limit": 1000 })).await;
    let entries = listed["entries"].as_array().unwrap().iter();
    let of_list = entries.filter(|entry| entry["operation"] == "person.list");
    assert_eq!(of_list.count(), 1, "{listed}");
}
