//! A site to test with: a store in memory, opened by a slot file.

use std::sync::{Arc, Mutex};

use countersign_core::caller::Caller;
use countersign_core::id::AccountId;
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::session::{CloseReason, Proof, SessionInfo};
use countersign_core::site::{Decision, Foundation, Opening, Parts, Site, SiteError};
use countersign_core::store::{MemoryStore, Store};
use countersign_core::table::{Entry, Table};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile, SlotSecret};
use countersign_proto::operation::{Code, Operation};
use countersign_proto::session::{EncryptionOption, Strength};
use serde_json::{Value, json};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

/// A founded site.
pub(crate) struct TestSite {
    pub(crate) site: Site,
    pub(crate) slot: SlotFile,
    pub(crate) store: MemoryStore,
}

impl TestSite {
    pub(crate) async fn new() -> Self {
        Self::of(operations::table().unwrap()).await
    }

    /// A site with one operation more.
    pub(crate) async fn with(entry: Entry) -> Self {
        let mut table = operations::table().unwrap();
        table.add(entry).unwrap();
        Self::of(table).await
    }

    async fn of(table: Table) -> Self {
        let store = MemoryStore::new();
        let used = Arc::new(store.reopened());
        Self::on(store, used, table).await
    }

    /// A site on `used`, whose content is that of `store`.
    pub(crate) async fn on(store: MemoryStore, used: Arc<dyn Store>, table: Table) -> Self {
        let slot = SlotFile::generate(&mut SystemEntropy);
        let foundation = Foundation {
            zone: "example.org".parse().unwrap(),
            slots: &[NewSlot::File(&slot)],
        };
        let parts = Parts {
            table,
            ..parts(used)
        };
        let site = Site::found(parts, foundation, NOW).await.unwrap();
        Self { site, slot, store }
    }

    /// The same site after a restart: sealed.
    pub(crate) async fn restarted(&self) -> Site {
        self.restarted_above(Strength::Delivered).await.unwrap()
    }

    /// The same site after a restart with this floor in its configuration.
    pub(crate) async fn restarted_above(&self, floor: Strength) -> Result<Site, SiteError> {
        let parts = parts(Arc::new(self.store.reopened()));
        Site::open(Parts { floor, ..parts }).await
    }

    pub(crate) async fn unsealed(&self) -> Site {
        let site = self.restarted().await;
        let secret = SlotSecret::File(&self.slot);
        site.unseal(&Caller::site(), secret, NOW).await.unwrap();
        site
    }

    /// Runs an operation as the local admin, and expects it to succeed.
    pub(crate) async fn admin(&self, name: &str, params: Value) -> Value {
        let (code, data) = run(&self.site, &Caller::admin_socket(), name, params).await;
        assert_eq!(code, Code::SUCCESS, "{name}: {data}");
        data
    }

    /// Runs an operation as the local admin, and expects it to be refused.
    pub(crate) async fn refused(&self, name: &str, params: Value) -> (Code, Value) {
        let (code, data) = run(&self.site, &Caller::admin_socket(), name, params).await;
        assert_ne!(code, Code::SUCCESS, "{name}: {data}");
        (code, data)
    }

    /// Creates a person and opens a session of theirs.
    pub(crate) async fn person(&self, name: &str, role: &str) -> TestSession {
        let params = json!({ "name": name, "role": role });
        let created = self.admin("person.create", params).await;
        self.session(&created, Proof::Passphrase).await.unwrap()
    }

    /// Creates a service with a key and opens a session of it.
    pub(crate) async fn service(&self, name: &str) -> (TestSession, Identity) {
        let identity = Identity::generate(&mut SystemEntropy);
        let pem = identity.certificate().to_pem();
        let params = json!({ "name": name, "certificate": pem });
        let created = self.admin("service.create", params).await;
        let proof = Proof::Key(identity.certificate().thumbprint());
        (self.session(&created, proof).await.unwrap(), identity)
    }

    /// Opens a session of that account.
    pub(crate) async fn session(&self, account: &Value, proof: Proof) -> Option<TestSession> {
        let cut = Arc::new(Mutex::new(None));
        let told = Arc::clone(&cut);
        let opening = Opening {
            account: account["id"].as_str().unwrap().parse().unwrap(),
            proof,
            option: EncryptionOption::HybridAes256Gcm,
            peer: "192.0.2.7:1234".to_owned(),
            cut: Box::new(move |reason| *told.lock().unwrap() = Some(reason)),
            most: 1_000,
        };
        let decision = self.site.open_session(opening, NOW).await.unwrap();
        let Decision::Opened(info) = decision else {
            return None;
        };
        let caller = Caller::session(&info);
        Some(TestSession { info, caller, cut })
    }

    /// Opens a session of that account at another time.
    pub(crate) async fn session_at(&self, account: &Value, now: Timestamp) -> TestSession {
        let cut = Arc::new(Mutex::new(None));
        let told = Arc::clone(&cut);
        let opening = Opening {
            account: account["id"].as_str().unwrap().parse().unwrap(),
            proof: Proof::Passphrase,
            option: EncryptionOption::HybridAes256Gcm,
            peer: "192.0.2.7:1234".to_owned(),
            cut: Box::new(move |reason| *told.lock().unwrap() = Some(reason)),
            most: 1_000,
        };
        let Decision::Opened(info) = self.site.open_session(opening, now).await.unwrap() else {
            panic!("no session");
        };
        let caller = Caller::session(&info);
        TestSession { info, caller, cut }
    }

    /// What comes of a login of that account that may have `most` sessions.
    pub(crate) async fn entry(&self, account: AccountId, most: usize) -> Decision {
        let opening = Opening {
            account,
            proof: Proof::Passphrase,
            option: EncryptionOption::HybridAes256Gcm,
            peer: "192.0.2.7:1234".to_owned(),
            cut: Box::new(|_| {}),
            most,
        };
        self.site.open_session(opening, NOW).await.unwrap()
    }

    /// The audit entries, as `audit list` shows them.
    pub(crate) async fn audit(&self) -> Vec<Value> {
        let listed = self.admin("audit.list", json!({ "limit": 1000 })).await;
        listed["entries"].as_array().unwrap().clone()
    }

    /// The operations in the audit log, with what came of each.
    pub(crate) async fn audited(&self) -> Vec<String> {
        let entries = self.audit().await;
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or("-").to_owned();
        entries
            .iter()
            .map(|entry| {
                let [operation, target, outcome] =
                    ["operation", "target", "outcome"].map(|field| text(entry, field));
                format!("{operation} {target} {outcome}")
            })
            .collect()
    }
}

/// An open session and whether it was cut.
pub(crate) struct TestSession {
    pub(crate) info: SessionInfo,
    pub(crate) caller: Caller,
    cut: Arc<Mutex<Option<CloseReason>>>,
}

impl TestSession {
    pub(crate) fn was_cut(&self) -> Option<CloseReason> {
        *self.cut.lock().unwrap()
    }
}

pub(crate) async fn run(site: &Site, caller: &Caller, name: &str, params: Value) -> (Code, Value) {
    run_then(site, caller, name, params, NOW).await
}

/// Runs an operation at another time.
pub(crate) async fn run_then(
    site: &Site,
    caller: &Caller,
    name: &str,
    params: Value,
    now: Timestamp,
) -> (Code, Value) {
    let (group, command) = name.split_once('.').unwrap();
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let operation = Operation::new(7, group, command, params);
    let outcome = site.run(caller, &operation, now).await;
    assert_eq!(outcome.id, 7);
    (
        outcome.code,
        serde_json::from_str(outcome.data.get()).unwrap(),
    )
}

/// Runs an operation as the local admin at another time.
pub(crate) async fn run_at(site: &Site, name: &str, params: Value, now: Timestamp) -> Code {
    let (group, command) = name.split_once('.').unwrap();
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let operation = Operation::new(7, group, command, params);
    let outcome = site.run(&Caller::admin_socket(), &operation, now).await;
    outcome.code
}

pub(crate) fn certificate() -> (String, Thumbprint) {
    let identity = Identity::generate(&mut SystemEntropy);
    let certificate = identity.certificate();
    (certificate.to_pem(), certificate.thumbprint())
}

pub(crate) fn parts(store: Arc<dyn Store>) -> Parts {
    Parts {
        store,
        table: operations::table().unwrap(),
        entropy: Box::new(SystemEntropy),
        offer: Offer::default(),
        floor: Strength::Delivered,
    }
}
