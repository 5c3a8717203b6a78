//! A site in a temporary folder on the disk.

use std::sync::Arc;

use countersign_core::access::{Caller, Channel, Role};
use countersign_core::accounts::{Account, Kind, State};
use countersign_core::audit::{Actor, AuditDraft, AuditOutcome};
use countersign_core::engine::{Entry, Site};
use countersign_core::id::AccountId;
use countersign_core::store::{Change, ChangeSet};
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::operation::{Code, Operation};
use countersign_server::clock;
use countersign_store::SqliteStore;
use countersign_testkit::harness::TestSite;
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::Result;

const DATABASE: &str = "site.db";

/// A site and its store.
pub(crate) struct BenchSite {
    pub(crate) site: Site,
    pub(crate) store: Arc<SqliteStore>,
    folder: tempfile::TempDir,
}

impl BenchSite {
    /// Creates a site with these operations in addition to the standard ones.
    pub(crate) async fn new(own: impl Fn() -> Vec<Entry> + Send + Sync + 'static) -> Result<Self> {
        let program = std::env::current_exe()?;
        // In the folder of this program, because the system's temporary folder may be in memory,
        // where a sync is free.
        let folder = tempfile::tempdir_in(program.parent().unwrap_or(&program))?;
        let store = Arc::new(SqliteStore::open(&folder.path().join(DATABASE)).await?);
        let test = TestSite::builder().store(store.clone()).operations(own);
        Ok(Self {
            site: test.build().await.site,
            store,
            folder,
        })
    }

    /// Loads the whole database into the operating system's cache, as for a site that has run for a
    /// while.
    pub(crate) fn warm(&self) -> Result<()> {
        let mut file = std::fs::File::open(self.folder.path().join(DATABASE))?;
        std::io::copy(&mut file, &mut std::io::sink())?;
        Ok(())
    }

    /// Runs an operation as the local admin.
    pub(crate) async fn admin(&self, group: &str, command: &str, params: &Value) -> Result<()> {
        self.admin_data(group, command, params).await.map(|_| ())
    }

    /// Runs an operation as the local admin and returns its data.
    pub(crate) async fn admin_data(
        &self,
        group: &str,
        command: &str,
        params: &Value,
    ) -> Result<Value> {
        let operation = Operation::new(1, group, command, to_raw_value(params)?);
        let caller = Caller::admin_socket();
        let outcome = self.site.run(&caller, &operation, clock::now()).await;
        if outcome.code == Code::SUCCESS {
            Ok(serde_json::from_str(outcome.data.get())?)
        } else {
            Err(format!("{group}.{command}: {}", outcome.data).into())
        }
    }
}

/// A new account with this name.
pub(crate) fn account(name: &str, kind: Kind) -> Result<Account> {
    let now = clock::now();
    Ok(Account {
        id: AccountId::new(now, &mut SystemEntropy),
        name: name.parse()?,
        kind,
        role: match kind {
            Kind::Person => Role::Member,
            Kind::Service => Role::Service,
        },
        full_name: String::new(),
        email: String::new(),
        state: State::Active,
        revision: 1,
        created: now,
        changed: now,
    })
}

/// A change set of these changes, with an audit entry.
pub(crate) fn audited(changes: Vec<Change>) -> ChangeSet {
    let audit = AuditDraft {
        time: clock::now(),
        actor: Actor::from(&Caller::site()),
        channel: Channel::Site,
        operation: "bench.changed".to_owned(),
        target: None,
        outcome: AuditOutcome::Done,
        details: "{}".to_owned(),
    };
    ChangeSet::new(changes, audit)
}
