//! A whole site for a test: a store, accounts, applications, listeners on free ports, and clients.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use countersign_testkit::harness::TestSite;
//! use serde_json::json;
//!
//! // Without listeners, at a fixed time.
//! let test = TestSite::new().await;
//! test.admin("person.create", json!({ "name": "ada" })).await;
//!
//! // With listeners and the service `robot`.
//! let served = TestSite::builder().serve().await;
//! let client = served.robot().await;
//! client.close().await.unwrap();
//! # });
//! ```

mod accounts;
mod devices;
mod linked;
mod peers;
pub mod python;
mod served;
mod session;
#[cfg(feature = "time")]
pub mod time;
pub mod tour;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::{Entry, NewSite, Parts, Site, SiteError};
use countersign_core::operations;
use countersign_core::store::{MemoryStore, Store};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_crypto::site_key_slots::{NewSlot, SlotFile, SlotSecret};
use countersign_proto::name::Zone;
use countersign_proto::operation::{Code, Operation};
use countersign_proto::session::Strength;
use countersign_server::limits::Limits;
use countersign_server::{Proxies, clock};
use countersign_store::SqliteStore;
use serde_json::Value;
use serde_json::value::to_raw_value;
use tempfile::TempDir;

pub use accounts::{PASSPHRASE, certificate, finish_registration, party};
pub use devices::{DEVICE_SOURCE, TestDevice, TestTicket, proven, ticket};
pub use linked::LinkedSites;
pub use peers::{PEER_SOURCE, StubTransport, TestPeer, joins_directly, stays_open};
pub use served::ServedSite;
pub use session::TestSession;

use crate::new_site::parts;
pub use crate::new_site::{NOW, new_site};

/// Options for a [`TestSite`] or a [`ServedSite`].
pub struct Builder {
    inside: Option<PathBuf>,
    store: Option<Kind>,
    own: Own,
    entropy: Box<dyn Entropy>,
    limits: Limits,
    proxies: Proxies,
    persons: Vec<(String, &'static str)>,
    zone: Option<Zone>,
}

type Own = Arc<dyn Fn() -> Vec<Entry> + Send + Sync>;

impl Builder {
    /// Makes the temporary folder inside this one. Benchmarks use a folder on a disk, so that syncs
    /// reach it.
    #[must_use]
    pub fn inside(mut self, folder: &Path) -> Self {
        self.inside = Some(folder.to_owned());
        self
    }

    /// Uses this store.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(Kind::Given(store));
        self
    }

    /// Stores in `memory`. The first process of the site uses it through the store `through`, such
    /// as a faulty one.
    #[must_use]
    pub fn memory(mut self, memory: MemoryStore, through: Arc<dyn Store>) -> Self {
        self.store = Some(Kind::Memory(memory, Some(through)));
        self
    }

    /// Stores in SQLite in a temporary folder. This is the default of a site with listeners.
    #[must_use]
    pub fn file(mut self) -> Self {
        self.store = Some(Kind::File);
        self
    }

    /// Adds operations to the table of each process of the site.
    #[must_use]
    pub fn operations(mut self, own: impl Fn() -> Vec<Entry> + Send + Sync + 'static) -> Self {
        self.own = Arc::new(own);
        self
    }

    /// Uses this entropy instead of the system's.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Box::new(entropy);
        self
    }

    /// Sets the limits of the listeners.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the proxies that the listeners trust.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Creates the site with this zone instead of `example.org`.
    #[must_use]
    pub fn zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.parse().unwrap());
        self
    }

    /// Adds the admin `maria` with [`PASSPHRASE`]. Her registration runs the key stretching
    /// function once.
    #[must_use]
    pub fn maria(self) -> Self {
        self.person("maria", "admin")
    }

    /// Adds a person with [`PASSPHRASE`] and this role.
    #[must_use]
    pub fn person(mut self, name: &str, role: &'static str) -> Self {
        self.persons.push((name.to_owned(), role));
        self
    }

    /// Creates the site without listeners, at [`NOW`].
    pub async fn build(self) -> TestSite {
        let memory = || Kind::Memory(MemoryStore::new(), None);
        self.create(|| NOW, memory).await.0
    }

    /// Creates the site with listeners, at the time of the system's clock, with the service
    /// `robot`.
    pub async fn serve(self) -> ServedSite {
        let (test, limits, proxies) = self.create(clock::now, || Kind::File).await;
        ServedSite::start(test, limits, proxies).await
    }

    async fn create(
        self,
        now: fn() -> Timestamp,
        usual: impl FnOnce() -> Kind,
    ) -> (TestSite, Limits, Proxies) {
        let store = self.store.unwrap_or_else(usual);
        let folder = match (&store, self.inside) {
            (_, Some(inside)) => Some(TempDir::new_in(inside).unwrap()),
            (Kind::File, None) => Some(TempDir::new().unwrap()),
            (Kind::Memory(..) | Kind::Given(_), None) => None,
        };
        let mut persistent = Persistent {
            folder,
            store,
            own: self.own,
        };
        let mut entropy = self.entropy;
        let slot = SlotFile::generate(&mut *entropy);
        let mut parts = Parts {
            entropy,
            ..persistent.parts().await
        };
        if let Kind::Memory(_, through) = &mut persistent.store
            && let Some(through) = through.take()
        {
            parts.store = through;
        }
        let slots = [NewSlot::File(&slot)];
        let usual = new_site(&slots);
        let zone = self.zone.unwrap_or_else(|| usual.zone.clone());
        let site = Site::create(parts, NewSite { zone, ..usual }, now())
            .await
            .unwrap();
        let test = TestSite {
            site,
            slot,
            persistent,
            now,
        };
        for (name, role) in self.persons {
            let params = serde_json::json!({ "name": name, "role": role });
            test.admin("person.create", params).await;
            test.set_passphrase(&name, PASSPHRASE).await;
        }
        (test, self.limits, self.proxies)
    }
}

/// What outlives a process of the site, and starts the next process.
struct Persistent {
    folder: Option<TempDir>,
    store: Kind,
    own: Own,
}

/// Where a site is stored.
enum Kind {
    /// In an SQLite file in the folder.
    File,
    /// In memory. The first process uses it through the second store, if there is one.
    Memory(MemoryStore, Option<Arc<dyn Store>>),
    /// In a store that the test supplies.
    Given(Arc<dyn Store>),
}

impl Persistent {
    async fn parts(&self) -> Parts {
        let store: Arc<dyn Store> = match &self.store {
            Kind::Given(store) => store.clone(),
            Kind::Memory(store, _) => Arc::new(store.reopened()),
            Kind::File => Arc::new(SqliteStore::open(&self.database()).await.unwrap()),
        };
        let mut table = operations::table().unwrap();
        for entry in (self.own)() {
            table.add(entry).unwrap();
        }
        parts(store, table, Box::new(SystemEntropy))
    }

    fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    fn database(&self) -> PathBuf {
        self.folder().join("site.db")
    }
}

/// The site `example.org`, unsealed.
pub struct TestSite {
    /// The site.
    pub site: Site,
    /// The credential file that unseals it.
    pub slot: SlotFile,
    persistent: Persistent,
    now: fn() -> Timestamp,
}

impl TestSite {
    /// The default options: a store in memory, or SQLite in a temporary folder for a site with
    /// listeners; the standard operations; the default limits; no person.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            inside: None,
            store: None,
            own: Arc::new(Vec::new),
            entropy: Box::new(SystemEntropy),
            limits: Limits::default(),
            proxies: Proxies::default(),
            persons: Vec::new(),
            zone: None,
        }
    }

    /// A site with the default options, without listeners.
    pub async fn new() -> Self {
        Self::builder().build().await
    }

    /// The same site after a restart; it is sealed.
    pub async fn restarted(&self) -> Site {
        self.restarted_above(Strength::Delivered).await.unwrap()
    }

    /// The same site after a restart with this minimum strength of encryption options in its
    /// configuration.
    ///
    /// # Errors
    /// As [`Site::open`].
    pub async fn restarted_above(&self, floor: Strength) -> Result<Site, SiteError> {
        let parts = self.parts().await;
        Site::open(Parts { floor, ..parts }).await
    }

    /// The same site after a restart; it is unsealed.
    pub async fn unsealed(&self) -> Site {
        let site = self.restarted().await;
        let secret = SlotSecret::File(&self.slot);
        site.unseal(&Caller::site(), secret, self.now())
            .await
            .unwrap();
        site
    }

    /// The parts to start another process of this site.
    pub async fn parts(&self) -> Parts {
        self.persistent.parts().await
    }

    /// The store of a site in memory, opened again as by another process.
    #[must_use]
    pub fn memory(&self) -> MemoryStore {
        match &self.persistent.store {
            Kind::Memory(store, _) => store.reopened(),
            Kind::File | Kind::Given(_) => panic!("this site is not stored in memory"),
        }
    }

    /// The temporary folder. Panics if the site has none.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.persistent.folder()
    }

    /// The path of the database. Panics if the site has no temporary folder.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.persistent.database()
    }

    /// The site's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Runs `group.command` as the local admin and returns its data. Panics if it does not succeed.
    pub async fn admin(&self, name: &str, params: Value) -> Value {
        let (code, data) = self.as_admin(name, params).await;
        assert_eq!(code, Code::SUCCESS, "{name}: {data}");
        data
    }

    /// Runs `group.command` as the local admin and returns its code and data. Panics if it
    /// succeeds.
    pub async fn refused(&self, name: &str, params: Value) -> (Code, Value) {
        let (code, data) = self.as_admin(name, params).await;
        assert_ne!(code, Code::SUCCESS, "{name}: {data}");
        (code, data)
    }

    /// Runs `group.command` as the local admin and returns its code and data.
    pub async fn as_admin(&self, name: &str, params: Value) -> (Code, Value) {
        let caller = Caller::admin_socket();
        run_at(&self.site, &caller, name, params, self.now()).await
    }

    /// The audit entries, as `audit list` shows them.
    pub async fn audit(&self) -> Vec<Value> {
        let listed = self.admin("audit.list", serde_json::json!({ "limit": 1000 }));
        listed.await["entries"].as_array().unwrap().clone()
    }

    /// The audit entries as lines `operation target outcome`.
    pub async fn audited(&self) -> Vec<String> {
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or("-").to_owned();
        let line = |entry: &Value| {
            let [operation, target, outcome] =
                ["operation", "target", "outcome"].map(|field| text(entry, field));
            format!("{operation} {target} {outcome}")
        };
        self.audit().await.iter().map(line).collect()
    }
}

/// Runs `group.command` at a site at [`NOW`], and returns code and data of its outcome.
pub async fn run(site: &Site, caller: &Caller, name: &str, params: Value) -> (Code, Value) {
    run_at(site, caller, name, params, NOW).await
}

/// Runs `group.command` at a site at that time, and returns code and data of its outcome.
pub async fn run_at(
    site: &Site,
    caller: &Caller,
    name: &str,
    params: Value,
    now: Timestamp,
) -> (Code, Value) {
    let operation = operation(name, &params);
    let outcome = site.run(caller, &operation, now).await;
    assert_eq!(outcome.id, operation.id);
    let data = serde_json::from_str(outcome.data.get()).unwrap();
    (outcome.code, data)
}

/// The operation `group.command` with the message id 7.
#[must_use]
pub fn operation(name: &str, params: &Value) -> Operation {
    let (group, command) = name.split_once('.').unwrap();
    Operation::new(7, group, command, to_raw_value(params).unwrap())
}
